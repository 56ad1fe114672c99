"""Solve time against n: measured sizes, a fitted exponent, and what larger sizes will take."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from kernelfit import datasets
from kernelfit.arguments import bytes_of, integer
from kernelfit.cpu import environment
from kernelfit.cpu.memory import available_memory
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.experiments import gemm_rate
from kernelfit.experiments.peers import PEERS, System, backward_error, why_not
from kernelfit.gram.costs import Costs
from kernelfit.gram.points import Points, bytes_of_points
from kernelfit.kernels import Kernel, build
from kernelfit.metrics import one_hot
from kernelfit.progress import Progress, ProgressLike, as_progress
from kernelfit.solver.gamma import median_gamma
from kernelfit.solver.solve import solve
from kernelfit.typing import Float, PrecisionName

#: a data set of normal rows
SYNTHETIC = "synthetic"
PHASES = ("gram", "factor", "solve", "certify")
# A solution whose backward error is not of the order of rounding is no measurement of a correct solver.
LARGEST_BACKWARD_ERROR = 1e-13
# Rows of the solve before the first that counts, which compiles: systems of one tile have code of their own.
_WARM_UP = 600
# Small sizes are ruled by constant costs; the exponent is fitted over the largest ones.
FITTED_SIZES = 4


@dataclass(frozen=True)
class Workload:
    """What is solved at every size: the first n of these rows, `n_rhs` one-hot columns of random labels."""

    X: NDArray[Any]
    scale: float
    kernel: str | Kernel
    n_rhs: int = 10
    precision: PrecisionName = "float64"
    threads: int | None = None
    memory: int | None = None
    seed: int = 0
    beside: tuple[str, ...] = ()

    def labels(self, n: int) -> NDArray[np.float64]:
        """The targets of the first n rows."""
        return one_hot(np.random.default_rng(self.seed + 1).integers(0, self.n_rhs, n), self.n_rhs)


@dataclass(frozen=True)
class Scaling:
    """Solves of a gaussian kernel at several sizes on this machine's CPU, and what larger ones will take.

    Attributes
    ----------
    sizes : rows of each solve
    ahead : a further size to predict, beside twice the largest one measured
    dataset : "synthetic" normal rows with `n_features` columns, or a data set by name or path
    gamma : None: 1 / median squared distance
    repeats : solves a size, of which the median counts
    beside : other solvers of the same system to measure in turn with this one: "scikit-learn", "lapack"
    """

    sizes: tuple[int, ...] = (1000, 2000, 4000, 8000)
    ahead: int | None = None
    dataset: str = SYNTHETIC
    n_features: int = 784
    gamma: float | None = None
    n_rhs: int = 10
    precision: PrecisionName = "float64"
    repeats: int = 3
    memory: int | str | None = None
    threads: int | None = None
    seed: int = 0
    data_dir: Path | None = None
    beside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.sizes or min(self.sizes) < 2:
            raise InputError(f"sizes: got {', '.join(map(str, self.sizes))}, expected sizes >= 2")
        object.__setattr__(self, "sizes", tuple(sorted(set(self.sizes))))
        unknown = [name for name in self.beside if name not in PEERS]
        if unknown:
            raise InputError(f"beside: got {', '.join(unknown)}, expected some of {', '.join(PEERS)}")
        for name in ("ahead", "n_features", "n_rhs", "repeats"):
            if getattr(self, name) is not None:
                integer(name, getattr(self, name), 1)

    def run(self, progress: ProgressLike = None) -> dict[str, Any]:
        """Measure every size beside the machine's own rate of matrix products, and predict the next ones."""
        progress = as_progress(progress)
        machine = environment.describe()  # first: what fails here has measured nothing
        threads = CpuBackend(self.threads).threads
        given = bytes_of(self.memory)
        limit = available_memory() if given is None else given
        work = self.workload(limit, progress)
        dtype = np.dtype(np.float64 if self.precision == "float64" else np.float32)
        rate = gemm_rate.measure(dtype, threads)
        rows = []
        for n in self.sizes:
            row = measure(work, n, self.repeats, progress)
            rows.append({**row, "share_of_gemm": row["factor_flops_per_second"] / rate})
        ahead = [2 * self.sizes[-1]]
        ahead += [] if self.ahead in (None, *ahead) else [int(self.ahead or 0)]
        return {
            "benchmark": "solve time against n",
            "dataset": self.dataset,
            "n_features": int(work.X.shape[1]),
            "kernel": work.kernel.describe() if not isinstance(work.kernel, str) else {"name": work.kernel},
            "n_rhs": work.n_rhs,
            "precision": work.precision,
            "threads": threads,
            "gemm_flops_per_second": rate,
            "gemm_dtype": dtype.name,
            "rows": rows,
            "fit": fit_power(rows),
            "predictions": [predict(rows, n, work, limit, threads) for n in ahead],
            "peak_rss_bytes": environment.peak_rss_bytes(),
            "environment": machine,
        }

    def workload(self, memory: int, progress: Progress) -> Workload:
        """Rows and kernel, the same for every size, so that sizes differ in n alone."""
        largest = self.sizes[-1]
        if self.dataset == SYNTHETIC:
            X, scale = synthetic_rows(largest, self.n_features, self.seed), 1.0
        else:
            data = datasets.load(self.dataset, data_dir=self.data_dir, progress=progress)
            if largest > data.n_train:
                raise InputError(
                    f"sizes: got {largest}, expected at most {data.n_train}, the training rows of {data.name}"
                )
            X, scale = data.X_train[:largest].copy(), data.scale
        gamma = self.gamma
        if gamma is None:
            gamma = median_gamma(Points(X[: min(1000, largest)], scale))
        return Workload(
            X=X,
            scale=scale,
            kernel=build("gaussian", gamma=gamma),
            n_rhs=self.n_rhs,
            precision=self.precision,
            threads=self.threads,
            memory=memory,
            seed=self.seed,
            beside=self.beside,
        )


def synthetic_rows(n: int, d: int, seed: int) -> NDArray[np.float64]:
    """Standard normal rows (n, d): distinct, and a gaussian kernel of median width is well conditioned on them."""
    return np.random.default_rng(seed).standard_normal((n, d))


def measure(work: Workload, n: int, repeats: int, progress: Progress) -> dict[str, Any]:
    """Medians over `repeats` solves of order n, after one small solve that compiles what is compiled on use.

    Raises `InputError` when a solution is not correct: a wrong answer has no speed.
    """
    if n > len(work.X):
        raise InputError(f"sizes: got {n}, but there are {len(work.X)} rows; give smaller sizes")
    reason = why_not(n, available_memory() if work.memory is None else work.memory)
    beside: dict[str, list[tuple[Float, float]]] = {name: [] for name in work.beside if reason is None}
    _solve(work, min(n, _WARM_UP), progress)
    for name in beside:
        _solve_beside(work, min(n, _WARM_UP), name)
    runs = []
    for _ in range(repeats):  # in turn, so that other load on the machine falls on all alike
        runs.append(_solve(work, n, progress))
        for name, times in beside.items():
            times.append(_solve_beside(work, n, name))
    seconds = {name: statistics.median(run["seconds"][name] for run in runs) for name in (*PHASES, "total")}
    return {
        "n": n,
        "repeats": repeats,
        "seconds": seconds,
        "seconds_total_all": [run["seconds"]["total"] for run in runs],
        "factor_flops_per_second": n**3 / 3 / seconds["factor"],
        "backward_error": max(run["backward_error"] for run in runs),
        "bytes_memory": runs[0]["bytes_memory"],
        "tier": runs[0]["tier"],
        "seconds_call": (ours := statistics.median(run["seconds_call"] for run in runs)),
        "beside": {name: {"left_out": reason} for name in work.beside if reason is not None}
        | {name: _compared(work, n, times, ours) for name, times in beside.items()},
    }


def _system(work: Workload, n: int) -> System:
    assert not isinstance(work.kernel, str)
    gamma = float(work.kernel.describe()["gamma"])
    return System(np.multiply(work.X[:n], work.scale, dtype=np.float64), work.labels(n), gamma)


def _solve_beside(work: Workload, n: int, name: str) -> tuple[Float, float]:
    """alpha (n, c) and the seconds of the whole fit."""
    system = _system(work, n)
    with threadpool_limits(work.threads, user_api="blas"):
        alpha, seconds = PEERS[name](system)
    return alpha, sum(seconds.values())


def _compared(work: Workload, n: int, times: list[tuple[Float, float]], ours: float) -> dict[str, Any]:
    seconds = statistics.median(taken for _, taken in times)
    return {
        "seconds": seconds,
        "seconds_all": [taken for _, taken in times],
        "times_ours": seconds / ours,
        "backward_error": backward_error(_system(work, n), times[-1][0]),
    }


def _solve(work: Workload, n: int, progress: Progress) -> dict[str, Any]:
    targets = work.labels(n)
    started = time.perf_counter()
    solution = solve(
        work.X[:n],
        targets,
        kernel=work.kernel,
        precision=work.precision,
        threads=work.threads,
        memory=work.memory,
        device="cpu",  # of all sizes: "auto" would take a GPU for the large ones alone
        scale=work.scale,
        progress=progress,
    )
    solution.close()
    call = time.perf_counter() - started
    error = solution.certificate.backward_error
    limit = LARGEST_BACKWARD_ERROR if work.precision != "float32" else 1e-6
    if not error <= limit:
        raise InputError(
            f"sizes: got backward error {error:.1e} at n = {n}, expected at most {limit:.0e}; take another gamma"
        )
    seconds = {name: solution.seconds[name] for name in PHASES}
    return {
        "seconds": {**seconds, "total": sum(seconds.values())},
        "seconds_call": call,
        "backward_error": error,
        "bytes_memory": solution.plan.bytes_memory,
        "tier": solution.plan.tier,
    }


def fit_power(rows: list[dict[str, Any]]) -> dict[str, float] | None:
    """total = coefficient n^exponent, least squares in the logarithms over the largest sizes; None below two."""
    last = sorted(rows, key=lambda row: row["n"])[-FITTED_SIZES:]
    if len({row["n"] for row in last}) < 2:
        return None
    n = np.log([row["n"] for row in last])
    total = np.log([row["seconds"]["total"] for row in last])
    exponent, constant = np.polyfit(n, total, 1)
    return {"exponent": float(exponent), "coefficient": float(np.exp(constant))}


def predict(
    rows: list[dict[str, Any]], n: int, work: Workload, memory_limit: int, threads: int
) -> dict[str, Any]:
    """Seconds and bytes at n from the largest size measured: the factor grows as n^3, everything else as n^2.

    The fitted power is not used here: between n^2 and n^3 it would underestimate larger sizes.
    """
    largest = max(rows, key=lambda row: row["n"])
    ratio = n / largest["n"]
    factor = largest["seconds"]["factor"]
    rest = largest["seconds"]["total"] - factor
    costs = Costs.of(
        n=n,
        d=work.X.shape[1],
        n_rhs=work.n_rhs,
        threads=threads,
        precision=work.precision,
        bytes_points=bytes_of_points(n, work.X.shape[1], work.X.itemsize),
    )
    needed = costs.bytes_held + costs.bytes_factor
    return {
        "n": n,
        "seconds": factor * ratio**3 + rest * ratio**2,
        "bytes_memory": needed,
        "fits": needed <= memory_limit,
    }
