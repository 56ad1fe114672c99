#include "panels.cuh"

extern "C" __global__ void __launch_bounds__(256)
    shape_square_f64(double* a, long long stride, long long rows, long long columns, long long shape) {
    kernelfit::shape_square(a, stride, rows, columns, shape);
}

extern "C" __global__ void __launch_bounds__(256)
    shape_square_f32(float* a, long long stride, long long rows, long long columns, long long shape) {
    kernelfit::shape_square(a, stride, rows, columns, shape);
}

extern "C" __global__ void __launch_bounds__(256)
    add_panel_f64(const float* a, long long stride, double* out, long long out_stride, long long rows,
                  long long columns) {
    kernelfit::add_panel(a, stride, out, out_stride, rows, columns);
}

extern "C" __global__ void __launch_bounds__(256)
    add_panel_f32(const float* a, long long stride, float* out, long long out_stride, long long rows,
                  long long columns) {
    kernelfit::add_panel(a, stride, out, out_stride, rows, columns);
}

extern "C" __global__ void __launch_bounds__(256)
    absolute_row_sums(const double* tile, long long stride, double* rows, long long height, long long width) {
    kernelfit::absolute_row_sums(tile, stride, rows, height, width);
}

extern "C" __global__ void __launch_bounds__(256)
    column_sums_f64(const double* tile, long long stride, double* out, long long height, long long width,
                    long long squares) {
    kernelfit::column_sums(tile, stride, out, height, width, squares);
}

extern "C" __global__ void __launch_bounds__(256)
    column_sums_f32(const float* tile, long long stride, double* out, long long height, long long width,
                    long long squares) {
    kernelfit::column_sums(tile, stride, out, height, width, squares);
}
