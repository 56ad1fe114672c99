#include "byte_conv.cuh"

extern "C" __global__ void __launch_bounds__(128, 4)
    random_conv_bytes(const unsigned char* images, long long height, long long width, long long channels,
                      long long size_y, long long size_x, const float* statistics, const int* places,
                      const signed char* packed, const float* units, long long bytes, long long filters,
                      const float* above, const float* below, const long long* row_spans, long long window_rows,
                      const long long* column_spans, long long window_columns, double step, long long root, float* out,
                      long long out_stride) {
    const kernelfit::Patches shape = {height, width, channels, size_y, size_x};
    const kernelfit::PixelNet net = {places, packed, units, bytes, filters, above, below};
    kernelfit::random_conv_bytes(images, shape, statistics, net, row_spans, window_rows, column_spans, window_columns,
                                 step, root, out, out_stride);
}
