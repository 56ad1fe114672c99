#include "gram.cuh"

// The types of inner products and of K are in the names: i32, f64 in; f64, f32 out. Two blocks at least on a
// multiprocessor: left to itself the compiler aims for four on sm_100, and spills.
#define KERNELFIT_TYPE_f64 double
#define KERNELFIT_TYPE_f32 float
#define KERNELFIT_TYPE_i32 int
#define KERNELFIT_ENTRY(in, out)                                                                                      \
    extern "C" __global__ void __launch_bounds__(256, 2)                                                              \
        evaluate_##in##_##out(const kernelfit::TileArguments arguments) {                                             \
        kernelfit::evaluate_tile<KERNELFIT_TYPE_##in, KERNELFIT_TYPE_##out>(arguments);                               \
    }
#define KERNELFIT_EVALUATE(in, out) KERNELFIT_ENTRY(in, out)

#if defined(KERNELFIT_IN)  // the one that is launched: what compiles at run time names it
KERNELFIT_EVALUATE(KERNELFIT_IN, KERNELFIT_OUT)
#else
KERNELFIT_EVALUATE(f64, f64)
KERNELFIT_EVALUATE(f64, f32)
KERNELFIT_EVALUATE(f32, f64)
KERNELFIT_EVALUATE(f32, f32)
KERNELFIT_EVALUATE(i32, f64)
KERNELFIT_EVALUATE(i32, f32)
#endif
