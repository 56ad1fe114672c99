#include "products.cuh"

extern "C" __global__ void __launch_bounds__(256)
    byte_products_dp4a(const int* rows, const int* cols, long long words, int* out, long long out_stride,
                       long long height, long long width) {
    kernelfit::byte_products_dp4a(rows, cols, words, out, out_stride, height, width);
}

extern "C" __global__ void __launch_bounds__(256)
    byte_products_mma(const int* rows, const int* cols, long long words, int* out, long long out_stride,
                      long long height, long long width) {
    kernelfit::byte_products_mma(rows, cols, words, out, out_stride, height, width);
}
