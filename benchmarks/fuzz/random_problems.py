"""Random small problems from a seed and an index: rows, kernel, targets and how they are solved."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.kernels import (
    ArcCosine,
    Cosine,
    Gaussian,
    Kernel,
    Laplacian,
    Linear,
    Matern,
    NeuralTangent,
    Pairwise,
    Polynomial,
    RationalQuadratic,
)

Generator = np.random.Generator
Rows = NDArray[Any]


def triangular(x: Any, y: Any) -> float:
    """A kernel as a user writes one; the same as `Laplacian(0.1)`."""
    total = 0.0
    for k in range(x.shape[0]):
        total += abs(x[k] - y[k])
    return math.exp(-0.1 * total)


#: compiled once for all problems
USER = Pairwise(triangular)


@dataclass(frozen=True)
class RandomProblem:
    """One problem, and how it is solved.

    `plain`: rows of ordinary size, which nothing may refuse. `caller`: the thread that solves, `main` or `other`.
    `device`: on the host's stand-in for one.
    """

    index: int
    X: Rows
    new: Rows
    Y: NDArray[np.float64]
    kernel: Kernel
    scale: float | None
    ridge: float
    jitter: float
    precision: str
    tier: str
    panel_width: int
    threads: int
    caller: str
    device: bool
    rows: str
    plain: bool

    @property
    def rounded(self) -> bool:
        """Whether rows are rounded to float64 once more in the kernel's domain."""
        return self.scale is not None or self.rows == "byte grid"

    def describe(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "rows": f"{self.rows} {self.X.dtype} {self.X.shape}",
            "kernel": repr(self.kernel),
            "columns": self.Y.shape[1],
            "scale": self.scale,
            "ridge": self.ridge,
            "jitter": self.jitter,
            "precision": self.precision,
            "tier": self.tier,
            "panel_width": self.panel_width,
            "threads": self.threads,
            "caller": self.caller,
            "device": self.device,
        }


def draw(seed: int, index: int) -> RandomProblem:
    """The problem of this seed and index: always the same."""
    rng = np.random.default_rng([seed, index])
    n = int(rng.integers(3, 61)) if rng.random() < 0.95 else int(rng.integers(61, 161))
    d = int(rng.integers(1, 13))
    name = str(rng.choice(list(ROWS), p=_WEIGHTS))
    every = ROWS[name](rng, n + 5, d)
    X, new = _with_equal_rows(rng, every[:n]), np.concatenate([every[n:], every[:2]])
    scale = float(10.0 ** rng.uniform(-2, 2)) if rng.random() < 0.1 else None
    kernel = _kernel(rng, X.astype(np.float64) * (scale or 1.0))
    Y = rng.standard_normal((n, int(rng.integers(1, 4)))) * 10.0 ** (
        rng.integers(-3, 4) if rng.random() < 0.9 else rng.integers(-100, 100)
    )
    return RandomProblem(
        index=index,
        X=X,
        new=new,
        Y=_agreeing(X, Y) if rng.random() < 0.8 else Y,
        kernel=kernel,
        scale=scale,
        ridge=0.0 if rng.random() < 0.6 else float(10.0 ** rng.uniform(-12, 0)),
        jitter=float(10.0 ** rng.uniform(-12, -6)) if rng.random() < 0.05 else 0.0,
        precision=str(rng.choice(["float64", "mixed", "float32"], p=[0.75, 0.15, 0.1])),
        tier="disk" if rng.random() < 0.15 else "ram",
        panel_width=int(rng.integers(3, 17) if rng.random() < 0.5 else rng.integers(8, 65)),
        threads=int(rng.integers(1, 4)),
        caller="other" if rng.random() < 0.15 else "main",
        device=rng.random() < 0.07,
        rows=name,
        plain=name not in ("extreme", "stamps"),
    )


def _normal(rng: Generator, n: int, d: int) -> Rows:
    return rng.standard_normal((n, d))


def _single(rng: Generator, n: int, d: int) -> Rows:
    return rng.standard_normal((n, d)).astype(np.float32)


def _bytes(rng: Generator, n: int, d: int) -> Rows:
    return rng.integers(0, 256, (n, d), dtype=np.uint8)


def _byte_grid(rng: Generator, n: int, d: int) -> Rows:
    dtype = np.float32 if rng.random() < 0.5 else np.float64
    return (rng.integers(0, 256, (n, d)) / 255).astype(dtype)


def _integers(rng: Generator, n: int, d: int) -> Rows:
    reach = 10 ** int(rng.integers(1, 9))
    return rng.integers(-reach, reach, (n, d), dtype=np.int64 if reach > 2**15 else np.int16)


def _stamps(rng: Generator, n: int, d: int) -> Rows:
    """Nanoseconds since 1970: beyond 2^53, apart by as little as 1."""
    return 1_700_000_000_000_000_000 + rng.integers(0, 10 ** int(rng.integers(1, 12)), (n, d), dtype=np.int64)


def _clusters(rng: Generator, n: int, d: int) -> Rows:
    centres = rng.standard_normal((3, d)) * 10.0 ** rng.uniform(0, 12)
    return centres[rng.integers(0, 3, n)] + rng.standard_normal((n, d))


def _offset(rng: Generator, n: int, d: int) -> Rows:
    return rng.standard_normal((n, d)) + 10.0 ** rng.uniform(2, 9)


def _two_offsets(rng: Generator, n: int, d: int) -> Rows:
    """A time stamp for most rows and 0 for the others."""
    rows = rng.standard_normal((n, d))
    rows[rng.random(n) < 0.6, 0] += 10.0 ** rng.uniform(2, 9.3)
    return rows


def _mixed_scales(rng: Generator, n: int, d: int) -> Rows:
    return rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-8, 8, d)


def _near_equal(rng: Generator, n: int, d: int) -> Rows:
    rows = rng.standard_normal((n, d))
    rows[n // 2 :] = rows[: n - n // 2] * (
        1 + 10.0 ** rng.uniform(-12, -3) * rng.standard_normal((n - n // 2, d))
    )
    return rows


def _near_parallel(rng: Generator, n: int, d: int) -> Rows:
    rows = rng.standard_normal((n, d))
    rows[n // 2 :] = rows[: n - n // 2] * rng.uniform(0.1, 10, (n - n // 2, 1))
    if rng.random() < 0.5:
        rows[n // 2 :] += 10.0 ** rng.uniform(-14, -4) * rng.standard_normal((n - n // 2, d))
    return rows


def _sparse(rng: Generator, n: int, d: int) -> Rows:
    """Many zeros, and a row of nothing else."""
    rows = rng.standard_normal((n, d)) * (rng.random((n, d)) < 0.4)
    rows[0] = 0
    return rows


def _extreme(rng: Generator, n: int, d: int) -> Rows:
    rows = rng.standard_normal((n, d)) * 10.0 ** rng.integers(-150, 150)
    return rows * 10.0 ** rng.uniform(-20, 20, (n, 1)) if rng.random() < 0.3 else rows


#: what rows may look like, and how often
ROWS: dict[str, Callable[[Generator, int, int], Rows]] = {
    "normal": _normal,
    "float32": _single,
    "bytes": _bytes,
    "byte grid": _byte_grid,
    "integers": _integers,
    "stamps": _stamps,
    "clusters": _clusters,
    "offset": _offset,
    "two offsets": _two_offsets,
    "mixed scales": _mixed_scales,
    "near-equal": _near_equal,
    "near-parallel": _near_parallel,
    "sparse": _sparse,
    "extreme": _extreme,
}
_WEIGHTS = np.array([6, 2, 3, 2, 2, 1, 2, 2, 2, 2, 2, 2, 2, 2]) / 32


def _with_equal_rows(rng: Generator, rows: Rows) -> Rows:
    if rng.random() < 0.15:
        pairs = rng.integers(0, len(rows), (2, 3))
        rows[pairs[0]] = rows[pairs[1]]
    return rows


def _agreeing(X: Rows, Y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Equal rows with equal targets."""
    _, first, inverse = np.unique(X, axis=0, return_index=True, return_inverse=True)
    return np.ascontiguousarray(Y[first[inverse.reshape(-1)]])


def _kernel(rng: Generator, rows: NDArray[np.float64]) -> Kernel:
    """One family, or a sum, product or both of some, with parameters that suit the rows."""
    with np.errstate(over="ignore"):
        differences = rows[:30, None] - rows[None, :30]
        squares = (differences**2).sum(axis=2)
    near = squares[(squares > 0) & np.isfinite(squares)]
    distance = float(np.sqrt(np.median(near))) if near.size else 1.0
    size = float(np.sqrt(np.median((np.clip(rows, -1e150, 1e150) ** 2).sum(axis=1)))) or 1.0
    first = _family(rng, distance, size)
    if rng.random() < 0.75:
        return first
    second = _family(rng, distance, size)
    made = first + second if rng.random() < 0.5 else first * second
    if rng.random() < 0.3:
        made = made * _family(rng, distance, size)
    return made


def _family(rng: Generator, distance: float, size: float) -> Kernel:
    rate = 10.0 ** rng.uniform(-2, 1)
    length = float(np.clip(distance / rate, 1e-140, 1e140))
    gamma = float(np.clip(rate / distance / distance, 1e-290, 1e290))
    made: dict[str, Callable[[], Kernel]] = {
        "gaussian": lambda: Gaussian(gamma),
        "laplacian": lambda: Laplacian(float(np.clip(rate / distance, 1e-290, 1e290))),
        "matern": lambda: Matern(float(rng.choice([0.5, 1.5, 2.5])), length),
        "rational-quadratic": lambda: RationalQuadratic(10.0 ** rng.uniform(-1, 2), length),
        "polynomial": lambda: Polynomial(
            int(rng.integers(1, 5)),
            float(np.clip(1 / size / size, 1e-290, 1e290)),
            float(rng.choice([0.0, 1.0, 0.3])),
        ),
        "linear": Linear,
        "cosine": Cosine,
        "arc-cosine": lambda: ArcCosine(int(rng.integers(0, 2)), int(rng.integers(1, 5))),
        "ntk": lambda: NeuralTangent(int(rng.integers(1, 5))),
        "pairwise": lambda: USER,
    }
    return made[str(rng.choice(list(made)))]()
