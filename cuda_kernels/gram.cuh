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
    const double* __restrict__ row_norms = tile.rows.sq_norms;
    const double* __restrict__ column_norms = tile.columns.sq_norms;
    const double* __restrict__ row_offsets = tile.rows.offsets;
    const double* __restrict__ column_offsets = tile.columns.offsets;
    const double* __restrict__ row_origin = tile.rows.origin;
    const double* __restrict__ column_origin = tile.columns.origin;
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
            pair.origin_row = row_origin[i];
            pair.origin_col = column_origin[j];
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
            pair.inner = (inner != nullptr ? inner[place] : product) + row_offsets[i] + column_offsets[j];
            pair.sq_distance =
                dot != nullptr ? sq_distance_of(pair, product, row_norms[i], column_norms[j]) : 0.0;
            value = evaluate(table, tile.terms, pair);
        }
        out[i * tile.out_stride + j] = static_cast<Out>(value);
    });
}

}  // namespace kernelfit
