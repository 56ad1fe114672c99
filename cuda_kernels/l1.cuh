// L1 distances. A block of 16 x 16 threads forms a tile of 64 x 64, four by four entries a thread, from 16 columns of both
// sets of rows at a time in shared memory.
#pragma once

namespace kernelfit {

// out_ij <- factor |row_factor x_i - col_factor x_j|_1.
constexpr int L1_TILE = 64;
constexpr int L1_DEPTH = 16;
constexpr int L1_SIDE = 16;
constexpr int L1_EACH = L1_TILE / L1_SIDE;

__device__ inline void l1_tile(const double* __restrict__ rows, long long row_stride, const double* __restrict__ cols,
                               long long col_stride, long long features, double row_factor, double col_factor,
                               double factor, double* __restrict__ out, long long out_stride, long long height,
                               long long width) {
    // One column more than is used keeps threads that read down a column on different banks.
    __shared__ double left[L1_DEPTH][L1_TILE + 1];
    __shared__ double right[L1_DEPTH][L1_TILE + 1];
    const int thread = threadIdx.y * L1_SIDE + threadIdx.x;
    const long long top = static_cast<long long>(blockIdx.y) * L1_TILE;
    const long long first = static_cast<long long>(blockIdx.x) * L1_TILE;
    double sums[L1_EACH][L1_EACH] = {};
    for (long long start = 0; start < features; start += L1_DEPTH) {
        for (int place = thread; place < L1_TILE * L1_DEPTH; place += L1_SIDE * L1_SIDE) {
            const int line = place / L1_DEPTH;
            const int k = place % L1_DEPTH;
            const bool inside = start + k < features;
            const bool below = inside && top + line < height;
            const bool beside = inside && first + line < width;
            left[k][line] = below ? row_factor * rows[(top + line) * row_stride + start + k] : 0.0;
            right[k][line] = beside ? col_factor * cols[(first + line) * col_stride + start + k] : 0.0;
        }
        __syncthreads();
        for (int k = 0; k < L1_DEPTH; ++k) {
            double a[L1_EACH];
            double b[L1_EACH];
#pragma unroll
            for (int e = 0; e < L1_EACH; ++e) {
                a[e] = left[k][threadIdx.y + e * L1_SIDE];
                b[e] = right[k][threadIdx.x + e * L1_SIDE];
            }
#pragma unroll
            for (int i = 0; i < L1_EACH; ++i) {
#pragma unroll
                for (int j = 0; j < L1_EACH; ++j) sums[i][j] += fabs(a[i] - b[j]);
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < L1_EACH; ++i) {
#pragma unroll
        for (int j = 0; j < L1_EACH; ++j) {
            const long long y = top + threadIdx.y + i * L1_SIDE;
            const long long x = first + threadIdx.x + j * L1_SIDE;
            if (y < height && x < width) out[y * out_stride + x] = factor * sums[i][j];
        }
    }
}

}  // namespace kernelfit
