// Runs CUDA kernels on the host, block after block. The threads of a block are
// fibres: each runs until it meets a barrier, and the order in which they are
// resumed is the caller's choice. A kernel that lacks a barrier gives another
// result in another order.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
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

static Triple gridDim, blockDim, blockIdx, threadIdx;

namespace emulator {

constexpr std::size_t STACK = 128 * 1024;

struct Fibre {
  ucontext_t context;
  Triple index;
  bool finished = true;
  std::vector<char> stack;
};

static ucontext_t scheduler;
static std::vector<Fibre> fibres;
static std::size_t current;
static const std::function<void()> *body;

inline void yield() {
  const Triple mine = threadIdx;
  swapcontext(&fibres[current].context, &scheduler);
  threadIdx = mine;
}

inline void enter() {
  threadIdx = fibres[current].index;
  (*body)();
  fibres[current].finished = true;
}

// 0: as numbered, 1: backwards, 2: odd ones first.
inline std::size_t pick(std::size_t step, std::size_t count, int order) {
  if (order == 1)
    return count - 1 - step;
  if (order == 2)
    return step < count / 2 ? 2 * step + 1 : 2 * (step - count / 2);
  return step;
}

inline void run_block(const std::function<void()> &kernel, int order) {
  const std::size_t count =
      static_cast<std::size_t>(blockDim.x) * blockDim.y * blockDim.z;
  if (fibres.size() < count)
    fibres.resize(count);
  body = &kernel;
  for (std::size_t i = 0; i < count; ++i) {
    Fibre &fibre = fibres[i];
    fibre.stack.resize(STACK);
    fibre.finished = false;
    fibre.index = {static_cast<unsigned>(i % blockDim.x),
                   static_cast<unsigned>(i / blockDim.x % blockDim.y),
                   static_cast<unsigned>(i / blockDim.x / blockDim.y)};
    getcontext(&fibre.context);
    fibre.context.uc_stack.ss_sp = fibre.stack.data();
    fibre.context.uc_stack.ss_size = STACK;
    fibre.context.uc_link = &scheduler;
    makecontext(&fibre.context, enter, 0);
  }
  for (bool left = true; left;) {
    left = false;
    for (std::size_t step = 0; step < count; ++step) {
      current = pick(step, count, order);
      if (fibres[current].finished)
        continue;
      swapcontext(&scheduler, &fibres[current].context);
      left = left || !fibres[current].finished;
    }
  }
}

template <typename... A, std::size_t... I>
void run(void (*kernel)(A...), const unsigned *shape, void **arguments,
         int order, std::index_sequence<I...>) {
  gridDim = {shape[0], shape[1], shape[2]};
  blockDim = {shape[3], shape[4], shape[5]};
  const std::function<void()> call = [&] {
    kernel(*static_cast<std::remove_cv_t<A> *>(arguments[I])...);
  };
  for (unsigned z = 0; z < gridDim.z; ++z) {
    for (unsigned y = 0; y < gridDim.y; ++y) {
      for (unsigned x = 0; x < gridDim.x; ++x) {
        blockIdx = {x, y, z};
        run_block(call, order);
      }
    }
  }
}

template <typename... A>
void launch(void (*kernel)(A...), const unsigned *shape, void **arguments,
            int order) {
  run(kernel, shape, arguments, order, std::index_sequence_for<A...>{});
}

template <typename... A> int arity(void (*)(A...)) {
  return static_cast<int>(sizeof...(A));
}

} // namespace emulator

inline void __syncthreads() { emulator::yield(); }

inline double __dmul_rn(double a, double b) {
  volatile double product = a * b;
  return product;
}

namespace kernelfit {

// Four signed bytes at a time, as the PTX instruction dp4a.s32.s32 has it.
inline int dot_of_four(int a, int b, int sum) {
  for (int byte = 0; byte < 4; ++byte) {
    sum += static_cast<int8_t>(a >> (8 * byte)) *
           static_cast<int8_t>(b >> (8 * byte));
  }
  return sum;
}

// mma.sync.m16n8k32.s8, from the fragment tables of the PTX manual: every lane
// lays its words down, then each computes its four entries of C. Lanes of a
// warp meet here like threads at a barrier.
inline void mma_bytes(int (&c)[4], const int (&a)[4], const int (&b)[2]) {
  static int8_t A[64][16][32];
  static int8_t B[64][32][8];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int group = lane >> 2;
  const int in_group = lane % 4;
  for (int i = 0; i < 16; ++i) {
    const int row = (i < 4 || (i >= 8 && i < 12)) ? group : group + 8;
    const int column = in_group * 4 + (i & 3) + (i >= 8 ? 16 : 0);
    A[warp][row][column] = static_cast<int8_t>(a[i / 4] >> (8 * (i % 4)));
  }
  for (int i = 0; i < 8; ++i) {
    const int row = in_group * 4 + (i & 3) + (i >= 4 ? 16 : 0);
    B[warp][row][group] = static_cast<int8_t>(b[i / 4] >> (8 * (i % 4)));
  }
  emulator::yield();
  for (int i = 0; i < 4; ++i) {
    const int row = i < 2 ? group : group + 8;
    const int column = in_group * 2 + (i & 1);
    for (int k = 0; k < 32; ++k)
      c[i] += A[warp][row][k] * B[warp][k][column];
  }
  emulator::yield();
}

} // namespace kernelfit
