// k(x, x') from an inner product, an L1 distance or the user's own value, for every family of kernelfit.kernels.
//
// A kernel is a sum of products of terms; the table holds five numbers for each term: family, opens (1 where a new
// product begins), order, a, b. Formulas and their symbols stand in kernelfit/kernels: each class gives its own as a
// C++ expression of `pair`, `order`, `a` and `b`, and kernelfit.device.epilogue.formulas puts them into the macro
// KERNELFIT_FORMULAS in front of this file. What such expressions may call stands here. No header of the standard
// library is included, so that NVRTC compiles this file as it is.
#pragma once

#ifndef KERNELFIT_FORMULAS
#error "KERNELFIT_FORMULAS is not defined; include the output of python -m kernelfit.device.epilogue first"
#endif

namespace kernelfit {

constexpr int TABLE_ROW = 5;
constexpr double PI = 3.14159265358979323846;

// What is known of one pair of rows; see kernelfit.gram.tile.PairTile.
struct Pair {
    double dot;
    double l1;
    double user;
    double sq_row, sq_col;
    double offset_row, offset_col;
    double origin_row, origin_col;
    double unit;
};

__host__ __device__ inline double clamped(double value, double low, double high) {
    return value < low ? low : (value > high ? high : value);
}

// |x - x'|^2; rounding may carry it below zero, where it is clamped.
__host__ __device__ inline double squared_distance(const Pair& pair) {
    const double distance = pair.sq_row + pair.sq_col - 2.0 * pair.dot;
    return pair.unit * (distance > 0.0 ? distance : 0.0);
}

// A pair is close where |x - x'|^2 is below this part of |x|^2 + |x'|^2; see kernelfit.gram.distances.
constexpr double CLOSE = 1.0 / 64.0;

// The distance of a close pair from its rows (unit 1); the inner product moves into the offsets.
__host__ __device__ inline void from_differences(Pair& pair, const double* row, const double* column,
                                                 long long features) {
    const double squares = pair.sq_row + pair.sq_col;
    if (!(squares - 2.0 * pair.dot < CLOSE * squares)) return;
    double distance = 0.0;
#pragma unroll 1
    for (long long k = 0; k < features; ++k) distance += (row[k] - column[k]) * (row[k] - column[k]);
    pair.offset_row += pair.dot + pair.offset_col;
    pair.offset_col = 0.0;
    pair.dot = 0.0;
    pair.sq_row = distance;
    pair.sq_col = 0.0;
}

// <x, x'> in units of `unit`.
__host__ __device__ inline double inner_product(const Pair& pair) {
    return pair.dot + pair.offset_row + pair.offset_col;
}

__host__ __device__ inline double cosine_of(const Pair& pair) {
    const double product = pair.origin_row * pair.origin_col;
    return product <= 0.0 ? 0.0 : clamped(inner_product(pair) / sqrt(product), -1.0, 1.0);
}

__host__ __device__ inline double kappa_0(double rho) { return 1.0 - acos(rho) / PI; }

__host__ __device__ inline double kappa_1(double rho) {
    return (sqrt((1.0 - rho) * (1.0 + rho)) + rho * (PI - acos(rho))) / PI;
}

__host__ __device__ inline double lengths(const Pair& pair) {
    return pair.unit * sqrt(pair.origin_row * pair.origin_col);
}

// (1 + s (u + v s)) exp(-s); order 0, 1, 2 is smoothness 1/2, 3/2, 5/2.
__host__ __device__ inline double matern(double s, int order) {
    const double u = order >= 1 ? 1.0 : 0.0;
    const double v = order == 2 ? 1.0 / 3.0 : 0.0;
    return (1.0 + s * (u + v * s)) * exp(-s);
}

// base^degree, degree >= 1.
__host__ __device__ inline double power(double base, int degree) {
    double result = base;
    for (int i = 1; i < degree; ++i) result *= base;
    return result;
}

__host__ __device__ inline double arc_cosine(const Pair& pair, int order, int depth) {
    double rho = cosine_of(pair);
    for (int layer = 0; layer < depth; ++layer) {
        rho = order == 0 ? kappa_0(rho) : kappa_1(rho);
        rho = rho > 1.0 ? 1.0 : rho;
    }
    return order == 1 ? rho * lengths(pair) : rho;
}

__host__ __device__ inline double neural_tangent(const Pair& pair, int depth) {
    double rho = cosine_of(pair);
    double theta = rho;
    for (int layer = 0; layer < depth; ++layer) {
        const double derivative = kappa_0(rho);
        rho = kappa_1(rho);
        rho = rho > 1.0 ? 1.0 : rho;
        theta = rho + theta * derivative;
    }
    return theta * lengths(pair);
}

#define KERNELFIT_CASE(family, ...) \
    case family: \
        return __VA_ARGS__;

__host__ __device__ inline double term_value(const double* term, const Pair& pair) {
    [[maybe_unused]] const int order = static_cast<int>(term[2]);
    [[maybe_unused]] const double a = term[3];
    [[maybe_unused]] const double b = term[4];
    switch (static_cast<int>(term[0])) {
        KERNELFIT_FORMULAS(KERNELFIT_CASE)
        default:
            return 0.0;  // no such family: kernelfit.device.epilogue names none
    }
}

#undef KERNELFIT_CASE

__host__ __device__ inline double evaluate(const double* table, long long terms, const Pair& pair) {
    double total = 0.0;
    double product = 0.0;
    for (long long t = 0; t < terms; ++t) {
        const double* term = table + t * TABLE_ROW;
        const double value = term_value(term, pair);
        if (term[1] != 0.0) {
            total += product;
            product = value;
        } else {
            product *= value;
        }
    }
    return total + product;
}

}  // namespace kernelfit
