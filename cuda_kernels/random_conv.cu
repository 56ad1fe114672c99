#include "random_conv.cuh"

#define KERNELFIT_CONV(suffix, P)                                                                                     \
    extern "C" __global__ void __launch_bounds__(256)                                                                 \
        patch_statistics_##suffix(const P* images, long long height, long long width, long long channels,             \
                                  long long size_y, long long size_x, double root, double offset, float* statistics,  \
                                  long long count) {                                                                  \
        const kernelfit::Patches shape = {height, width, channels, size_y, size_x};                                   \
        kernelfit::patch_statistics(images, shape, root, offset, statistics, count);                                  \
    }                                                                                                                 \
    extern "C" __global__ void __launch_bounds__(256, 2) random_conv_##suffix(                                        \
        const P* images, long long height, long long width, long long channels, long long size_y, long long size_x,   \
        const float* statistics, const long long* places, const float* folded, long long folded_stride,               \
        long long filters, const float* above, const float* below, const long long* row_spans, long long window_rows, \
        const long long* column_spans, long long window_columns, double step, long long root, float* out,             \
        long long out_stride) {                                                                                       \
        const kernelfit::Patches shape = {height, width, channels, size_y, size_x};                                   \
        kernelfit::random_conv(images, shape, statistics, places, folded, folded_stride, filters, above, below,       \
                               row_spans, window_rows, column_spans, window_columns, step, root, out, out_stride);    \
    }

KERNELFIT_CONV(u8, unsigned char)
KERNELFIT_CONV(f32, float)
