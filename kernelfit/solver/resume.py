"""Runs that are kept in a folder: resuming one, and using the factor of one that has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kernelfit.arguments import bytes_of
from kernelfit.cpu.pool import CpuBackend
from kernelfit.device.choose import check_device, open_devices
from kernelfit.device.protocol import Device
from kernelfit.errors import DataError, StorageError
from kernelfit.gram.protocol import GramSource
from kernelfit.gram.source import PanelGram, as_source
from kernelfit.linalg.cholesky import Pivots
from kernelfit.progress import Notes, ProgressLike, as_progress
from kernelfit.runs import folder as run_folder
from kernelfit.runs import run_file
from kernelfit.runs.folder import FACTOR, GRAM, JOURNAL, LOCK, RUN, SOLUTION, Run
from kernelfit.runs.lock import FolderLock
from kernelfit.runs.verify import open_factor
from kernelfit.solver.complete import complete
from kernelfit.solver.cpu_system import CpuSystem
from kernelfit.solver.place import place_again
from kernelfit.solver.problem_record import read_run, record_of
from kernelfit.solver.solution import Solution
from kernelfit.storage import hdf5, journal
from kernelfit.storage.disk import DiskPanels
from kernelfit.streaming import gram_file

# Rows of a panel read at once when the factor of a finished run is used.
_ROWS_AT_ONCE = 8_192


def resume(
    folder: str | Path,
    *,
    function: Any = None,
    gram: ArrayLike | PanelGram | None = None,
    device: str | Device | Sequence[Device] = "auto",
    device_memory: int | str | None = None,
    threads: int | None = None,
    progress: ProgressLike = None,
) -> Solution:
    """Resume the run in `folder` from its first unfinished panel; bit for bit the answer of a run without a break
    where the device is of the same kind.

    What is there is verified first: panels from the first on that does not match its checksum are computed again, and
    a run whose rows, kernel, plan or package versions are not what they were is refused. A finished run is opened.

    Parameters
    ----------
    folder : what was given to `kernelfit.solve` as run_dir
    function : the user's own kernel function, where the run has one
    gram : the precomputed Gram matrix, where the run has one
    device, device_memory : as for `kernelfit.solve`; any run can be resumed on any device
    threads : by default those available, as for `kernelfit.solve`; the answer does not depend on it

    Raises
    ------
    DataError, StorageError, DeviceError, Interrupted, and what `kernelfit.solve` raises
    """
    check_device(device)
    memory = bytes_of(device_memory, "device_memory")
    folder = require_run(folder)
    progress = as_progress(progress)
    lock = FolderLock(folder / LOCK)
    try:
        if run_folder.is_finished(folder):
            try:
                solution = open_run(folder, function=function, gram=gram, threads=threads)
            except DataError as error:
                progress.note(f"{error}; solved again from the factor")
            else:
                progress.note(f"{folder}: this run is finished already")
                lock.release()
                return solution
        problem, plan, lines = read_run(folder / RUN, function, gram_of(folder, gram))
        opened = open_devices(device, plan.n, progress.note, memory)
        if not opened and plan.tier == "device":
            progress.note(f"{folder}: begun on a device, resumed on the CPU")
        try:
            run = Run.resume(folder, record_of(problem, plan, lines), lock, progress)
        except BaseException:
            for each in opened:
                each.close()
            raise
    except BaseException:
        lock.release()
        raise
    with CpuBackend(threads) as backend:
        notes = Notes(progress, lines)
        return complete(place_again(run, problem, opened, backend, notes), notes)


def open_run(
    folder: str | Path,
    *,
    function: Any = None,
    gram: ArrayLike | PanelGram | None = None,
    threads: int | None = None,
    condition: bool = True,
) -> Solution:
    """The solution of a finished run, with its factor: new right-hand sides and leave-one-out without refactoring.

    The factor is read from the disk as it is needed and never written: several processes may do so at once.
    `function` and `gram` as in `resume`; without `condition` no condition number is estimated that the run did not.
    Raises `DataError` or `StorageError`.
    """
    folder = require_run(folder)
    # In this order: a writer records the digest of a new solution before the solution takes its place.
    digest = hdf5.file_digest(folder / SOLUTION) if (folder / SOLUTION).exists() else None
    contents = journal.read(folder / JOURNAL)
    if contents.header is None and (folder / SOLUTION).exists() and not (folder / RUN).exists():
        return Solution.load(folder / SOLUTION, function)  # of a linear kernel, which has no factor
    if not run_folder.is_finished(folder):
        raise StorageError(f"{folder}: holds {run_folder.state(folder)}; {run_folder.remedy(folder)}")
    if digest not in contents.solutions:
        raise DataError(
            f"{folder / SOLUTION}: does not match the journal's checksum, it is damaged; "
            f"kernelfit resume {folder} writes it again"
        )
    solution = Solution.load(folder / SOLUTION, function)
    plan, certificate = solution.plan, solution.certificate
    file = open_factor(folder / FACTOR, plan, contents, writable=False)
    if file is None or len(contents.panels) != plan.panels:
        raise DataError(
            f"{folder}: its factor is missing or incomplete; kernelfit resume {folder} computes it again"
        )
    source = solution.problem.source
    if solution.kernel is None:
        precomputed = gram_of(folder, gram)
        if precomputed is None:
            raise DataError(
                f"gram: {folder} belongs to a precomputed Gram matrix, which is not stored; give it again"
            )
        source = precomputed
    solution.problem = replace(solution.problem, source=source, condition=condition)
    assert certificate.min_pivot is not None
    assert certificate.min_pivot_row is not None
    assert certificate.log_det is not None
    pivots = Pivots(
        certificate.min_pivot, certificate.min_pivot_row, certificate.weak_pivots, certificate.log_det
    )
    inverse_norm = certificate.condition_estimate / certificate.norm
    solution.threads = threads
    solution.factor = CpuSystem.of_factor(
        solution.problem,
        plan,
        CpuBackend(threads),
        DiskPanels(file, min(plan.n, _ROWS_AT_ONCE)),
        pivots,
        inverse_norm if np.isfinite(inverse_norm) else None,
    )
    return solution


def remembered(folder: str | Path) -> dict[str, Any]:
    """What `kernelfit.solve` was given as `remember`; empty where it cannot be read."""
    return run_file.read_entry(require_run(folder) / RUN, "remembered") or {}


def require_run(folder: str | Path) -> Path:
    """The absolute path of a folder that holds a run or a solution."""
    folder = Path(folder).absolute()
    if not any((folder / name).is_file() for name in (RUN, SOLUTION)):
        raise DataError(
            f"{folder}: holds no run, expected the folder that was given to kernelfit solve --out"
        )
    run_folder.require_regular_files(folder)
    return folder


def gram_of(folder: Path, gram: ArrayLike | PanelGram | None) -> GramSource | None:
    """A precomputed K: what was given, or the one that a run of streamed features keeps in its folder."""
    if gram is not None:
        return as_source(gram)
    return gram_file.read(folder / GRAM).gram() if (folder / GRAM).exists() else None
