#include "l1.cuh"

extern "C" __global__ void __launch_bounds__(256)
    l1_distances(const double* rows, long long row_stride, const double* cols, long long col_stride, long long features,
                 double row_factor, double col_factor, double factor, double* out, long long out_stride,
                 long long height, long long width) {
    kernelfit::l1_tile(rows, row_stride, cols, col_stride, features, row_factor, col_factor, factor, out, out_stride,
                       height, width);
}
