"""Rows of the GPU benchmark that factor and solve: in core, spilled, larger than the device, in lower precision."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import harness
from benchmarks.gpu.settings import (
    GAMMA,
    Setting,
    gemm_rate,
    in_core,
    min_capacity,
    plan,
    sustained_gemm_rate,
)
from benchmarks.gpu.whole_matrix import factor_whole
from kernelfit import solve
from kernelfit.cpu.memory import available_memory
from kernelfit.device import cholesky, inverses
from kernelfit.device.pinned import kept_bytes
from kernelfit.device.plan import WIDTHS
from kernelfit.errors import KernelfitError
from kernelfit.experiments.prepare import prepare
from kernelfit.gram.points import Points
from kernelfit.gram.source import KernelGram
from kernelfit.kernels import Gaussian
from kernelfit.metrics import error_rate
from kernelfit.progress import Silent
from kernelfit.solver.solution import Solution

Report = Callable[[dict[str, Any]], None]
#: seconds that DGEMM runs for a comparison at most: the clock has settled long before
MAX_SUSTAINED = 20.0
REPEATS = 5


def in_core_factor(setting: Setting, report: Report, wanted: int) -> dict[str, Any]:
    """The factor, its Gram tiles formed on the way, against DGEMM of this process."""
    n = setting.n(wanted, in_core(0 if setting.small else setting.capacity()))
    _warm_up(setting)
    record = {"n": n, **_solved(setting, setting.images(n), setting.open())}
    report(record)
    return {**record, **against_dgemm(setting, record)}


def against_dgemm(setting: Setting, record: dict[str, Any]) -> dict[str, float]:
    """The factor's rate against DGEMM of this process, for as long (`MAX_SUSTAINED` at most) and for a moment."""
    device = setting.open(None if setting.small else 3 * 10**9)
    seconds = min(record["seconds_factor"], MAX_SUSTAINED)
    try:
        moment = gemm_rate(device, "float64", setting.order)
        sustained = sustained_gemm_rate(device, "float64", setting.order, seconds)
    finally:
        device.close()
    rate = record["factor_flops_per_second"]
    return {
        "dgemm_flops_per_second": sustained,
        "dgemm_flops_per_second_for_a_moment": moment,
        "share_of_dgemm": rate / sustained,
        "share_of_dgemm_for_a_moment": rate / moment,
    }


def widths(setting: Setting, report: Report) -> dict[str, Any]:
    """The first row, and the same factor in panels of every width that a plan may take; then, in the best of them, with
    no inverses in the factor, other triangles and other strips of the diagonal block."""
    record = in_core_factor(setting, report, 60_000)
    data, rate = setting.images(record["n"]), "factor_flops_per_second"
    by_width = record["flops_per_second_by_width"] = {record["panel_width"]: record[rate]}
    for width in (16, 32) if setting.small else WIDTHS:
        if width not in by_width:
            report(record)
            by_width[width] = _solved(setting, data, setting.open(), panel_width=width)[rate]
    best = max(by_width, key=lambda width: by_width[width])
    by_triangle = record["flops_per_second_by_triangle"] = {inverses.TRIANGLE: by_width[best]}
    by_strips = record["flops_per_second_by_diagonal_strips"] = {cholesky.DIAGONAL_STRIPS: by_width[best]}

    def rate_with(**other: Any) -> float:
        report(record)
        with constants(**other):
            return float(_solved(setting, data, setting.open(), panel_width=best)[rate])

    record["flops_per_second_without_inverses"] = rate_with(max_growth=0.0)
    for triangle in (8,) if setting.small else (128, 512):
        by_triangle[triangle] = rate_with(triangle=triangle)
    for strips in (1, 4):
        by_strips[strips] = rate_with(diagonal_strips=strips)
    return record


@contextmanager
def constants(
    *, triangle: int | None = None, diagonal_strips: int | None = None, max_growth: float | None = None
) -> Iterator[None]:
    """The factorisation on a device with some other constants."""
    before = inverses.TRIANGLE, inverses.MAX_GROWTH, cholesky.DIAGONAL_STRIPS
    inverses.TRIANGLE = before[0] if triangle is None else triangle
    inverses.MAX_GROWTH = before[1] if max_growth is None else max_growth
    cholesky.DIAGONAL_STRIPS = before[2] if diagonal_strips is None else diagonal_strips
    try:
        yield
    finally:
        inverses.TRIANGLE, inverses.MAX_GROWTH, cholesky.DIAGONAL_STRIPS = before


def right_hand_sides(setting: Setting, report: Report) -> dict[str, Any]:
    """Solves with 1, 2 and 10 right-hand sides from one factor, certificates apart."""
    n = setting.n(60_000, in_core(0 if setting.small else setting.capacity()))
    rows, targets, scale = setting.images(n)
    record: dict[str, Any] = {"n": n}
    solution = solve(
        rows,
        targets,
        gamma=GAMMA,
        scale=scale,
        device=setting.open(),
        panel_width=setting.width,
        condition=False,
    )
    try:
        record |= {"seconds_factor": solution.seconds["factor"], "panel_width": solution.plan.panel_width}
        for count in (1, 2, 10):
            report(record)
            answers = [solution.solve(targets[:, :count]) for _ in range(1 + REPEATS)][
                1:
            ]  # the first warms up
            timing = harness.Timing(tuple(answer.seconds["solve"] for answer in answers))
            record |= {
                f"seconds_solve_{count}": timing.median,
                f"spread_solve_{count}": timing.spread,
                f"flops_per_second_{count}": 2.0 * n * n * count / timing.median,
                f"backward_error_{count}": answers[-1].certificate.backward_error,
            }
    finally:
        solution.close()
    record["backward_error"] = max(record[f"backward_error_{count}"] for count in (1, 2, 10))
    return record


def against_cusolver(setting: Setting, report: Report, wanted: int) -> dict[str, Any]:
    """The same, then K as a whole matrix through cuSOLVER's Xpotrf, on as many rows as fit whole."""
    record = in_core_factor(setting, report, wanted)
    report(record)
    capacity = 0 if setting.small else setting.capacity()
    n = setting.n(wanted, lambda n: 8 * n * n + 2_500 * n + 3 * 2**30 < capacity)
    rows, _, scale = setting.images(n)
    mine = record
    if n != record["n"]:
        mine = _solved(setting, setting.images(n), setting.open())
    few = KernelGram(Gaussian(gamma=GAMMA), Points(rows[: 16 if setting.small else 4_096], scale))
    source = KernelGram(Gaussian(gamma=GAMMA), Points(rows, scale))
    device = setting.open()
    try:
        mark = device.slab.mark()
        factor_whole(device, few, 64 if setting.small else 4_096, setting.width or 2_048)  # as a warm-up
        device.slab.release(mark)
        seconds, diagonal = factor_whole(
            device, source, 64 if setting.small else 8_192, setting.width or 2_048
        )
    finally:
        device.close()
    log_det = 2.0 * float(np.log(diagonal).sum())
    return {
        **record,
        "whole_n": n,
        "seconds_whole": seconds,
        "whole_flops_per_second": n**3 / 3.0 / seconds,
        "against_whole": seconds / mine["seconds_factor"],
        "log_det_difference": abs(log_det - mine["log_det"]) / abs(log_det),
    }


def mnist(setting: Setting, report: Report) -> dict[str, Any]:
    """MNIST from the files to the certificate, twice in one process; then test error and norm."""
    record: dict[str, Any] = {}
    n = setting.n(60_000, in_core(0 if setting.small else setting.capacity()))
    for run in ("first", "again"):
        started = time.perf_counter()
        try:
            experiment = setting.mnist(n)
            data = experiment.inputs.load()
        except (KernelfitError, ImportError) as error:
            return {"n": n, "skipped": str(error)}
        loaded = time.perf_counter()
        device = setting.open()
        opened = time.perf_counter()
        prepared = prepare(data, experiment.inputs.features, None, Silent())
        solution = solve(
            prepared.X_train,
            prepared.targets(data),
            **experiment.kernel.arguments(prepared.gamma_factor),
            scale=prepared.scale,
            device=device,
            panel_width=setting.width,
        )
        solved = time.perf_counter()
        record |= {
            "n": n,
            f"seconds_{run}": solved - started,
            f"seconds_load_{run}": loaded - started,
            f"seconds_open_{run}": opened - loaded,
            f"seconds_solve_{run}": solved - opened,
            f"seconds_phases_{run}": solution.seconds,
        }
        if run == "again":
            scores = prepared.predict(solution, Silent())
            record |= {
                **_described(solution),
                "test_error": error_rate(scores, data.y_test),
                "seconds_predict": time.perf_counter() - solved,
            }
        solution.close()
        report(record)
    seconds = record["seconds_solve_again"]
    whole = {"seconds_factor": seconds, "factor_flops_per_second": n**3 / 3.0 / seconds}
    return {**record, **against_dgemm(setting, whole)}


def small_budget(setting: Setting, report: Report) -> dict[str, Any]:
    """A factor that lives mostly on the host against the same one in core, each as its own plan has it:
    wide panels are read less often over the link, narrow ones compute less above the diagonal. Host memory is pinned
    before, as it is where a process has solved before; the first such factor is reported as well."""
    n = setting.n(100_000, in_core(0 if setting.small else setting.capacity()))
    budget = (
        min_capacity(n, 16, spare_tiles=4)
        if setting.small
        else max(int(1e10 * (n / 1e5) ** 2), min_capacity(n, 2_048))
    )
    data = setting.images(n)
    _warm_up(setting)
    record: dict[str, Any] = {"n": n, "in_core": _solved(setting, data, setting.open())}
    report(record)
    record["budget_bytes"] = budget
    for name in ("spilled_first", "spilled"):
        record[name] = _solved(setting, data, setting.open(budget))
        report(record)
    for name, key in (("spilled_first", "share_of_in_core_first"), ("spilled", "share_of_in_core")):
        record[key] = record["in_core"]["seconds_factor"] / record[name]["seconds_factor"]
    record["pinned_bytes_kept"] = kept_bytes()
    return record


def larger_than_the_device(setting: Setting, report: Report) -> dict[str, Any]:
    """A factor that no device of this size holds."""
    wanted, capacity = 200_000, setting.capacity()
    host = available_memory() // 2

    def fits(n: int) -> bool:
        return plan(n, capacity, host=host) is not None

    n = setting.n(wanted, fits)
    if setting.small:
        capacity = min_capacity(n, 16, spare_tiles=6)
    elif in_core(capacity)(n):
        capacity = int(0.86 * 4 * n * n)
        setting.notes.append(f"{capacity:,} bytes of the device are used, as all of it would hold the factor")
    _warm_up(setting)
    record = {"n": n, **_solved(setting, setting.images(n), setting.open(capacity))}
    report(record)
    return {**record, **against_dgemm(setting, record)}


def low_precision(setting: Setting, report: Report) -> dict[str, Any]:
    """TF32 and float32 factors, refined to float64's backward error, against float64; seconds of solve included.

    The ridge holds the condition number near 1e4.
    """
    n = setting.n(120_000, in_core(0 if setting.small else setting.capacity()))
    data, ridge = setting.images(n), 0.1 if setting.small else 2.0 * n / 120_000
    _warm_up(setting)
    record: dict[str, Any] = {"n": n, "ridge": ridge}
    for precision in ("float64", "tf32", "mixed"):
        made = _solved(
            setting, data, setting.open(), precision=precision, ridge=ridge, condition=precision == "float64"
        )
        record[precision] = made
        if precision != "float64":
            record[f"{precision}_speedup"] = record["float64"]["seconds_all"] / made["seconds_all"]
        report(record)
    record["condition_estimate"] = record["float64"]["condition_estimate"]
    record["tf32_backward_error"] = record["tf32"]["backward_error"]
    return record


def _solved(
    setting: Setting,
    data: tuple[NDArray[np.uint8], NDArray[np.float64], float],
    device: Any,
    *,
    panel_width: int | None = None,
    condition: bool = False,
    **arguments: Any,
) -> dict[str, Any]:
    rows, targets, scale = data
    solution = solve(
        rows,
        targets,
        gamma=GAMMA,
        scale=scale,
        device=device,
        panel_width=panel_width or setting.width,
        condition=condition,
        **arguments,
    )
    record = _described(solution)
    solution.close()
    return record


def _described(solution: Solution) -> dict[str, Any]:
    certificate, seconds = solution.certificate, solution.seconds
    return {
        "seconds_factor": seconds["factor"],
        "seconds_all": seconds["factor"] + seconds["solve"] + seconds["certify"],
        "seconds": seconds,
        "factor_flops_per_second": solution.plan.flops_factor / seconds["factor"],
        "backward_error": certificate.backward_error,
        "refinements": certificate.refinements,
        "condition_estimate": certificate.condition_estimate,
        "rkhs_norm": certificate.rkhs_norm,
        "log_det": certificate.log_det,
        "panel_width": solution.plan.panel_width,
        "traffic_bytes": solution.traffic,
        "notes": solution.notes,
    }


def _warm_up(setting: Setting) -> None:
    """Handles, workspaces and kernels are made on first use; a small solve uses them all."""
    n = 32 if setting.small else 8_192
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 256, (n, 784), dtype=np.uint8)
    data = rows, rng.standard_normal((n, 10)), 1 / 255
    _solved(
        setting, data, setting.open(None if setting.small else 4 * 10**9), panel_width=setting.width or 2_048
    )
