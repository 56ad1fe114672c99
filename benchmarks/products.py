"""The rate of A B^T on one core, by NumPy's BLAS and by the micro-kernel of our own.

python -m benchmarks run products
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import harness
from kernelfit.cpu import matrix_product
from kernelfit.cpu.pool import CpuBackend

_SHAPES = ((64, 64, 64), (128, 128, 128), (256, 256, 256), (512, 256, 256), (512, 512, 512), (1024, 512, 512))
_AGREE = 1e-5


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--repeats", type=int, default=40)
    options = parser.parse_args(words)
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    faults: list[str] = []
    print(f"{'type':<8} {'m, n, k':<16} {'BLAS':>7} {'own':>7} GFLOP/s")
    with CpuBackend(1):  # caps BLAS at one thread
        for dtype in (np.float64, np.float32):
            for m, n, k in _SHAPES:
                a, b = (rng.standard_normal((rows, k)).astype(dtype) for rows in (m, n))
                results = [np.zeros((m, n), dtype) for _ in range(2)]
                left, right = ((x.ctypes.data, k, False) for x in (a, b))
                out = results[1].ctypes.data, n

                def by_blas(a: Any = a, b: Any = b, c: Any = results[0]) -> None:
                    np.matmul(a, b.T, out=c)

                def by_ours(
                    left: Any = left,
                    right: Any = right,
                    out: Any = out,
                    shape: Any = (m, n, k),
                    dtype: Any = dtype,
                ) -> None:
                    matrix_product.add_product(1.0, left, right, 0.0, out, shape, np.dtype(dtype))

                rates = [2e-9 * m * n * k / least(work, options.repeats) for work in (by_blas, by_ours)]
                rows.append(
                    {"type": np.dtype(dtype).name, "shape": [m, n, k], "blas": rates[0], "own": rates[1]}
                )
                print(
                    f"{np.dtype(dtype).name:<8} {f'{m}, {n}, {k}':<16} {rates[0]:>7.1f} {rates[1]:>7.1f}",
                    flush=True,
                )
                apart = float(np.abs(results[0] - results[1]).max() / np.abs(results[0]).max())
                if not apart <= _AGREE:
                    faults.append(f"{np.dtype(dtype).name} {m}, {n}, {k}: results differ by {apart:.1e}")
    harness.finish("benchmarks.products", words, options.out, {"rows": rows}, faults)


def least(work: Callable[[], None], repeats: int) -> float:
    """Seconds of the fastest of so many calls: other load only adds."""
    seconds = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


if __name__ == "__main__":
    main()
