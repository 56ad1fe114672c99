// The random convolution net on images of bytes, through the tensor cores. A filter whose values add up to zero cannot
// tell a patch from the patch less its mean: r = <f, p> / |p - mean p|. Filters are integers of 16 bits, 256 h + l with
// two signed bytes, so that <f, p> is two exact products of bytes; see kernelfit.features.byte_responses, whose responses
// these are, bit for bit. Windows are then averaged in float32.
#pragma once

#include "random_conv.cuh"
#include "tensor.cuh"

namespace kernelfit {

constexpr int PIXEL_THREADS = 128;
constexpr int PIXEL_POSITIONS = 64;  // responses of one filter at a time
constexpr int PIXEL_FILTERS = 64;    // filters of one block
constexpr int PIXEL_CHUNK = 128;     // bytes of a filter at a time
constexpr int PIXEL_WORDS = 256;     // words of four bytes of a patch at most
// Rows of 72 floats: where two lanes of a half warp write, rows differ by 8 banks or columns by 2.
constexpr int PIXEL_PITCH = PIXEL_FILTERS + 8;
constexpr int PIXEL_BAND = PIXEL_POSITIONS * PIXEL_PITCH;  // bytes of the lines of an image that 64 patches lie in

// Filters of a block: high bytes of 64, then low ones; chunks of 16 bytes stand so that eight rows one after the other
// have the same chunk in eight different groups of four banks.
__device__ inline int weight_place(int row, int chunk) { return row * PIXEL_CHUNK + 16 * (chunk ^ (row % 8)); }

// What is constant while a block works.
struct PixelNet {
    const int* places;         // of each word of a patch, in bytes from its first pixel
    const signed char* packed; // (filters, 2, bytes): high bytes, low bytes; zero beyond the patch
    const float* units;        // of each filter
    long long bytes;           // a multiple of 32
    long long filters;
    const float* above;
    const float* below;
};

__device__ inline void copy_weights(signed char* weights, const PixelNet& net, long long first, long long start) {
    const int thread = static_cast<int>(threadIdx.x);
    const int chunk = thread % 8;
    if (start + 16 * chunk < net.bytes) {
#pragma unroll 1  // not where the time goes, and registers are short
        for (int turn = 0; turn < 2 * PIXEL_FILTERS * 8 / PIXEL_THREADS; ++turn) {
            const int row = thread / 8 + turn * (PIXEL_THREADS / 8);
            const long long filter = first + row % PIXEL_FILTERS;
            const bool live = filter < net.filters;
            const long long line = 2 * (live ? filter : 0) + row / PIXEL_FILTERS;
            copy_sixteen(weights + weight_place(row, chunk), net.packed + line * net.bytes + start + 16 * chunk, live);
        }
    }
    commit_copies();
}

// words[k] <- bytes k ... k + 3 of the band, zeros beyond its end.
__device__ inline void spread_band(int* words, const unsigned char* __restrict__ band, int length) {
    for (int k = static_cast<int>(threadIdx.x); k < length; k += PIXEL_THREADS) {
        unsigned word = 0;
#pragma unroll
        for (int i = 0; i < 4; ++i) word |= k + i < length ? static_cast<unsigned>(band[k + i]) << (8 * i) : 0u;
        words[k] = static_cast<int>(word);
    }
}

// high and low += products of 32 patches, whose words begin at `corners`, with 32 filters; `steps` times 32 bytes.
__device__ inline void add_pixels(int (&sums)[2][2][4][4], const int* words, const int (&corners)[2][2],
                                  const int* places, const signed char* weights, int x0, int steps) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll 2
    for (int step = 0; step < steps; ++step) {
        const int near = places[8 * step + lane % 4];
        const int far = places[8 * step + 4 + lane % 4];
        int a[2][4];
#pragma unroll
        for (int i = 0; i < 2; ++i) {
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                a[i][half] = words[corners[i][half] + near];
                a[i][2 + half] = words[corners[i][half] + far];
            }
        }
#pragma unroll
        for (int part = 0; part < 2; ++part) {
#pragma unroll
            for (int j = 0; j < 4; j += 2) {
                // Matrices: both chunks of filters 0, then of filters 8.
                const int row = part * PIXEL_FILTERS + x0 + 8 * j + lane % 8 + lane / 16 * 8;
                int b[4];
                load_matrices(b, weights + weight_place(row, 2 * step + lane / 8 % 2));
                const int left[2] = {b[0], b[1]};
                const int right[2] = {b[2], b[3]};
#pragma unroll
                for (int i = 0; i < 2; ++i) {
                    mma_pixels(sums[part][i][j], a[i], left);
                    mma_pixels(sums[part][i][j + 1], a[i], right);
                }
            }
        }
    }
}

// As `random_conv`, and the same arguments where their names are; blockIdx.y is the group of 64 filters.
__device__ inline void random_conv_bytes(const unsigned char* __restrict__ images, Patches shape,
                                         const float* __restrict__ statistics, PixelNet net,
                                         const long long* __restrict__ row_spans, long long window_rows,
                                         const long long* __restrict__ column_spans, long long window_columns,
                                         double step, long long root, float* __restrict__ out, long long out_stride) {
    alignas(128) __shared__ signed char weights[2 * PIXEL_FILTERS * PIXEL_CHUNK];
    // The band of the image is read first, responses are written here when it is no longer needed.
    alignas(16) __shared__ float buffer[PIXEL_POSITIONS * PIXEL_PITCH];
    __shared__ float sums[2 * CONV_WINDOWS][PIXEL_FILTERS + 1];
    __shared__ int places[PIXEL_WORDS];
    __shared__ int spans[2][2 * CONV_WINDOWS];
    int* words = reinterpret_cast<int*>(buffer);
    const int thread = static_cast<int>(threadIdx.x);
    const int lane = thread % 32;
    const int y0 = thread / 64 * 32;       // of the warp's 32 positions
    const int x0 = thread / 32 % 2 * 32;   // of its 32 filters
    const int mine = thread % PIXEL_FILTERS;  // the filter whose responses this thread adds up,
    const int sign = thread / PIXEL_FILTERS;  // above (0) or below (1) the threshold
    const int windows = static_cast<int>(window_rows * window_columns);
    const int across = static_cast<int>(shape.across());
    const int positions = static_cast<int>(shape.positions());
    const int line = static_cast<int>(shape.width * shape.channels);
    const long long first = static_cast<long long>(blockIdx.y) * PIXEL_FILTERS;
    const unsigned char* image = images + static_cast<long long>(blockIdx.x) * shape.pixels();
    const float* factors = statistics + static_cast<long long>(blockIdx.x) * positions * 2 + 1;
    const bool owner = first + mine < net.filters;
    const float threshold = owner ? (sign == 0 ? net.above : net.below)[first + mine] : 0.0f;

    for (int k = thread; k < net.bytes / 4; k += PIXEL_THREADS) places[k] = net.places[k];
    for (int k = thread; k < 2 * window_rows; k += PIXEL_THREADS) spans[0][k] = static_cast<int>(row_spans[k]);
    for (int k = thread; k < 2 * window_columns; k += PIXEL_THREADS) spans[1][k] = static_cast<int>(column_spans[k]);
    for (int w = 0; w < windows; ++w) sums[2 * w + sign][mine] = 0.0f;

    for (int p0 = 0; p0 < positions; p0 += PIXEL_POSITIONS) {
        const int live = positions - p0 < PIXEL_POSITIONS ? positions - p0 : PIXEL_POSITIONS;
        const int top = p0 / across;
        const int bottom = (p0 + live - 1) / across + 1;
        if (p0 == 0 || net.bytes > PIXEL_CHUNK) copy_weights(weights, net, first, 0);
        spread_band(words, image + static_cast<long long>(top) * line,
                    (bottom - top + static_cast<int>(shape.size_y) - 1) * line);
        int corners[2][2];
        float factor[2][2];
#pragma unroll
        for (int i = 0; i < 2; ++i) {
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const int within = y0 + 16 * i + 8 * half + lane / 4;
                const int p = p0 + (within < live ? within : 0);
                corners[i][half] = (p / across - top) * line + p % across * static_cast<int>(shape.channels);
                factor[i][half] = factors[2 * static_cast<long long>(p)];
            }
        }
        int products[2][2][4][4] = {};
        for (int start = 0; start < net.bytes; start += PIXEL_CHUNK) {
            if (start > 0) {
                __syncthreads();
                copy_weights(weights, net, first, start);
            }
            wait_for_copies<0>();
            __syncthreads();
            const int left = static_cast<int>(net.bytes) - start;
            add_pixels(products, words, corners, places + start / 4, weights, x0,
                       (left < PIXEL_CHUNK ? left : PIXEL_CHUNK) / 32);
        }
        __syncthreads();
#pragma unroll
        for (int j = 0; j < 4; ++j) {
#pragma unroll
            for (int e = 0; e < 2; ++e) {
                const int f = x0 + 8 * j + 2 * (lane % 4) + e;
                const float unit = first + f < net.filters ? net.units[first + f] : 0.0f;
#pragma unroll
                for (int i = 0; i < 2; ++i) {
#pragma unroll
                    for (int half = 0; half < 2; ++half) {
                        const unsigned high = static_cast<unsigned>(products[0][i][j][2 * half + e]);
                        const unsigned low = static_cast<unsigned>(products[1][i][j][2 * half + e]);
                        const float total = static_cast<float>(static_cast<int>(256u * high + low));
                        const int within = y0 + 16 * i + 8 * half + lane / 4;
                        buffer[within * PIXEL_PITCH + f] = total * unit * factor[i][half];
                    }
                }
            }
        }
        __syncthreads();
        // No two threads add to the same sum.
        for (int v = 0; v < window_columns; ++v) {
            for (int y = top; y < bottom; ++y) {
                const int begin = y * across - p0;  // of the row, within these positions
                const int from = begin + spans[1][2 * v] > 0 ? begin + spans[1][2 * v] : 0;
                const int to = begin + spans[1][2 * v + 1] < live ? begin + spans[1][2 * v + 1] : live;
                float total = 0.0f;
#pragma unroll 4
                for (int p = from; p < to; ++p) {
                    const float response = buffer[p * PIXEL_PITCH + mine];
                    total += above_threshold(sign == 0 ? response : -response, threshold);
                }
                for (int u = 0; u < window_rows; ++u) {
                    if (spans[0][2 * u] <= y && y < spans[0][2 * u + 1]) {
                        sums[2 * (u * static_cast<int>(window_columns) + v) + sign][mine] += total;
                    }
                }
            }
        }
        __syncthreads();
    }
    const long long here = net.filters - first < PIXEL_FILTERS ? net.filters - first : PIXEL_FILTERS;
    float* target = out + static_cast<long long>(blockIdx.x) * out_stride + first * 2 * windows;
    for (int k = thread; k < here * 2 * windows; k += PIXEL_THREADS) {
        const int f = k / (2 * windows);
        const int w = k % windows;
        const int* row_span = spans[0] + 2 * (w / static_cast<int>(window_columns));
        const int* column_span = spans[1] + 2 * (w % static_cast<int>(window_columns));
        const float area = static_cast<float>((row_span[1] - row_span[0]) * (column_span[1] - column_span[0]));
        const float pooled = sums[2 * w + k / windows % 2][f] * (1.0f / area);
        target[k] = feature_of(pooled, root != 0, static_cast<float>(step));
    }
}

}  // namespace kernelfit
