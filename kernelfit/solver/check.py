"""Verifying a run that is kept in a folder, finished or not, without changing anything in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import DataError, RefinementError, StorageError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.placement import TIERS
from kernelfit.gram.plan import Plan
from kernelfit.gram.source import PanelGram
from kernelfit.linalg.conjugate_gradients import backward_error
from kernelfit.linalg.product import symmetric_product
from kernelfit.progress import Progress, ProgressLike, as_progress
from kernelfit.runs import result_file
from kernelfit.runs.folder import FACTOR, JOURNAL, RESULT, RUN, SOLUTION, WEIGHTS
from kernelfit.runs.identity import differences, identity
from kernelfit.runs.verify import open_factor, verify
from kernelfit.solver.problem import Problem
from kernelfit.solver.problem_record import arrays_of, meta_of, of_another, read_run
from kernelfit.solver.resume import gram_of, opened, require_run
from kernelfit.solver.solution import Solution
from kernelfit.storage import hdf5, journal
from kernelfit.storage.journal import Contents
from kernelfit.streaming import weights

# A solution whose freshly computed backward error is beyond this multiple of the recorded one is another solution.
_SAME_ERROR = 10.0


@dataclass
class Check:
    """What `check` finds.

    `panels_verified` of `panels` match their checksums; `backward_error` is that of the stored alpha, from a factor
    read back and K formed afresh (finished runs); `problems` are lines of text, none where all is well; `notes` are
    worth knowing and no fault.
    """

    folder: str
    finished: bool = False
    panels: int = 0
    panels_verified: int = 0
    bytes_verified: int = 0
    backward_error: float | None = None
    alpha_reproduced: bool | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Its fields and `ok`, in JSON's types."""
        return {**asdict(self), "ok": self.ok}


def check(
    folder: str | Path,
    *,
    function: Any = None,
    gram: ArrayLike | PanelGram | None = None,
    threads: int | None = None,
    progress: ProgressLike = None,
) -> Check:
    """Verify a run end to end: what it was started with, its journal, every finished panel, HDF5's view of the factor.

    Of a finished run the solution is computed again from the factor and compared with the one that is stored. A run
    that another process writes may be checked: only finished panels are looked at. `function` and `gram` as in
    `kernelfit.resume`. Raises `DataError` where the folder holds no run.
    """
    folder = require_run(folder)
    progress = as_progress(progress)
    report = Check(str(folder))
    try:
        contents = journal.read(folder / JOURNAL)
        if not (folder / RUN).exists() and contents.header is None:
            report.notes.append("a solution without a factor")
            stored = Solution.load(folder / SOLUTION, function)
            report.finished = True
            _check_result(report, folder, stored)
            return report
        problem, plan, _ = read_run(folder / RUN, function, gram_of(folder, gram))
    except (DataError, StorageError) as error:
        report.problems.append(str(error))
        return report
    report.panels = plan.panels if plan.has_factor else 0
    if contents.header is None:
        _missing_journal(report, folder, contents)
        return report
    same_versions = _compare_identity(report, problem, plan, contents)
    if contents.damage is not None:
        report.problems.append(f"{folder / JOURNAL}: {contents.damage}")
    elif contents.torn:
        report.notes.append(
            "the journal's last line is not complete, as after a crash or while a run is in progress"
        )
    if plan.has_factor:
        _check_factor(report, folder, plan, contents, progress)
    if contents.solutions and not (folder / SOLUTION).exists():
        report.notes.append(
            "the solution that the journal knows of is not there; kernelfit resume writes it again"
        )
    elif contents.solutions and report.ok and report.panels_verified == report.panels:
        report.finished = True
        _check_solution(report, folder, problem, (function, gram, threads), same_versions, progress)
    return report


def _missing_journal(report: Check, folder: Path, contents: Contents) -> None:
    if contents.damage is None and not contents.torn and not (folder / JOURNAL).exists():
        report.notes.append("no panel is finished: the journal is not there yet")
    else:
        report.problems.append(f"{folder / JOURNAL}: {contents.damage or 'its first line is damaged'}")


def _compare_identity(report: Check, problem: Problem, plan: Plan, contents: Contents) -> bool:
    """Whether versions are those of the run; other differences are problems."""
    there = (contents.header or {}).get("identity")
    if not isinstance(there, dict):
        report.problems.append("the journal does not say what it belongs to")
        return False
    differing = differences(
        identity(problem.source, plan, problem.ridge, problem.jitter, problem.weights), there
    )
    versions = [line for line in differing if line.startswith("versions.")]
    report.notes += versions
    report.problems += [line for line in differing if line not in versions]
    return not versions


def _check_factor(report: Check, folder: Path, plan: Plan, contents: Contents, progress: Progress) -> None:
    try:
        file = open_factor(folder / FACTOR, plan, contents, writable=False)
        if file is None:
            report.problems.append(f"{folder / FACTOR}: missing")
            return
        try:
            report.panels_verified, fault = verify(file, contents.panels, progress)
            report.bytes_verified = file.bytes_read
            if fault is not None:
                report.problems.append(fault)
            if file.metadata_digest() != (contents.header or {}).get("metadata"):
                report.problems.append(f"{file.path}: its HDF5 metadata is damaged")
            else:
                report.problems += _hdf5_view(file.path, plan.layout, file.dtype, file.offsets)
        finally:
            file.close()
    except (DataError, StorageError) as error:
        report.problems.append(str(error))


def _hdf5_view(path: Path, layout: PanelLayout, dtype: np.dtype[Any], offsets: tuple[int, ...]) -> list[str]:
    """What h5py sees otherwise than we do."""
    try:
        with hdf5.opened(path) as file:
            for j in range(layout.count):
                panel = file[f"panels/{j:05d}"]
                seen = panel.shape, panel.dtype, panel.id.get_offset()
                if seen != (layout.shape(j), dtype, offsets[j]):
                    return [f"{path}: h5py sees panel {j} as {seen}"]
    except (OSError, LookupError, RuntimeError) as error:
        return [f"{path}: h5py cannot read it ({str(error).splitlines()[0]})"]
    return []


def _check_result(report: Check, folder: Path, solution: Solution) -> None:
    """What stands beside a solution: the record, and weights of features that stream."""
    try:
        if (folder / RESULT).exists():
            result_file.read(folder, solution.alpha)
        elif "experiment" in solution.problem.remembered:
            report.notes.append(f"{RESULT} is not there; kernelfit resume writes it again")
        if (folder / WEIGHTS).exists() and not weights.belong(folder / WEIGHTS, folder / SOLUTION):
            report.notes.append(f"{WEIGHTS} is of another solution; kernelfit predict computes it again")
    except (DataError, StorageError) as error:
        report.problems.append(str(error))


def _check_residual(
    report: Check, folder: Path, stored: Solution, threads: int | None, progress: Progress
) -> None:
    """The backward error of the stored alpha with K formed afresh, where there is no factor to compute another with."""
    problem, alpha = stored.problem, stored.alpha
    with CpuBackend(threads) as backend:
        product = symmetric_product(
            problem.source, stored.plan.layout, alpha, backend, with_norm=True, progress=progress
        )
    residual = stored.targets - product.values - problem.ridges * alpha
    report.backward_error = backward_error(residual, problem.norm(product), alpha, stored.targets)
    limit = _SAME_ERROR * max(stored.certificate.backward_error, float(np.finfo(np.float64).eps))
    if not report.backward_error <= limit:
        report.problems.append(
            f"{folder / SOLUTION}: backward error {report.backward_error:.1e}, recorded "
            f"{stored.certificate.backward_error:.1e}"
        )


def _check_solution(
    report: Check,
    folder: Path,
    problem: Problem,
    given: tuple[Any, ArrayLike | PanelGram | None, int | None],
    same_versions: bool,
    progress: Progress,
) -> None:
    function, gram, threads = given
    try:
        stored = opened(folder, function, gram, threads, condition=False, verified=True)
    except (DataError, StorageError) as error:
        report.problems.append(str(error))
        return
    try:
        if differing := of_another(stored.problem, meta_of(problem), arrays_of(problem)):
            report.problems.append(f"{folder / RUN}: its {differing} are not those of the solution")
        _check_result(report, folder, stored)
        if not stored.plan.has_factor:
            _check_residual(report, folder, stored, threads, progress)
            return
        again = stored.solve(stored.targets, progress)
    except RefinementError as error:
        report.problems.append(f"{folder / SOLUTION}: the factor gives no solution: {error}")
        return
    finally:
        stored.close()
    report.backward_error = again.certificate.backward_error
    report.alpha_reproduced = bool(np.array_equal(again.alpha, stored.alpha))
    # Devices and clusters add up in another order than the CPU does here.
    if same_versions and not report.alpha_reproduced and stored.plan.tier in TIERS:
        report.problems.append(
            f"{folder / SOLUTION}: the factor gives another alpha than the one that is stored"
        )
    limit = _SAME_ERROR * max(stored.certificate.backward_error, float(np.finfo(np.float64).eps))
    if not report.backward_error <= limit:
        report.problems.append(
            f"{folder / SOLUTION}: backward error {report.backward_error:.1e}, recorded "
            f"{stored.certificate.backward_error:.1e}"
        )
