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

// What is known of one pair of rows; see kernelfit.gram.tile.PairTile for the units. `row` and `column` are given where
// products were rounded.
struct Pair {
    double sq_distance;  // |x - x'|^2 / length^2
    double inner;        // <x, x'> / (unit inner_length^2 power_row power_col)
    double l1;
    double user;
    double origin_row, origin_col;
    double power_row, power_col;
    double unit, length, inner_length;
    // Times rows, columns, and their differences: in the kernel's domain. The last is 1 or the others are.
    double factor_row, factor_col, factor;
    const double* row;
    const double* column;
    long long features;
};

__host__ __device__ inline double clamped(double value, double low, double high) {
    return value < low ? low : (value > high ? high : value);
}

// A pair is close where |x - x'|^2 is below this part of |x|^2 + |x'|^2; see kernelfit.gram.distances.
constexpr double CLOSE = 1.0 / 64.0;
// A pair is parallel, or opposite, where tan^2 of half its angle, or the inverse, is below this.
constexpr double PARALLEL = 1.0 / 128.0;
// Below d times this a sine is the round-off of two projections, 16 u^2: the rows are multiples of each other.
constexpr double PARALLEL_SINE = 0x1p-102;

// sum_k (x_k - x'_k)^2 / length^2.
__host__ __device__ inline double from_differences(const Pair& pair) {
    const double inverse = pair.factor / pair.length;
    double distance = 0.0;
#pragma unroll 1
    for (long long k = 0; k < pair.features; ++k) {
        const double difference = (pair.factor_row * pair.row[k] - pair.factor_col * pair.column[k]) * inverse;
        distance += difference * difference;
    }
    return distance;
}

// |x - x'|^2 / length^2 from `dot`; rounding may carry it below zero, where it is clamped. Infinite squares leave no
// number, which is neither above nor below anything, and stays none where there are no rows to subtract.
__host__ __device__ inline double sq_distance_of(const Pair& pair, double dot, double sq_row, double sq_col) {
    const double squares = sq_row + sq_col;
    const double distance = squares - 2.0 * dot;
    if (pair.row != nullptr && !(distance >= CLOSE * squares)) return from_differences(pair);
    return pair.unit * (distance < 0.0 ? 0.0 : distance);
}

// factor |x - x'|^2.
__host__ __device__ inline double squared_distance(const Pair& pair, double factor) {
    return factor * pair.length * pair.length * pair.sq_distance;
}

// factor |x - x'|.
__host__ __device__ inline double distance(const Pair& pair, double factor) {
    return factor * pair.length * sqrt(pair.sq_distance);
}

// factor <x, x'>.
__host__ __device__ inline double inner_product(const Pair& pair, double factor) {
    const double unit = factor * pair.unit * pair.inner_length * pair.inner_length;
    return unit * pair.inner * pair.power_row * pair.power_col;
}

// |x| |x'|.
__host__ __device__ inline double lengths(const Pair& pair) {
    const double unit = pair.unit * pair.inner_length * pair.inner_length;
    return unit * (sqrt(pair.origin_row) * pair.power_row) * (sqrt(pair.origin_col) * pair.power_col);
}

__host__ __device__ inline double cosine_of(const Pair& pair) {
    const double product = pair.origin_row * pair.origin_col;
    return product <= 0.0 ? 0.0 : clamped(pair.inner / sqrt(product), -1.0, 1.0);
}

// |what of x'/p' is perpendicular to x/p|^2; see kernelfit.gram.distances.
__host__ __device__ inline double perpendicular(const Pair& pair) {
    const double p = pair.factor * pair.factor_row / pair.power_row;
    const double q = pair.factor * pair.factor_col / pair.power_col;
    const double times = pair.inner / pair.origin_row;
    double along = 0.0;
#pragma unroll 1
    for (long long k = 0; k < pair.features; ++k) {
        const double a = p * pair.row[k];
        along += fma(-times, a, q * pair.column[k]) * a;
    }
    const double again = along / pair.origin_row;
    double total = 0.0;
#pragma unroll 1
    for (long long k = 0; k < pair.features; ++k) {
        const double a = p * pair.row[k];
        const double rest = fma(-again, a, fma(-times, a, q * pair.column[k]));
        total += rest * rest;
    }
    return total;
}

// tan^2(theta / 2), theta the angle between x and x': 0 parallel, inf opposite, 1 where a row is zero. Products are
// formed by intrinsics, which no compiler merges into a multiply-add.
__host__ __device__ inline double half_tangent(const Pair& pair) {
    const double product = __dmul_rn(pair.origin_row, pair.origin_col);
    if (product <= 0.0) return pair.origin_row == pair.origin_col ? 0.0 : 1.0;
    const double square = __dmul_rn(pair.inner, pair.inner);
    const double rest = fma(pair.origin_row, pair.origin_col, -product) - fma(pair.inner, pair.inner, -square);
    double sine = ((product - square) + rest) / product;
    sine = sine < 0.0 ? 0.0 : sine;
    double cosine = fabs(pair.inner) / sqrt(product);
    cosine = cosine > 1.0 ? 1.0 : cosine;
    double tangent = sine / ((1.0 + cosine) * (1.0 + cosine));
    if (pair.row != nullptr && tangent < PARALLEL) {
        sine = perpendicular(pair) / pair.origin_col;
        const double floor = static_cast<double>(pair.features) * PARALLEL_SINE;
        sine = sine <= floor * floor ? 0.0 : sine;
        cosine = sine < 1.0 ? sqrt(1.0 - sine) : 0.0;
        tangent = sine / ((1.0 + cosine) * (1.0 + cosine));
    }
    return pair.inner >= 0.0 ? tangent : 1.0 / tangent;
}

// theta and pi - theta from tan^2(theta / 2); whichever is small has all its digits.
struct Angles {
    double theta, rest;
};

__host__ __device__ inline Angles angles(double tangent) {
    const double small = 2.0 * atan(sqrt(tangent <= 1.0 ? tangent : 1.0 / tangent));
    return tangent <= 1.0 ? Angles{small, PI - small} : Angles{PI - small, small};
}

// sin theta - theta cos theta; below 1/2 by its series.
__host__ __device__ inline double sine_less(double theta, double one_less_cosine) {
    if (theta >= 0.5) {
        const double sine = sqrt(one_less_cosine * (2.0 - one_less_cosine));
        return sine - theta * (1.0 - one_less_cosine);
    }
    const double square = theta * theta;
    double series = 16.0 / 355687428096000.0;
    series = 14.0 / 1307674368000.0 - square * series;
    series = 12.0 / 6227020800.0 - square * series;
    series = 10.0 / 39916800.0 - square * series;
    series = 8.0 / 362880.0 - square * series;
    series = 6.0 / 5040.0 - square * series;
    series = 4.0 / 120.0 - square * series;
    series = 2.0 / 6.0 - square * series;
    return theta * square * series;
}

// One layer of infinitely many units: the kernel of unit vectors, and tan^2 of half the angle whose cosine that is; see
// kernelfit.kernels.arc_cosine.
struct Layer {
    double kappa, tangent;
};

__host__ __device__ inline Layer step_layer(double tangent) {
    const Angles angle = angles(tangent);
    return {angle.rest / PI, angle.theta / (PI + angle.rest)};
}

__host__ __device__ inline Layer relu_layer(double tangent) {
    const Angles angle = angles(tangent);
    if (angle.rest < 0.5) {
        const double kappa = sine_less(angle.rest, 2.0 / (1.0 + tangent)) / PI;
        return {kappa, (1.0 - kappa) / (1.0 + kappa)};
    }
    const double one_less_cosine = 2.0 * tangent / (1.0 + tangent);
    const double left = one_less_cosine - sine_less(angle.theta, one_less_cosine) / PI;
    return {1.0 - left, left / (2.0 - left)};
}

// (1 + s (u + v s)) exp(-s); order 0, 1, 2 is smoothness 1/2, 3/2, 5/2.
__host__ __device__ inline double matern(double s, int order) {
    if (s >= 1e3) return 0.0;  // and s^2 may be infinite
    const double u = order >= 1 ? 1.0 : 0.0;
    const double v = order == 2 ? 1.0 / 3.0 : 0.0;
    return (1.0 + s * (u + v * s)) * exp(-s);
}

// (1 + root^2)^-alpha.
__host__ __device__ inline double rational_quadratic(double root, double alpha) {
    if (root < 1.0) return exp(-alpha * log1p(root * root));
    return root < 1e9 ? pow(1.0 + root * root, -alpha) : pow(root, -2.0 * alpha);
}

// base^degree, degree >= 1.
__host__ __device__ inline double power(double base, int degree) {
    double result = base;
    for (int i = 1; i < degree; ++i) result *= base;
    return result;
}

__host__ __device__ inline double arc_cosine(const Pair& pair, int order, int depth) {
    Layer layer = {1.0, half_tangent(pair)};
    for (int i = 0; i < depth; ++i) layer = order == 0 ? step_layer(layer.tangent) : relu_layer(layer.tangent);
    return order == 0 ? layer.kappa : layer.kappa * lengths(pair);
}

__host__ __device__ inline double neural_tangent(const Pair& pair, int depth) {
    double tangent = half_tangent(pair);
    double theta = tangent <= 1.0 ? 1.0 - 2.0 * tangent / (1.0 + tangent) : 2.0 / (1.0 + tangent) - 1.0;
    for (int i = 0; i < depth; ++i) {
        const double derivative = step_layer(tangent).kappa;
        const Layer layer = relu_layer(tangent);
        theta = layer.kappa + theta * derivative;
        tangent = layer.tangent;
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
