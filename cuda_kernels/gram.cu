#include "gram.cuh"

// The types of inner products and of K are in the names: i32, f64 in; f64, f32 out. Two blocks at least on a
// multiprocessor: left to itself the compiler aims for four on sm_100, and spills.
#define KERNELFIT_EVALUATE(name, In, Out)                                                                             \
    extern "C" __global__ void __launch_bounds__(256, 2)                                                              \
        name(const In* dot, const double* l1, const double* user, long long input_stride, const double* sq_rows,      \
             const double* offset_rows, const double* origin_rows, const double* sq_cols, const double* offset_cols,  \
             const double* origin_cols, double unit, const double* rows, long long row_stride, const double* cols,    \
             long long col_stride, long long features, const double* table, long long terms, const double* diagonal,  \
             long long row, long long column, double shift, long long both, Out* out, long long out_stride,           \
             long long height, long long width) {                                                                     \
        kernelfit::evaluate_tile<In, Out>(dot, l1, user, input_stride, sq_rows, offset_rows, origin_rows, sq_cols,    \
                                          offset_cols, origin_cols, unit, rows, row_stride, cols, col_stride,         \
                                          features, table, terms, diagonal, row, column, shift, both, out,            \
                                          out_stride, height, width);                                                 \
    }

KERNELFIT_EVALUATE(evaluate_f64_f64, double, double)
KERNELFIT_EVALUATE(evaluate_f64_f32, double, float)
KERNELFIT_EVALUATE(evaluate_f32_f64, float, double)
KERNELFIT_EVALUATE(evaluate_f32_f32, float, float)
KERNELFIT_EVALUATE(evaluate_i32_f64, int, double)
KERNELFIT_EVALUATE(evaluate_i32_f32, int, float)

extern "C" __global__ void __launch_bounds__(256)
    l1_distances(const double* rows, long long row_stride, const double* cols, long long col_stride, long long features,
                 double* out, long long out_stride, long long height, long long width) {
    kernelfit::l1_tile(rows, row_stride, cols, col_stride, features, out, out_stride, height, width);
}
