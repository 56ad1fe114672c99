"""The rows of the GPU benchmark: what each measures, how long it may take, and what it must reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.gpu import checks
from kernelfit.errors import InputError


@dataclass(frozen=True)
class Aim:
    """`key` of a row's result is to be at least `low` and at most `high`; `unit` is how it is shown."""

    key: str
    words: str
    low: float = -float("inf")
    high: float = float("inf")
    scale: float = 1.0
    unit: str = ""

    def met(self, result: dict[str, Any]) -> bool | None:
        """None where there is no figure."""
        value = result.get(self.key)
        return None if value is None else self.low <= value <= self.high


@dataclass(frozen=True)
class Row:
    """A row of the table. `limit` is in seconds; `check` runs it where it is no row of `benchmarks.gpu.row`."""

    name: str
    about: str
    limit: float
    aims: tuple[Aim, ...] = ()
    check: Callable[[float], dict[str, Any]] | None = None


def _rate(key: str, words: str, low: float = -float("inf")) -> Aim:
    return Aim(key, words, low, scale=1e-12, unit=" T/s")


ROWS = (
    Row(
        "rates",
        "the device itself",
        60,
        (
            _rate("float64_flops_per_second", "DGEMM"),
            _rate("float32_flops_per_second", "SGEMM"),
            _rate("tf32_flops_per_second", "TF32"),
            _rate("int8_flops_per_second", "INT8"),
            _rate("float64_fixed_point_flops_per_second", "FP64 emulated"),
            _rate("float32_bf16x9_flops_per_second", "FP32 as BF16x9"),
            Aim("host_to_device_bytes_per_second", "to the device", scale=1e-9, unit=" GB/s"),
            Aim("pin_bytes_per_second", "pinning", scale=1e-9, unit=" GB/s"),
        ),
    ),
    Row(
        "tests",
        "tests marked gpu",
        150,
        (Aim("failures", "failures", high=0), Aim("passed", "passed", low=1)),
        checks.gpu_tests,
    ),
    Row(
        "in-core-60000",
        "n 60,000 float64 in core",
        90,
        (
            Aim("share_of_dgemm", "of DGEMM >= 0.85", 0.85),
            Aim("backward_error", "backward error", high=1e-15),
        ),
    ),
    Row(
        "right-hand-sides",
        "n 60,000: 1, 2 and 10 right-hand sides from one factor",
        60,
        (
            Aim("seconds_solve_1", "1", unit=" s"),
            Aim("seconds_solve_2", "2", unit=" s"),
            Aim("seconds_solve_10", "10", unit=" s"),
            Aim("backward_error", "backward error", high=1e-15),
        ),
    ),
    Row(
        "mnist",
        "MNIST n 60,000, load to certificate",
        60,
        (
            Aim("seconds_again", "<= 3 s", high=3.0, unit=" s"),
            Aim("share_of_dgemm", "of DGEMM >= 0.75", 0.75),
            Aim("test_error", "error 0.0122", 0.01215, 0.01225),
            Aim("rkhs_norm", "norm 145.1", 145.05, 145.15),
        ),
    ),
    Row(
        "in-core-120000",
        "n 120,000 float64 in core, and cuSOLVER Xpotrf",
        110,
        (
            Aim("share_of_dgemm", "of DGEMM >= 0.93", 0.93),
            Aim("against_whole", "of Xpotrf >= 1.1x", 1.1),
            Aim("log_det_difference", "log det, relative", high=1e-10),
        ),
    ),
    Row(
        "budget-10gb",
        "n 100,000 in 10 GB of device memory",
        90,
        (
            Aim("share_of_in_core", "of in core >= 0.85, host memory pinned before", 0.85),
            Aim("share_of_in_core_first", "with pinning"),
        ),
    ),
    Row(
        "larger-than-device",
        "n 200,000 float64, larger than the device",
        130,
        (
            Aim("share_of_dgemm", "of DGEMM >= 0.85", 0.85),
            Aim("backward_error", "backward error", high=1e-15),
        ),
    ),
    Row(
        "precision",
        "n 120,000 in TF32, refined, against float64",
        90,
        (
            Aim("tf32_speedup", "TF32 >= 3x", 3.0),
            Aim("mixed_speedup", "float32"),
            Aim("tf32_backward_error", "backward error", high=1.2e-15),
            Aim("condition_estimate", "condition <= 1e4", high=1e4),
        ),
    ),
    Row(
        "kernels",
        "uint8 Gram and random-conv block",
        60,
        (
            _rate("bytes_cublas_flops_per_second", "bytes, cuBLAS"),
            _rate("bytes_words_flops_per_second", "bytes, mma word by word"),
            _rate("bytes_mma_flops_per_second", "bytes, mma"),
            Aim("bytes_mma_share_of_int8", "mma of INT8"),
            Aim("gram_bytes_per_second", "Gram tile", scale=1e-12, unit=" TB/s"),
            Aim("random_conv_share_of_sgemm", "random-conv of SGEMM"),
            _rate("random_conv_flops_per_second", "random-conv, floats"),
            _rate("random_conv_bytes_flops_per_second", "random-conv, bytes"),
        ),
    ),
    Row(
        "random-conv",
        "CIFAR-10, 32,000 filters, features to test error",
        150,
        (
            Aim("seconds_to_test_error", "<= 60 s", high=60.0, unit=" s"),
            Aim("test_error", "error 17 %", high=0.175),
            Aim("test_error_ridge", "with ridge 15 %", high=0.155),
        ),
    ),
    Row(
        "workers",
        "n 30,000 on the GPU of one Dask worker, and of two that share it",
        75,
        (
            Aim("difference", "alpha of one process", high=1e-10),
            Aim("backward_error", "backward error", high=1e-15),
            Aim("of_process_1", "one worker of its speed"),
            Aim("of_process_2", "two"),
        ),
    ),
    Row(
        "deep-tests",
        "tests of networks marked gpu",
        90,
        (Aim("failures", "failures", high=0), Aim("passed", "passed", low=1)),
        lambda limit: checks.gpu_tests(limit, "tests/deep"),
    ),
    Row(
        "memcheck",
        "compute-sanitizer memcheck",
        120,
        (Aim("errors", "errors", high=0),),
        lambda limit: checks.sanitizer("memcheck", limit),
    ),
    Row(
        "racecheck",
        "compute-sanitizer racecheck",
        120,
        (Aim("errors", "errors", high=0),),
        lambda limit: checks.sanitizer("racecheck", limit),
    ),
)


def chosen(names: str) -> tuple[Row, ...]:
    """The rows that are named, in the table's order; all without a name."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = sorted(set(wanted) - {row.name for row in ROWS})
    if unknown:
        raise InputError(
            f"--rows: got {', '.join(unknown)}, expected some of {', '.join(row.name for row in ROWS)}"
        )
    return tuple(row for row in ROWS if not wanted or row.name in wanted)
