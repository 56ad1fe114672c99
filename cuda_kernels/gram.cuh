// One tile of K: inner products (or L1 distances, or the user's values) in, k out, in one pass over memory.
#pragma once

#include "epilogue.cuh"
#include "grid.cuh"

namespace kernelfit {

// What is known of each row of one side of a tile; vectors as kernelfit.gram.points.RowVectors has them, `powers` null
// where all are 1. `apart` (rows of `features` numbers, `stride` apart, in the kernel's domain times `factor` and that of
// the tile) is given where products were rounded: close and parallel pairs are formed from these rows again.
struct Side {
    const double* sq_norms;
    const double* offsets;
    const double* origin;
    const double* powers;
    const double* apart;
    long long stride;
    double factor;
};

// The arguments of `evaluate_tile`; kernelfit.device.launches.TILE is the same in NumPy, checked by a test. Null
// pointers stand for what the kernel does not use; without `inner`, `dot` serves inner products too. `dot` (of In) may be `out` (of Out) itself. Where `diagonal` is given
// the tile belongs to a symmetric K with its corner at (row, column): entries on the diagonal are diagonal[i] + shift,
// and those above it are zero unless `both` triangles are wanted.
struct TileArguments {
    const void* dot;
    const double* inner;
    const double* l1;
    const double* user;
    long long input_stride;
    Side rows;
    Side columns;
    double unit;
    double length;
    double inner_length;
    double factor;
    long long features;
    const double* table;
    long long terms;
    const double* diagonal;
    long long row;
    long long column;
    double shift;
    long long both;
    void* out;
    long long out_stride;
    long long height;
    long long width;
};
static_assert(sizeof(Side) == 7 * 8, "Side has padding");
static_assert(sizeof(TileArguments) == 35 * 8, "TileArguments has padding");

// out_ij <- k(x_i, x_j), i < height, j < width.
template <typename In, typename Out>
__device__ void evaluate_tile(const TileArguments& tile) {
    // Nothing of these is written to; `dot` may be.
    const double* __restrict__ inner = tile.inner;
    const double* __restrict__ l1 = tile.l1;
    const double* __restrict__ user = tile.user;
    const double* __restrict__ table = tile.table;
    const double* __restrict__ diagonal = tile.diagonal;
    const In* dot = static_cast<const In*>(tile.dot);
    Out* out = static_cast<Out*>(tile.out);
    for_each_entry(tile.height, tile.width, [&](long long i, long long j) {
        const long long row = tile.row + i;
        const long long column = tile.column + j;
        double value;
        if (diagonal != nullptr && row == column) {
            value = diagonal[row] + tile.shift;
        } else if (diagonal != nullptr && tile.both == 0 && row < column) {
            value = 0.0;
        } else {
            const long long place = i * tile.input_stride + j;
            const double product = dot != nullptr ? static_cast<double>(dot[place]) : 0.0;
            const bool rounded = tile.rows.apart != nullptr;
            Pair pair;
            pair.l1 = l1 != nullptr ? l1[place] : 0.0;
            pair.user = user != nullptr ? user[place] : 0.0;
            pair.origin_row = tile.rows.origin[i];
            pair.origin_col = tile.columns.origin[j];
            pair.power_row = tile.rows.powers != nullptr ? tile.rows.powers[i] : 1.0;
            pair.power_col = tile.columns.powers != nullptr ? tile.columns.powers[j] : 1.0;
            pair.unit = tile.unit;
            pair.length = tile.length;
            pair.inner_length = tile.inner_length;
            pair.factor_row = tile.rows.factor;
            pair.factor_col = tile.columns.factor;
            pair.factor = tile.factor;
            pair.row = rounded ? tile.rows.apart + i * tile.rows.stride : nullptr;
            pair.column = rounded ? tile.columns.apart + j * tile.columns.stride : nullptr;
            pair.features = tile.features;
            pair.inner = (inner != nullptr ? inner[place] : product) + tile.rows.offsets[i] + tile.columns.offsets[j];
            pair.sq_distance =
                dot != nullptr ? sq_distance_of(pair, product, tile.rows.sq_norms[i], tile.columns.sq_norms[j]) : 0.0;
            value = evaluate(table, tile.terms, pair);
        }
        out[i * tile.out_stride + j] = static_cast<Out>(value);
    });
}

// out_ij <- factor |row_factor x_i - col_factor x_j|_1. A block of 16 x 16 threads forms a tile of 64 x 64, four by four entries a thread, from
// 16 columns of both sets of rows at a time in shared memory.
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
