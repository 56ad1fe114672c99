// Exact inner products of centred bytes: out_ij = sum_k a_ik b_jk in int32, rows padded with zeros to a multiple of 64.
//
// Two ways: dp4a, four products an instruction on any GPU, and mma.sync m16n8k32 on the tensor cores. Both form a
// tile of 128 x 128 per block from 64 columns at a time in shared memory.
#pragma once

namespace kernelfit {

constexpr int BYTE_TILE = 128;
constexpr int BYTE_DEPTH = 64;
constexpr int BYTE_WORDS = BYTE_DEPTH / 4;
constexpr int BYTE_THREADS = 256;
// A row of 16 words is followed by 4 unused ones: rows begin 20 words apart, and the eight rows that the lanes of a
// warp read for one fragment fall on different banks.
constexpr int BYTE_PITCH = BYTE_WORDS + 4;

#if !defined(KERNELFIT_HOST)
__device__ inline int dot_of_four(int a, int b, int sum) { return __dp4a(a, b, sum); }

// c += A B for a 16 x 32 block of A, row-major, and a 32 x 8 block of B, column-major, spread over a warp. With
// g = lane / 4 and t = lane % 4 a lane holds, four bytes to a word: a = rows (g, g + 8, g, g + 8), columns 4t (first
// two) and 16 + 4t (last two); b = rows 4t and 16 + 4t of column g; c = (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t +
// 1).
__device__ inline void mma_bytes(int (&c)[4], const int (&a)[4], const int (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};\n"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

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
__device__ inline void byte_products_mma(const int* __restrict__ rows, const int* __restrict__ cols, long long words,
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

}  // namespace kernelfit
