// Exact inner products of centred bytes: out_ij = sum_k a_ik b_jk in int32, rows padded with zeros to a multiple of 64.
//
// A block forms a tile of 128 x 128 from 64 columns at a time in shared memory. Three ways: dp4a, four products an
// instruction on any GPU; mma.sync m16n8k32 on the tensor cores, fed by 16-byte copies three stages ahead; and the same
// instruction fed word by word, which the benchmark compares.
#pragma once

#include "tensor.cuh"

namespace kernelfit {

constexpr int BYTE_TILE = 128;
constexpr int BYTE_DEPTH = 64;
constexpr int BYTE_WORDS = BYTE_DEPTH / 4;
constexpr int BYTE_THREADS = 256;
// A row of 16 words is followed by 4 unused ones: rows begin 20 words apart, and the eight rows that the lanes of a
// warp read for one fragment fall on different banks.
constexpr int BYTE_PITCH = BYTE_WORDS + 4;

// Words start ... start + 15 of 128 rows into shared memory; rows beyond the last are zero.
__device__ inline void load_bytes(int (*tile)[BYTE_PITCH], const int* rows, long long word_stride, long long first,
                                  long long count, long long start) {
    const int thread = static_cast<int>(threadIdx.x);
    for (int place = thread; place < BYTE_TILE * BYTE_WORDS; place += BYTE_THREADS) {
        const int line = place / BYTE_WORDS;
        const int word = place % BYTE_WORDS;
        tile[line][word] = first + line < count ? rows[(first + line) * word_stride + start + word] : 0;
    }
}

__device__ inline void byte_products_dp4a(const int* __restrict__ rows, const int* __restrict__ cols, long long words,
                                          int* __restrict__ out, long long out_stride, long long height,
                                          long long width) {
    __shared__ int left[BYTE_TILE][BYTE_PITCH];
    __shared__ int right[BYTE_TILE][BYTE_PITCH];
    constexpr int SIDE = 16;
    constexpr int EACH = BYTE_TILE / SIDE;
    const int tx = static_cast<int>(threadIdx.x) % SIDE;
    const int ty = static_cast<int>(threadIdx.x) / SIDE;
    const long long top = static_cast<long long>(blockIdx.y) * BYTE_TILE;
    const long long first = static_cast<long long>(blockIdx.x) * BYTE_TILE;
    int sums[EACH][EACH] = {};
    for (long long start = 0; start < words; start += BYTE_WORDS) {
        load_bytes(left, rows, words, top, height, start);
        load_bytes(right, cols, words, first, width, start);
        __syncthreads();
#pragma unroll 4
        for (int k = 0; k < BYTE_WORDS; ++k) {
            int a[EACH];
            int b[EACH];
#pragma unroll
            for (int e = 0; e < EACH; ++e) {
                a[e] = left[ty + e * SIDE][k];
                b[e] = right[tx + e * SIDE][k];
            }
#pragma unroll
            for (int i = 0; i < EACH; ++i) {
#pragma unroll
                for (int j = 0; j < EACH; ++j) sums[i][j] = dot_of_four(a[i], b[j], sums[i][j]);
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
#pragma unroll
        for (int j = 0; j < EACH; ++j) {
            const long long y = top + ty + i * SIDE;
            const long long x = first + tx + j * SIDE;
            if (y < height && x < width) out[y * out_stride + x] = sums[i][j];
        }
    }
}

// Eight warps, four down and two across; each forms 32 x 64 entries as 2 x 8 fragments of 16 x 8.
__device__ inline void byte_products_words(const int* __restrict__ rows, const int* __restrict__ cols, long long words,
                                         int* __restrict__ out, long long out_stride, long long height,
                                         long long width) {
    __shared__ int left[BYTE_TILE][BYTE_PITCH];
    __shared__ int right[BYTE_TILE][BYTE_PITCH];
    constexpr int DOWN = 2;
    constexpr int ACROSS = 8;
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int g = lane / 4;
    const int t = lane % 4;
    const int y0 = (warp / 2) * 16 * DOWN;
    const int x0 = (warp % 2) * 8 * ACROSS;
    const long long top = static_cast<long long>(blockIdx.y) * BYTE_TILE;
    const long long first = static_cast<long long>(blockIdx.x) * BYTE_TILE;
    int sums[DOWN][ACROSS][4] = {};
    for (long long start = 0; start < words; start += BYTE_WORDS) {
        load_bytes(left, rows, words, top, height, start);
        load_bytes(right, cols, words, first, width, start);
        __syncthreads();
#pragma unroll
        for (int k = 0; k < BYTE_WORDS; k += 8) {  // 32 columns are 8 words
            int a[DOWN][4];
#pragma unroll
            for (int i = 0; i < DOWN; ++i) {
                const int y = y0 + 16 * i + g;
                a[i][0] = left[y][k + t];
                a[i][1] = left[y + 8][k + t];
                a[i][2] = left[y][k + 4 + t];
                a[i][3] = left[y + 8][k + 4 + t];
            }
#pragma unroll
            for (int j = 0; j < ACROSS; ++j) {
                const int x = x0 + 8 * j + g;
                const int b[2] = {right[x][k + t], right[x][k + 4 + t]};
#pragma unroll
                for (int i = 0; i < DOWN; ++i) mma_bytes(sums[i][j], a[i], b);
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < DOWN; ++i) {
#pragma unroll
        for (int j = 0; j < ACROSS; ++j) {
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                const long long y = top + y0 + 16 * i + g + (e / 2) * 8;
                const long long x = first + x0 + 8 * j + 2 * t + e % 2;
                if (y < height && x < width) out[y * out_stride + x] = sums[i][j][e];
            }
        }
    }
}

// A stage holds 64 bytes of 128 rows of each side, four chunks of 16 bytes a row. Chunk c of row r stands where chunk
// c ^ (r / 2) % 4 would: any eight rows one after the other then have their chunk c in eight different groups of four
// banks, two rows in each 128 bytes, so that neither `load_matrices` nor the copies meet a conflict.
constexpr int STAGES = 3;
constexpr int STAGE_THREADS = 128;

__device__ inline int chunk_place(int row, int chunk) { return row * BYTE_DEPTH + 16 * (chunk ^ (row / 2 % 4)); }

// Bytes start ... start + 63 of rows first ... first + 127; rows beyond the last are zero. Four threads have one row.
__device__ inline void copy_stage(signed char* stage, const signed char* __restrict__ rows, long long bytes,
                                  long long first, long long count, long long start) {
    const int thread = static_cast<int>(threadIdx.x);
    const int chunk = thread % 4;
#pragma unroll
    for (int turn = 0; turn < BYTE_TILE * 4 / STAGE_THREADS; ++turn) {
        const int line = thread / 4 + turn * (STAGE_THREADS / 4);
        const bool live = first + line < count;
        const signed char* source = rows + (live ? first + line : 0) * bytes + start + 16 * chunk;
        copy_sixteen(stage + chunk_place(line, chunk), source, live);
    }
}

// Four warps, two down and two across; each forms 64 x 64 entries as 4 x 8 fragments of 16 x 8. Rows and columns are
// `bytes` long, a multiple of 64, and begin at multiples of 16 bytes.
__device__ inline void byte_products_mma(const signed char* __restrict__ rows, const signed char* __restrict__ cols,
                                         long long bytes, int* __restrict__ out, long long out_stride,
                                         long long height, long long width) {
    alignas(128) __shared__ signed char left[STAGES][BYTE_TILE * BYTE_DEPTH];
    alignas(128) __shared__ signed char right[STAGES][BYTE_TILE * BYTE_DEPTH];
    constexpr int DOWN = 4;
    constexpr int ACROSS = 8;
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int y0 = (warp / 2) * 16 * DOWN;
    const int x0 = (warp % 2) * 8 * ACROSS;
    const long long top = static_cast<long long>(blockIdx.y) * BYTE_TILE;
    const long long first = static_cast<long long>(blockIdx.x) * BYTE_TILE;
    const long long steps = bytes / BYTE_DEPTH;
    int sums[DOWN][ACROSS][4] = {};
#pragma unroll
    for (int stage = 0; stage < STAGES - 1; ++stage) {
        if (stage < steps) {
            copy_stage(left[stage], rows, bytes, top, height, stage * BYTE_DEPTH);
            copy_stage(right[stage], cols, bytes, first, width, stage * BYTE_DEPTH);
        }
        commit_copies();
    }
    int stage = 0;
    for (long long step = 0; step < steps; ++step) {
        // Groups are counted, empty ones too: all but the newest have arrived, and with them this step's. Past the
        // barrier nobody reads the stage of the step before, which the next copies overwrite.
        wait_for_copies<STAGES - 2>();
        __syncthreads();
        const long long ahead = step + STAGES - 1;
        const int free = stage == 0 ? STAGES - 1 : stage - 1;
        if (ahead < steps) {
            copy_stage(left[free], rows, bytes, top, height, ahead * BYTE_DEPTH);
            copy_stage(right[free], cols, bytes, first, width, ahead * BYTE_DEPTH);
        }
        commit_copies();
#pragma unroll
        for (int k = 0; k < BYTE_DEPTH / 16; k += 2) {  // 32 columns are 2 chunks
            int a[DOWN][4];
#pragma unroll
            for (int i = 0; i < DOWN; ++i) {
                // Matrices: rows 0 and 8 of the first chunk, then of the second.
                const int row = y0 + 16 * i + lane % 16;
                load_matrices(a[i], left[stage] + chunk_place(row, k + lane / 16));
            }
#pragma unroll
            for (int j = 0; j < ACROSS; j += 2) {
                // Matrices: both chunks of columns 0, then of columns 8.
                const int row = x0 + 8 * j + lane % 8 + lane / 16 * 8;
                int b[4];
                load_matrices(b, right[stage] + chunk_place(row, k + lane / 8 % 2));
                const int near[2] = {b[0], b[1]};
                const int far[2] = {b[2], b[3]};
#pragma unroll
                for (int i = 0; i < DOWN; ++i) {
                    mma_bytes(sums[i][j], a[i], near);
                    mma_bytes(sums[i][j + 1], a[i], far);
                }
            }
        }
        stage = stage == STAGES - 1 ? 0 : stage + 1;
    }
    // Four lanes have 32 bytes of a row between them, which leave as one sector where rows begin at even columns.
    const bool paired = out_stride % 2 == 0 && reinterpret_cast<unsigned long long>(out) % 8 == 0;
#pragma unroll
    for (int i = 0; i < DOWN; ++i) {
#pragma unroll
        for (int j = 0; j < ACROSS; ++j) {
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const long long y = top + y0 + 16 * i + lane / 4 + 8 * half;
                const long long x = first + x0 + 8 * j + 2 * (lane % 4);
                if (y >= height || x >= width) continue;
                int* target = out + y * out_stride + x;
                if (paired && x + 1 < width) {
                    *reinterpret_cast<int2*>(target) = int2{sums[i][j][2 * half], sums[i][j][2 * half + 1]};
                } else {
                    target[0] = sums[i][j][2 * half];
                    if (x + 1 < width) target[1] = sums[i][j][2 * half + 1];
                }
            }
        }
    }
}

}  // namespace kernelfit
