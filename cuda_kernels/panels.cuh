// Small passes over panels: what stands above the diagonal, identities, sums of panels, absolute and squared sums.
#pragma once

#include "grid.cuh"

namespace kernelfit {

// What `shape_square` does: zeros above the diagonal, the identity, or above the diagonal what stands below it.
enum Shape { LOWER = 0, IDENTITY = 1, MIRRORED = 2 };

template <typename T>
__device__ void shape_square(T* a, long long stride, long long rows, long long columns, long long shape) {
    for_each_entry(rows, columns, [=](long long i, long long j) {
        if (shape == IDENTITY) {
            a[i * stride + j] = static_cast<T>(i == j ? 1 : 0);
        } else if (j > i) {
            a[i * stride + j] = shape == MIRRORED ? a[j * stride + i] : static_cast<T>(0);
        }
    });
}

// out_ij += a_ij.
template <typename T>
__device__ void add_panel(const float* __restrict__ a, long long stride, T* __restrict__ out, long long out_stride,
                          long long rows, long long columns) {
    for_each_entry(rows, columns,
                   [=](long long i, long long j) { out[i * out_stride + j] += static_cast<T>(a[i * stride + j]); });
}

// rows_i += sum_j |t_ij|, a warp for each row; always in the same order, so that the sum is always the same.
__device__ inline void absolute_row_sums(const double* __restrict__ tile, long long stride, double* __restrict__ rows,
                                         long long height, long long width) {
    const int lane = static_cast<int>(threadIdx.x);
    const long long i = static_cast<long long>(blockIdx.x) * blockDim.y + threadIdx.y;
    __shared__ double parts[8][32];
    double sum = 0.0;
    if (i < height) {
        for (long long j = lane; j < width; j += 32) sum += fabs(tile[i * stride + j]);
    }
    parts[threadIdx.y][lane] = sum;
    __syncthreads();
    if (lane == 0 && i < height) {
        double total = 0.0;
        for (int part = 0; part < 32; ++part) total += parts[threadIdx.y][part];
        rows[i] += total;
    }
}

// out_j += sum_i f(t_ij), f the absolute value or the square; always in the same order. A block of 256 threads has eight
// columns, 64 bytes of each row of float64, and 32 shares of the rows: panels of 2,048 columns make 256 blocks.
constexpr int SUM_COLUMNS = 8;
constexpr int SUM_SHARES = 32;

template <typename T>
__device__ void column_sums(const T* __restrict__ tile, long long stride, double* __restrict__ out, long long height,
                            long long width, long long squares) {
    const int thread = static_cast<int>(threadIdx.y) * 32 + static_cast<int>(threadIdx.x);
    const int column = thread % SUM_COLUMNS;
    const int share = thread / SUM_COLUMNS;
    const long long j = static_cast<long long>(blockIdx.x) * SUM_COLUMNS + column;
    __shared__ double parts[SUM_SHARES][SUM_COLUMNS];
    double sum = 0.0;
    if (j < width) {
#pragma unroll 4
        for (long long i = share; i < height; i += SUM_SHARES) {
            const double value = static_cast<double>(tile[i * stride + j]);
            sum += squares != 0 ? value * value : fabs(value);
        }
    }
    parts[share][column] = sum;
    __syncthreads();
    if (share == 0 && j < width) {
        double total = 0.0;
        for (int part = 0; part < SUM_SHARES; ++part) total += parts[part][column];
        out[j] += total;
    }
}

}  // namespace kernelfit
