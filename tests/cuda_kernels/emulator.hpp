// Runs CUDA kernels on the host, block after block. The threads of a block are fibres. A warp runs until all of it
// waits at a barrier of the block, and only then the next one does; which comes first, and which lane within a warp,
// is the caller's choice. A kernel that lacks a barrier gives another result in another order. Copies that do not
// wait land at once in some orders, and at the latest moment in the others. What hardware would not take (addresses
// that are not aligned, lanes that do not meet) is a fault, which the launch returns.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <ucontext.h>
#include <utility>
#include <vector>

#define KERNELFIT_HOST 1
#define __host__
#define __device__
#define __global__
#define __launch_bounds__(...)
#define __shared__ static

struct Triple {
    unsigned int x, y, z;
};

struct alignas(8) int2 {
    int x, y;
};

struct alignas(16) float4 {
    float x, y, z, w;
};

extern "C" {
long long bank_conflicts;
}

static Triple gridDim, blockDim, blockIdx, threadIdx;

namespace emulator {

constexpr std::size_t STACK = 128 * 1024;
constexpr std::size_t LANES = 32;

enum class State { RUNS, AT_WARP, AT_BLOCK, FINISHED };

struct Copy {
    void* target;
    const void* source;
    bool live;
};

struct Fibre {
    ucontext_t context;
    Triple index;
    State state = State::FINISHED;
    std::vector<char> stack;
    std::vector<std::vector<Copy>> groups;  // of copies under way, the last one not yet ended
};

static ucontext_t scheduler;
static std::vector<Fibre> fibres;
static std::size_t current;
static const std::function<void()>* body;
static bool late;
static const char* fault;

inline void wait_at(State state) {
    const Triple mine = threadIdx;
    fibres[current].state = state;
    swapcontext(&fibres[current].context, &scheduler);
    threadIdx = mine;
}

inline void require(bool right, const char* what) {
    if (!right && fault == nullptr) fault = what;
}

inline bool aligned(const void* address) { return reinterpret_cast<std::uintptr_t>(address) % 16 == 0; }

inline void land(const Copy& copy) {
    if (copy.live) {
        std::memcpy(copy.target, copy.source, 16);
    } else {
        std::memset(copy.target, 0, 16);
    }
}

inline void enter() {
    threadIdx = fibres[current].index;
    (*body)();
    fibres[current].state = State::FINISHED;
}

// 0: as numbered, 1: backwards, 2: odd ones first.
inline std::size_t pick(std::size_t step, std::size_t count, int order) {
    if (order == 1) return count - 1 - step;
    if (order == 2) return step < count / 2 ? 2 * step + 1 : 2 * (step - count / 2);
    return step;
}

inline void start(std::size_t count) {
    if (fibres.size() < count) fibres.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
        Fibre& fibre = fibres[i];
        fibre.stack.resize(STACK);
        fibre.state = State::RUNS;
        fibre.groups.assign(1, {});
        fibre.index = {static_cast<unsigned>(i % blockDim.x), static_cast<unsigned>(i / blockDim.x % blockDim.y),
                       static_cast<unsigned>(i / blockDim.x / blockDim.y)};
        getcontext(&fibre.context);
        fibre.context.uc_stack.ss_sp = fibre.stack.data();
        fibre.context.uc_stack.ss_size = STACK;
        fibre.context.uc_link = &scheduler;
        makecontext(&fibre.context, enter, 0);
    }
}

// Lanes first ... first + count - 1 until all of them wait for the block or are done.
inline void run_warp(std::size_t first, std::size_t count, int order) {
    for (bool left = true; left && fault == nullptr;) {
        std::size_t meeting = 0;
        for (std::size_t step = 0; step < count; ++step) {
            current = first + pick(step, count, order);
            const State state = fibres[current].state;
            if (state == State::FINISHED || state == State::AT_BLOCK) continue;
            fibres[current].state = State::RUNS;
            swapcontext(&scheduler, &fibres[current].context);
            meeting += fibres[current].state == State::AT_WARP;
        }
        require(meeting == 0 || meeting == LANES, "lanes of a warp do not meet");
        left = meeting != 0;
    }
}

inline void run_block(const std::function<void()>& kernel, int order) {
    const std::size_t count = static_cast<std::size_t>(blockDim.x) * blockDim.y * blockDim.z;
    const std::size_t warps = (count + LANES - 1) / LANES;
    body = &kernel;
    late = order == 1;
    start(count);
    for (bool left = true; left && fault == nullptr;) {
        for (std::size_t step = 0; step < warps; ++step) {
            const std::size_t first = pick(step, warps, order) * LANES;
            run_warp(first, count - first < LANES ? count - first : LANES, order);
        }
        left = false;
        for (std::size_t i = 0; i < count; ++i) {
            if (fibres[i].state != State::AT_BLOCK) continue;
            fibres[i].state = State::RUNS;
            left = true;
        }
    }
}

template <typename... A, std::size_t... I>
void run(void (*kernel)(A...), const unsigned* shape, void** arguments, int order, std::index_sequence<I...>) {
    gridDim = {shape[0], shape[1], shape[2]};
    blockDim = {shape[3], shape[4], shape[5]};
    const std::function<void()> call = [&] { kernel(*static_cast<std::remove_cv_t<A>*>(arguments[I])...); };
    for (unsigned z = 0; z < gridDim.z; ++z) {
        for (unsigned y = 0; y < gridDim.y; ++y) {
            for (unsigned x = 0; x < gridDim.x; ++x) {
                blockIdx = {x, y, z};
                run_block(call, order);
            }
        }
    }
}

// What hardware would not have taken, or null.
template <typename... A>
const char* launch(void (*kernel)(A...), const unsigned* shape, void** arguments, int order) {
    fault = nullptr;
    run(kernel, shape, arguments, order, std::index_sequence_for<A...>{});
    return fault;
}

template <typename... A>
int arity(void (*)(A...)) {
    return static_cast<int>(sizeof...(A));
}

}  // namespace emulator

inline void __syncthreads() { emulator::wait_at(emulator::State::AT_BLOCK); }

inline double __dmul_rn(double a, double b) {
    volatile double product = a * b;
    return product;
}

namespace kernelfit {

// The functions of tensor.cuh, from the manual of PTX. Lanes of a warp meet where the instruction is `.sync`.

inline void copy_sixteen(void* target, const void* source, bool live) {
    emulator::require(emulator::aligned(target) && emulator::aligned(source), "cp.async of an odd address");
    const emulator::Copy copy{target, source, live};
    if (emulator::late) {
        emulator::fibres[emulator::current].groups.back().push_back(copy);
    } else {
        emulator::land(copy);
    }
}

inline void commit_copies() { emulator::fibres[emulator::current].groups.emplace_back(); }

template <int LEFT>
inline void wait_for_copies() {
    auto& groups = emulator::fibres[emulator::current].groups;
    // The last one has not ended, and nobody waits for it.
    while (groups.size() > LEFT + 1) {
        for (const emulator::Copy& copy : groups.front()) emulator::land(copy);
        groups.erase(groups.begin());
    }
}

inline int flat_thread() {
    return static_cast<int>((threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x);
}

inline void load_matrices(int (&r)[4], const void* row) {
    static const void* rows[32][32];
    const int warp = flat_thread() / 32;
    const int lane = flat_thread() % 32;
    emulator::require(emulator::aligned(row), "ldmatrix of an odd address");
    rows[warp][lane] = row;
    emulator::wait_at(emulator::State::AT_WARP);
    for (int m = 0; m < 4; ++m) std::memcpy(&r[m], static_cast<const char*>(rows[warp][8 * m + lane / 4]) + 4 * (lane % 4), 4);
    if (lane < 4) {  // the eight rows of one matrix are read together: 16 bytes from each eighth of the banks
        bool taken[8] = {};
        for (int i = 0; i < 8; ++i) {
            const auto eighth = reinterpret_cast<std::uintptr_t>(rows[warp][8 * lane + i]) / 16 % 8;
            ::bank_conflicts += taken[eighth];
            taken[eighth] = true;
        }
    }
    emulator::wait_at(emulator::State::AT_WARP);
}

// Four bytes at a time, as the PTX instruction dp4a has it.
template <typename A>
inline int dot_of_bytes(int a, int b, int sum) {
    for (int byte = 0; byte < 4; ++byte) sum += static_cast<A>(a >> (8 * byte)) * static_cast<int8_t>(b >> (8 * byte));
    return sum;
}

inline int dot_of_four(int a, int b, int sum) { return dot_of_bytes<int8_t>(a, b, sum); }

// mma.sync.m16n8k32, from the fragment tables of the PTX manual: every lane lays its words down, then each computes its
// four entries of C.
template <typename Byte>
inline void mma_of(int (&c)[4], const int (&a)[4], const int (&b)[2]) {
    static Byte A[32][16][32];
    static int8_t B[32][32][8];
    const int warp = flat_thread() / 32;
    const int lane = flat_thread() % 32;
    const int group = lane >> 2;
    const int in_group = lane % 4;
    for (int i = 0; i < 16; ++i) {
        const int row = (i < 4 || (i >= 8 && i < 12)) ? group : group + 8;
        const int column = in_group * 4 + (i & 3) + (i >= 8 ? 16 : 0);
        A[warp][row][column] = static_cast<Byte>(a[i / 4] >> (8 * (i % 4)));
    }
    for (int i = 0; i < 8; ++i) {
        const int row = in_group * 4 + (i & 3) + (i >= 4 ? 16 : 0);
        B[warp][row][group] = static_cast<int8_t>(b[i / 4] >> (8 * (i % 4)));
    }
    emulator::wait_at(emulator::State::AT_WARP);
    for (int i = 0; i < 4; ++i) {
        const int row = i < 2 ? group : group + 8;
        const int column = in_group * 2 + (i & 1);
        unsigned sum = static_cast<unsigned>(c[i]);
        for (int k = 0; k < 32; ++k) sum += static_cast<unsigned>(A[warp][row][k] * B[warp][k][column]);
        c[i] = static_cast<int>(sum);
    }
    emulator::wait_at(emulator::State::AT_WARP);
}

inline void mma_bytes(int (&c)[4], const int (&a)[4], const int (&b)[2]) { mma_of<int8_t>(c, a, b); }

inline void mma_pixels(int (&c)[4], const int (&a)[4], const int (&b)[2]) { mma_of<uint8_t>(c, a, b); }

}  // namespace kernelfit
