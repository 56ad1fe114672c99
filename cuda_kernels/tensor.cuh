// Bytes through the tensor cores: 16-byte copies that do not wait, fragments out of shared memory, products of fragments.
//
// The instructions are those of compute capability 8.0. Below it the same functions move words and add up by dp4a: slower,
// the same integers. Layouts are those of the PTX manual for mma.m16n8k32 with 8-bit numbers. With g = lane / 4 and
// t = lane % 4 a lane holds, four bytes to a word:
//
//     A (16 x 32, row-major)       a0 = row g, columns 4t ... 4t + 3     a1 = row g + 8, the same columns
//                                  a2 = row g, columns 16 + 4t ...       a3 = row g + 8, the same columns
//     B (32 x 8, column-major)     b0 = column g, rows 4t ... 4t + 3     b1 = column g, rows 16 + 4t ...
//     C (16 x 8)                   c0, c1 = row g, columns 2t, 2t + 1    c2, c3 = row g + 8, the same columns
#pragma once

namespace kernelfit {

#if !defined(KERNELFIT_HOST)

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define KERNELFIT_TENSOR_CORES 1
#else
#define KERNELFIT_TENSOR_CORES 0
#endif

// 16 bytes from global to shared memory, or 16 zeros; both addresses are multiples of 16. `source` is read only where it
// is live, but must be an address in any case. What was copied may be read after `wait_for_copies` by the thread that
// copied it, and after a barrier that follows by the others.
__device__ inline void copy_sixteen(void* target, const void* source, bool live) {
#if KERNELFIT_TENSOR_CORES
    const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(target));
    const int bytes = live ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(address), "l"(source), "r"(bytes) : "memory");
#else
    *static_cast<int4*>(target) = live ? *static_cast<const int4*>(source) : int4{0, 0, 0, 0};
#endif
}

// Ends a group of copies; one without any counts, too.
__device__ inline void commit_copies() {
#if KERNELFIT_TENSOR_CORES
    asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
}

// Returns when all groups of this thread but the last `LEFT` have arrived.
template <int LEFT>
__device__ inline void wait_for_copies() {
#if KERNELFIT_TENSOR_CORES
    asm volatile("cp.async.wait_group %0;\n" ::"n"(LEFT) : "memory");
#endif
}

// Four matrices of 8 rows of 16 bytes in shared memory; lane 8 m + r names row r of matrix m, an address that is a
// multiple of 16. Of matrix m a lane gets into r[m] the bytes 4t ... 4t + 3 of row g.
__device__ inline void load_matrices(int (&r)[4], const void* row) {
    const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
#if KERNELFIT_TENSOR_CORES
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
#else
    const int lane = static_cast<int>(threadIdx.x) % 32;
    for (int m = 0; m < 4; ++m) {
        const unsigned line = __shfl_sync(0xffffffffu, address, 8 * m + lane / 4) + 4 * (lane % 4);
        asm volatile("ld.shared.b32 %0, [%1];\n" : "=r"(r[m]) : "r"(line) : "memory");
    }
#endif
}

// Sums of four products: of signed bytes, and of unsigned ones with signed ones.
__device__ inline int dot_of_four(int a, int b, int sum) { return __dp4a(a, b, sum); }

__device__ inline int dot_of_pixels(int a, int b, int sum) {
    asm("dp4a.u32.s32 %0, %1, %2, %0;\n" : "+r"(sum) : "r"(a), "r"(b));
    return sum;
}

#if !KERNELFIT_TENSOR_CORES
// Every lane collects the words of its two rows and two columns from the lanes that hold them.
template <typename Dot>
__device__ inline void add_products(int (&c)[4], const int (&a)[4], const int (&b)[2], Dot dot) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    for (int from = 0; from < 4; ++from) {
        int rows[4];
        for (int i = 0; i < 4; ++i) rows[i] = __shfl_sync(0xffffffffu, a[i], lane / 4 * 4 + from);
        for (int j = 0; j < 2; ++j) {
            for (int half = 0; half < 2; ++half) {
                const int column = __shfl_sync(0xffffffffu, b[half], (2 * (lane % 4) + j) * 4 + from);
                for (int i = 0; i < 2; ++i) c[2 * i + j] = dot(rows[2 * half + i], column, c[2 * i + j]);
            }
        }
    }
}
#endif

// C += A B, both of signed bytes; sums wrap modulo 2^32.
__device__ inline void mma_bytes(int (&c)[4], const int (&a)[4], const int (&b)[2]) {
#if KERNELFIT_TENSOR_CORES
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};\n"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    add_products(c, a, b, dot_of_four);
#endif
}

// C += A B, A of unsigned bytes and B of signed ones.
__device__ inline void mma_pixels(int (&c)[4], const int (&a)[4], const int (&b)[2]) {
#if KERNELFIT_TENSOR_CORES
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};\n"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    add_products(c, a, b, dot_of_pixels);
#endif
}

#endif

}  // namespace kernelfit
