#include "products.cuh"

extern "C" __global__ void __launch_bounds__(256)
    byte_products_dp4a(const int* rows, const int* cols, long long words, int* out, long long out_stride,
                       long long height, long long width) {
    kernelfit::byte_products_dp4a(rows, cols, words, out, out_stride, height, width);
}

extern "C" __global__ void __launch_bounds__(256)
    byte_products_words(const int* rows, const int* cols, long long words, int* out, long long out_stride,
                        long long height, long long width) {
    kernelfit::byte_products_words(rows, cols, words, out, out_stride, height, width);
}

extern "C" __global__ void __launch_bounds__(128, 2)
    byte_products_mma(const signed char* rows, const signed char* cols, long long words, int* out, long long out_stride,
                      long long height, long long width) {
    kernelfit::byte_products_mma(rows, cols, 4 * words, out, out_stride, height, width);
}
