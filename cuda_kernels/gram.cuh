// One tile of K: inner products (or L1 distances, or the user's values) in, k out, in one pass over memory.
#pragma once

#include "epilogue.cuh"

namespace kernelfit {

// Threads of a block of `evaluate_tile`: a warp lies along a row, so that loads and stores are adjacent.
constexpr int TILE_THREADS_X = 32;
constexpr int TILE_THREADS_Y = 8;

// out_ij <- k(x_i, x_j), i < height, j < width. Null pointers stand for what the kernel does not use. Where
// `diagonal` is given the tile belongs to a symmetric K with its corner at (row, column): entries on the diagonal are
// diagonal[i] + shift, and those above it are zero unless `both` triangles are wanted. `dot` may be `out` itself. `rows`
// and `cols` are given where products were rounded and distances count: close pairs are formed from them again.
template <typename In, typename Out>
__device__ void evaluate_tile(const In* dot, const double* l1, const double* user, long long input_stride,
                              const double* sq_rows, const double* offset_rows, const double* origin_rows,
                              const double* sq_cols, const double* offset_cols, const double* origin_cols, double unit,
                              const double* rows, long long row_stride, const double* cols, long long col_stride,
                              long long features, const double* table, long long terms, const double* diagonal,
                              long long row, long long column, double shift, long long both, Out* out,
                              long long out_stride, long long height, long long width) {
    const long long down = static_cast<long long>(gridDim.y) * blockDim.y;
    const long long across = static_cast<long long>(gridDim.x) * blockDim.x;
    for (long long i = static_cast<long long>(blockIdx.y) * blockDim.y + threadIdx.y; i < height; i += down) {
        for (long long j = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; j < width; j += across) {
            double value;
            if (diagonal != nullptr && row + i == column + j) {
                value = diagonal[row + i] + shift;
            } else if (diagonal != nullptr && both == 0 && row + i < column + j) {
                value = 0.0;
            } else {
                const long long place = i * input_stride + j;
                Pair pair;
                pair.dot = dot != nullptr ? static_cast<double>(dot[place]) : 0.0;
                pair.l1 = l1 != nullptr ? l1[place] : 0.0;
                pair.user = user != nullptr ? user[place] : 0.0;
                pair.sq_row = sq_rows[i];
                pair.sq_col = sq_cols[j];
                pair.offset_row = offset_rows[i];
                pair.offset_col = offset_cols[j];
                pair.origin_row = origin_rows[i];
                pair.origin_col = origin_cols[j];
                pair.unit = unit;
                if (rows != nullptr) {
                    from_differences(pair, rows + i * row_stride, cols + j * col_stride, features);
                }
                value = evaluate(table, terms, pair);
            }
            out[i * out_stride + j] = static_cast<Out>(value);
        }
    }
}

// out_ij <- |x_i - x_j|_1. A block of 16 x 16 threads forms a tile of 64 x 64, four by four entries a thread, from
// 16 columns of both sets of rows at a time in shared memory.
constexpr int L1_TILE = 64;
constexpr int L1_DEPTH = 16;
constexpr int L1_SIDE = 16;
constexpr int L1_EACH = L1_TILE / L1_SIDE;

__device__ inline void l1_tile(const double* rows, long long row_stride, const double* cols, long long col_stride,
                               long long features, double* out, long long out_stride, long long height,
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
            left[k][line] = inside && top + line < height ? rows[(top + line) * row_stride + start + k] : 0.0;
            right[k][line] = inside && first + line < width ? cols[(first + line) * col_stride + start + k] : 0.0;
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
            if (y < height && x < width) out[y * out_stride + x] = sums[i][j];
        }
    }
}

}  // namespace kernelfit
