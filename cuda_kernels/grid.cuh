// Loops over what a grid may be too small to cover at once: each thread takes a step as wide as the grid.
#pragma once

namespace kernelfit {

// body(i) for i < count, by a grid of one dimension.
template <typename Body>
__device__ inline void for_each(long long count, Body body) {
    const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
    for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) body(i);
}

// body(i, j) for i < rows, j < columns; neighbours in x are neighbours in a row.
template <typename Body>
__device__ inline void for_each_entry(long long rows, long long columns, Body body) {
    const long long down = static_cast<long long>(gridDim.y) * blockDim.y;
    const long long across = static_cast<long long>(gridDim.x) * blockDim.x;
    for (long long i = static_cast<long long>(blockIdx.y) * blockDim.y + threadIdx.y; i < rows; i += down) {
        for (long long j = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; j < columns; j += across) {
            body(i, j);
        }
    }
}

}  // namespace kernelfit
