// The random convolution net: patches, their products with filters, two thresholds, averages over windows. Neither
// patches nor responses are written to memory. See kernelfit.features.random_conv for the formula.
#pragma once

#include "grid.cuh"

namespace kernelfit {

constexpr int CONV_POSITIONS = 128;  // responses of one filter at a time: whole rows of the response image
constexpr int CONV_FILTERS = 64;     // filters of one block
constexpr int CONV_DEPTH = 16;       // values of a patch at a time
constexpr int CONV_SIDE = 16;        // 16 x 16 threads, each with 8 positions of 4 filters, side by side
constexpr int CONV_PITCH = CONV_FILTERS + 4;  // of rows of responses, which begin at multiples of 16 bytes
constexpr int CONV_WINDOWS = 16;     // pooling windows at most
constexpr float CONV_FLAT = 1e-5f;   // a patch with less contrast than this share of its length is flat

// An image is laid out (height, width, channels), the values of a patch are numbered (channel, row, column).
struct Patches {
    long long height, width, channels, size_y, size_x;

    __host__ __device__ long long down() const { return height - size_y + 1; }
    __host__ __device__ long long across() const { return width - size_x + 1; }
    __host__ __device__ long long positions() const { return down() * across(); }
    __host__ __device__ long long values() const { return size_y * size_x * channels; }
    __host__ __device__ long long pixels() const { return height * width * channels; }
};

// Mean and root / sqrt(|p - mean p|^2 + offset) of every patch p, with no offset 0 where it is flat, from sums in
// float64: (images, positions, 2).
template <typename P>
__device__ void patch_statistics(const P* __restrict__ images, Patches shape, double root, double offset,
                                 float* __restrict__ statistics, long long count) {
    const long long positions = shape.positions();
    const long long all = count * positions;
    for_each(all, [=](long long place) {
        const P* image = images + place / positions * shape.pixels();
        const long long y = place % positions / shape.across();
        const long long x = place % positions % shape.across();
        double total = 0.0;
        double squares = 0.0;
        for (long long i = 0; i < shape.size_y; ++i) {
            const P* line = image + ((y + i) * shape.width + x) * shape.channels;
            for (long long k = 0; k < shape.size_x * shape.channels; ++k) {
                const double value = static_cast<double>(static_cast<float>(line[k]));
                total += value;
                squares += value * value;
            }
        }
        const double variance = squares - total * total / static_cast<double>(shape.values());
        const bool flat = offset == 0.0 && !(variance > static_cast<double>(CONV_FLAT) * CONV_FLAT * squares);
        const double length = sqrt((variance > 0.0 ? variance : 0.0) + offset);
        statistics[2 * place] = static_cast<float>(total / static_cast<double>(shape.values()));
        statistics[2 * place + 1] = flat ? 0.0f : static_cast<float>(root / length);
    });
}

__host__ __device__ inline float above_threshold(float response, float threshold) {
    return response > threshold ? response - threshold : 0.0f;
}

__host__ __device__ inline float below_threshold(float response, float threshold) {
    return -response > threshold ? -response - threshold : 0.0f;
}

// A pooled response, or its square root; unless `step` is 0, the nearest of 0 to 255 steps.
__host__ __device__ inline float feature_of(float pooled, bool root, float step) {
    const float feature = root ? sqrtf(pooled) : pooled;
    return step == 0.0f ? feature : step * fminf(rintf(feature / step), 255.0f);
}

// Four floats that begin at a multiple of 16 bytes.
__device__ inline void load_four(float* target, const float* source) {
    const float4 four = *reinterpret_cast<const float4*>(source);
    target[0] = four.x;
    target[1] = four.y;
    target[2] = four.z;
    target[3] = four.w;
}

// out (images, out_stride), columns ordered (filter, sign, window). `folded` is (values, filters), row-major with rows
// `folded_stride` apart. Windows are the products of `window_rows` row spans with `window_columns` column spans, given
// as start, stop pairs. `root`: features are square roots of averages. blockIdx.x is the image, blockIdx.y the group of filters.
template <typename P>
__device__ void random_conv(const P* __restrict__ images, Patches shape, const float* __restrict__ statistics,
                            const long long* __restrict__ places, const float* __restrict__ folded,
                            long long folded_stride, long long filters, const float* __restrict__ above,
                            const float* __restrict__ below, const long long* __restrict__ row_spans,
                            long long window_rows, const long long* __restrict__ column_spans,
                            long long window_columns, double step, long long root, float* __restrict__ out,
                            long long out_stride) {
    alignas(16) __shared__ float buffer[CONV_POSITIONS * CONV_PITCH];
    __shared__ float sums[2 * CONV_WINDOWS][CONV_FILTERS];
    // Patches and filters are read from the buffer first, responses written to it when both are no longer needed.
    float (*patches)[CONV_POSITIONS] = reinterpret_cast<float (*)[CONV_POSITIONS]>(buffer);
    float (*weights)[CONV_FILTERS] = reinterpret_cast<float (*)[CONV_FILTERS]>(buffer + CONV_DEPTH * CONV_POSITIONS);
    float (*responses)[CONV_PITCH] = reinterpret_cast<float (*)[CONV_PITCH]>(buffer);

    constexpr int EACH_POSITION = CONV_POSITIONS / CONV_SIDE;
    constexpr int EACH_FILTER = CONV_FILTERS / CONV_SIDE;
    constexpr int THREADS = CONV_SIDE * CONV_SIDE;
    const int thread = static_cast<int>(threadIdx.x);
    const int tx = thread % CONV_SIDE;
    const int ty = thread / CONV_SIDE;
    const long long first = static_cast<long long>(blockIdx.y) * CONV_FILTERS;
    const P* image = images + static_cast<long long>(blockIdx.x) * shape.pixels();
    const float* mean_and_factor = statistics + static_cast<long long>(blockIdx.x) * shape.positions() * 2;
    const long long windows = window_rows * window_columns;
    const long long across = shape.across();
    const long long rows_at_once = CONV_POSITIONS / across;

    for (int place = thread; place < 2 * CONV_WINDOWS * CONV_FILTERS; place += THREADS) {
        sums[place / CONV_FILTERS][place % CONV_FILTERS] = 0.0f;
    }
    for (long long y0 = 0; y0 < shape.down(); y0 += rows_at_once) {
        const long long y1 = y0 + rows_at_once < shape.down() ? y0 + rows_at_once : shape.down();
        const long long here = (y1 - y0) * across;
        float r[EACH_POSITION][EACH_FILTER] = {};
        // A thread always loads values of the same patch.
        const int mine = thread % CONV_POSITIONS;
        const bool live = mine < here;
        const long long position = y0 * across + (live ? mine : 0);
        const P* corner = image + (position / across * shape.width + position % across) * shape.channels;
        const float mean = mean_and_factor[2 * position];
        const float factor = mean_and_factor[2 * position + 1];
        for (long long start = 0; start < shape.values(); start += CONV_DEPTH) {
#pragma unroll
            for (int k = thread / CONV_POSITIONS; k < CONV_DEPTH; k += THREADS / CONV_POSITIONS) {
                const bool inside = live && start + k < shape.values();
                patches[k][mine] = inside ? (static_cast<float>(corner[places[start + k]]) - mean) * factor : 0.0f;
            }
            for (int place = thread; place < CONV_DEPTH * CONV_FILTERS; place += THREADS) {
                const int k = place / CONV_FILTERS;
                const int f = place % CONV_FILTERS;
                const bool inside = start + k < shape.values() && first + f < filters;
                weights[k][f] = inside ? folded[(start + k) * folded_stride + first + f] : 0.0f;
            }
            __syncthreads();
#pragma unroll
            for (int k = 0; k < CONV_DEPTH; ++k) {
                float p[EACH_POSITION];
                float w[EACH_FILTER];
#pragma unroll
                for (int e = 0; e < EACH_POSITION; e += 4) load_four(p + e, &patches[k][ty * EACH_POSITION + e]);
                load_four(w, &weights[k][tx * EACH_FILTER]);
#pragma unroll
                for (int i = 0; i < EACH_POSITION; ++i) {
#pragma unroll
                    for (int j = 0; j < EACH_FILTER; ++j) r[i][j] += p[i] * w[j];
                }
            }
            __syncthreads();
        }
#pragma unroll
        for (int i = 0; i < EACH_POSITION; ++i) {
            *reinterpret_cast<float4*>(&responses[ty * EACH_POSITION + i][tx * EACH_FILTER]) =
                float4{r[i][0], r[i][1], r[i][2], r[i][3]};
        }
        __syncthreads();
        // A thread owns a filter and every fourth window, so that no two threads add to the same sum.
        const int f = thread % CONV_FILTERS;
        if (first + f < filters) {
            const float t = above[first + f];
            const float u = below[first + f];
            for (long long w = thread / CONV_FILTERS; w < windows; w += THREADS / CONV_FILTERS) {
                const long long* row_span = row_spans + 2 * (w / window_columns);
                const long long* column_span = column_spans + 2 * (w % window_columns);
                const long long top = row_span[0] > y0 ? row_span[0] : y0;
                const long long bottom = row_span[1] < y1 ? row_span[1] : y1;
                float positive = 0.0f;
                float negative = 0.0f;
                for (long long y = top; y < bottom; ++y) {
                    for (long long x = column_span[0]; x < column_span[1]; ++x) {
                        const float response = responses[(y - y0) * across + x][f];
                        positive += above_threshold(response, t);
                        negative += below_threshold(response, u);
                    }
                }
                sums[2 * w][f] += positive;
                sums[2 * w + 1][f] += negative;
            }
        }
        __syncthreads();
    }
    const int f = thread % CONV_FILTERS;
    if (first + f < filters) {
        float* line = out + static_cast<long long>(blockIdx.x) * out_stride + (first + f) * 2 * windows;
        for (long long w = thread / CONV_FILTERS; w < windows; w += THREADS / CONV_FILTERS) {
            const long long* row_span = row_spans + 2 * (w / window_columns);
            const long long* column_span = column_spans + 2 * (w % window_columns);
            const float area = static_cast<float>((row_span[1] - row_span[0]) * (column_span[1] - column_span[0]));
            line[w] = feature_of(sums[2 * w][f] / area, root != 0, static_cast<float>(step));
            line[windows + w] = feature_of(sums[2 * w + 1][f] / area, root != 0, static_cast<float>(step));
        }
    }
}

}  // namespace kernelfit
