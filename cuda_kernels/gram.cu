#include "gram.cuh"

// The types of inner products and of K are in the names: i32, f64 in; f64, f32 out. Two blocks at least on a
// multiprocessor: left to itself the compiler aims for four on sm_100, and spills.
#define KERNELFIT_EVALUATE(name, In, Out)                                                                             \
    extern "C" __global__ void __launch_bounds__(256, 2) name(const kernelfit::TileArguments arguments) {             \
        kernelfit::evaluate_tile<In, Out>(arguments);                                                                 \
    }

KERNELFIT_EVALUATE(evaluate_f64_f64, double, double)
KERNELFIT_EVALUATE(evaluate_f64_f32, double, float)
KERNELFIT_EVALUATE(evaluate_f32_f64, float, double)
KERNELFIT_EVALUATE(evaluate_f32_f32, float, float)
KERNELFIT_EVALUATE(evaluate_i32_f64, int, double)
KERNELFIT_EVALUATE(evaluate_i32_f32, int, float)

extern "C" __global__ void __launch_bounds__(256)
    l1_distances(const double* rows, long long row_stride, const double* cols, long long col_stride, long long features,
                 double row_factor, double col_factor, double factor, double* out, long long out_stride,
                 long long height, long long width) {
    kernelfit::l1_tile(rows, row_stride, cols, col_stride, features, row_factor, col_factor, factor, out, out_stride,
                       height, width);
}
