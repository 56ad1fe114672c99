"""Runs that are kept in a folder: resuming one, and using the factor of one that has ended."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kernelfit.arguments import bytes_of, flag, path_of
from kernelfit.cluster.connect import Engine
from kernelfit.cpu.memory import available_memory
from kernelfit.cpu.pool import CpuBackend
from kernelfit.device.choose import check_device, open_devices
from kernelfit.device.protocol import Device
from kernelfit.errors import DataError, InputError, NotPositiveDefiniteError, StorageError
from kernelfit.gram.plan import Plan
from kernelfit.gram.protocol import GramSource
from kernelfit.gram.source import PanelGram, Source, as_source
from kernelfit.linalg.cholesky import Pivots
from kernelfit.progress import Notes, Progress, ProgressLike, Silent, as_progress
from kernelfit.runs import folder as run_folder
from kernelfit.runs import run_file
from kernelfit.runs.folder import FACTOR, GRAM, JOURNAL, LOCK, RUN, SOLUTION, Run
from kernelfit.runs.identity import gram_digest
from kernelfit.runs.lock import FolderLock
from kernelfit.runs.verify import open_factor, verify
from kernelfit.solver.complete import complete
from kernelfit.solver.context import Context
from kernelfit.solver.cpu_system import CpuSystem
from kernelfit.solver.device_ignored import OF_ITERATIONS, give_back, ignoring_device, of_sparse_rows
from kernelfit.solver.iterative_system import IterativeSystem
from kernelfit.solver.least_ridge import with_further_ridges
from kernelfit.solver.place import place, place_again, place_again_on_cluster
from kernelfit.solver.problem import Problem, of_products
from kernelfit.solver.problem_record import of_another, of_kept, read_run, record_of
from kernelfit.solver.resources import Resources
from kernelfit.solver.sketch_system import SketchSystem
from kernelfit.solver.solution import Solution
from kernelfit.storage import hdf5, journal
from kernelfit.storage.atomic import storage_error
from kernelfit.storage.disk import DiskPanels
from kernelfit.storage.journal import Contents
from kernelfit.streaming import gram_file
from kernelfit.typing import EngineName

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
    engine: EngineName = "process",
    scheduler: Any = None,
    progress: ProgressLike = None,
) -> Solution:
    """Resume the run in `folder` from its first unfinished panel; bit for bit the answer of a run without a break
    where the device is of the same kind.

    What is there is verified first: panels from the first on that does not match its checksum are computed again, and
    a run whose rows, kernel, plan or package versions are not what they were is refused. A finished run is opened. With
    singular="ridge" a run that has no factor is followed by those with larger ridges, as without a break.

    Parameters
    ----------
    folder : what was given to `kernelfit.solve` as run_dir
    function : the user's own kernel function, where the run has one; a list of them where sums and products have
        several
    gram : the precomputed Gram matrix, where the run has one
    device, device_memory : as for `kernelfit.solve`; any run can be resumed on any device
    threads : by default those available, as for `kernelfit.solve`; the answer does not depend on it
    engine, scheduler : as for `kernelfit.solve`; any run can be resumed on a cluster, and one of a cluster here

    Raises
    ------
    DataError, StorageError, DeviceError, ClusterError, Interrupted, and what `kernelfit.solve` raises
    """
    check_device(device)
    memory = bytes_of(device_memory, "device_memory")
    where = Engine.of(engine, scheduler)
    where.require_device(device)
    backend = CpuBackend(threads)
    folder = require_run(folder)
    progress = as_progress(progress)
    if run_folder.is_without_factor(folder):
        solution = open_run(folder, function=function, gram=gram, threads=threads)
        give_back(device, solution.problem.source)
        progress.note(f"{folder}: this run is finished already")
        return solution
    lock = _locked(folder)
    try:
        if run_folder.is_finished(folder):
            finished = _finished(folder, function, gram, threads, progress)
            if finished is not None:
                give_back(device, finished.problem.source)
                lock.release()
                return finished
        problem, plan, lines = read_run(folder / RUN, function, gram_of(folder, gram))
        sparse = problem.points is not None and problem.points.sparse
        if problem.method.iterates and where.is_cluster:
            raise InputError("engine: got dask for a run of an iteration, expected process; leave it out")
        on_cpu = sparse or where.is_cluster or problem.method.iterates
        opened = open_devices("cpu" if on_cpu else device, plan.n, progress.note, None if on_cpu else memory)
        if not (opened or where.is_cluster) and plan.tier in ("device", "cluster"):
            progress.note(f"{folder}: begun on a {plan.tier}, resumed on the CPU")
        try:
            run = Run.resume(folder, record_of(problem, plan, lines), lock, progress)
        except BaseException:
            for each in opened:
                each.close()
            raise
    except BaseException:
        lock.release()
        raise
    with backend:
        notes = Notes(progress, lines)
        resources = Resources(device=device, device_memory=memory, panel_width=plan.panel_width, engine=where)
        if problem.method.iterates:
            resources = ignoring_device(resources, problem.source, OF_ITERATIONS, notes)
        elif sparse:
            resources = ignoring_device(resources, problem.source, of_sparse_rows(device), notes)
        return _completed(run, problem, opened, Context(resources, backend, notes, run.folder))


def _locked(folder: Path) -> FolderLock:
    """Raises `StorageError`, which names for a finished run what takes no lock."""
    try:
        return FolderLock(folder / LOCK)
    except StorageError as error:
        if not run_folder.is_finished(folder):
            raise
        raise StorageError(f"{error}, or {run_folder.remedy(folder)}") from None


def _completed(run: Run, problem: Problem, devices: Sequence[Device], context: Context) -> Solution:
    """The solution of a run that is taken up; where no factor exists, of one in its place with the next larger ridge
    that was to be tried."""
    resources, notes = context.resources, context.notes
    try:
        if resources.engine.is_cluster:
            return complete(place_again_on_cluster(run, problem, context), notes)
        return complete(place_again(run, problem, devices, context), notes)
    except NotPositiveDefiniteError:
        # An open device was given back with what failed.
        if not (problem.further_ridges and isinstance(resources.device, str)):
            raise

    as_begun = _as_begun(resources, run.plan)

    def anew(problem: Problem, notes: Notes) -> Solution:
        return complete(place(problem, replace(context, resources=as_begun, notes=notes)), notes)

    return with_further_ridges(problem, anew, notes)


def _as_begun(resources: Resources, plan: Plan) -> Resources:
    """For a run in the place of that of `plan`: in the memory that it kept to, or what is free where that is less now,
    and on the disk where it was."""
    if resources.engine.is_cluster or plan.tier == "cluster":  # whose limits are the workers'
        return resources
    memory = min(plan.memory_limit, available_memory())
    return replace(resources, memory=memory, tier="disk" if plan.tier == "disk" else "auto")


def open_run(
    folder: str | Path,
    *,
    function: Any = None,
    gram: ArrayLike | PanelGram | None = None,
    threads: int | None = None,
    condition: bool = True,
) -> Solution:
    """The solution of a finished run, with its factor: new right-hand sides and leave-one-out without refactoring.

    The factor is read from the disk as it is needed and never written: several processes may do so at once. Before it
    is used first, its panels are compared with their checksums.
    `function` and `gram` as in `resume`; without `condition` no condition number is estimated that the run did not.
    Raises `DataError` or `StorageError`.
    """
    condition = flag("condition", condition)
    return opened(require_run(folder), function, gram, threads, condition=condition)


def opened(
    folder: Path,
    function: Any,
    gram: ArrayLike | PanelGram | None,
    threads: int | None,
    *,
    condition: bool = True,
    verified: bool = False,
) -> Solution:
    """As `open_run`; with `verified` the caller has compared the panels with their checksums."""
    # In this order: a writer records the digest of a new solution before the solution takes its place.
    digest = _digest(folder / SOLUTION)
    contents = journal.read(folder / JOURNAL)
    if run_folder.is_without_factor(folder):
        solution = Solution.load(folder / SOLUTION, function)
        solution.threads = threads
        return solution
    if not run_folder.is_finished(folder):
        raise StorageError(f"{folder}: holds {run_folder.state(folder)}; {run_folder.remedy(folder)}")
    if digest not in contents.solutions:
        raise DataError(
            f"{folder / SOLUTION}: does not match the journal's checksum, it is damaged; "
            f"kernelfit resume {folder} writes it again"
        )
    solution = Solution.load(folder / SOLUTION, function)
    plan, certificate = solution.plan, solution.certificate
    precomputed = _precomputed(folder, solution, gram, contents) if solution.kernel is None else None
    if not plan.has_factor:
        return _iterating(solution, precomputed, threads, condition)
    file = open_factor(folder / FACTOR, plan, contents, writable=False)
    if file is None or len(contents.panels) != plan.panels:
        raise DataError(
            f"{folder}: its factor is missing or incomplete; kernelfit resume {folder} computes it again"
        )
    if solution.kernel is None and precomputed is None:
        raise InputError(
            f"gram: {folder} belongs to a precomputed Gram matrix, which is not stored; give it again"
        )
    source = precomputed or solution.problem.source
    solution.problem = replace(solution.problem, source=source, condition=condition)
    assert certificate.min_pivot is not None
    assert certificate.min_pivot_row is not None
    assert certificate.log_det is not None
    row = int(np.searchsorted(solution.kept, certificate.min_pivot_row))
    if row == len(solution.kept):
        raise DataError(
            f"{folder / SOLUTION}: its least pivot stands in no row of it; it is damaged or forged"
        )
    pivots = Pivots(certificate.min_pivot, row, certificate.weak_pivots, certificate.log_det)

    def require_whole() -> None:
        _, fault = verify(file, contents.panels, Silent())
        if fault is not None:
            raise DataError(f"{fault}; kernelfit resume {folder} computes it again")

    inverse_norm = certificate.condition_estimate / certificate.norm
    solution.threads = threads
    solution.factor = CpuSystem.of_factor(
        solution.problem,
        plan,
        CpuBackend(threads),
        DiskPanels(file, min(plan.n, _ROWS_AT_ONCE), before_reading=None if verified else require_whole),
        pivots,
        inverse_norm if np.isfinite(inverse_norm) else None,
    )
    return solution


def _precomputed(
    folder: Path, solution: Solution, gram: ArrayLike | PanelGram | None, contents: Contents
) -> GramSource | None:
    """K of a solution whose kernel is not known, of the rows that it kept; None where nobody has it. Raises
    `InputError` where the one that is given is another."""
    precomputed = gram_of(folder, gram)
    if precomputed is None:
        return None
    kept = solution.kept
    source = of_kept(of_products(precomputed, solution.problem.source.formula), kept, solution.rows_given)
    if source.n != len(kept):
        error = DataError if gram is None else InputError
        raise error(f"gram: got {source.n} rows, expected {len(kept)}, those that {folder} was solved with")
    if gram is not None and _recorded_gram(contents) != gram_digest(source, solution.plan):
        raise InputError(
            f"gram: got another matrix than that of {folder}, expected the one it was solved with"
        )
    return source


def _recorded_gram(contents: Contents) -> str | None:
    """The hash of K that the journal of a run has."""
    try:
        return str((contents.header or {})["identity"]["rows"]["gram"])
    except (LookupError, TypeError):
        return None


def _iterating(
    solution: Solution, precomputed: GramSource | None, threads: int | None, condition: bool
) -> Solution:
    """The solution of an iteration with what iterates again, once it is asked for more; without K it is as it is."""
    problem, backend = solution.problem, CpuBackend(threads)
    solution.threads = threads
    if solution.convergence is None or (solution.kernel is None and precomputed is None):
        return solution
    solution.problem = problem = replace(problem, source=precomputed or problem.source, condition=condition)
    system = SketchSystem if problem.method.solver == "askotch" else IterativeSystem
    solution.factor = system.of_finished(problem, solution.plan, backend, solution.convergence)
    return solution


def _digest(path: Path) -> str | None:
    """That of a file; None where it is not there. Raises `StorageError` where it cannot be read."""
    try:
        return hdf5.file_digest(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_error("read", path, error) from None


def _finished(
    folder: Path, function: Any, gram: ArrayLike | PanelGram | None, threads: int | None, progress: Progress
) -> Solution | None:
    """The solution of a finished run with its factor; None, and a note, where one of them is damaged."""
    try:
        solution = opened(folder, function, gram, threads, verified=True)
    except DataError as error:
        progress.note(f"{error}; solved again from the factor")
        return None
    try:
        fault = _fault_of_factor(folder, solution.plan, progress) if solution.plan.has_factor else None
        if fault is None:
            _restore_run_file(folder, solution, progress)
            progress.note(f"{folder}: this run is finished already")
            return solution
    except BaseException:
        solution.close()
        raise
    progress.note(fault)
    solution.close()
    return None


def _fault_of_factor(folder: Path, plan: Plan, progress: Progress) -> str | None:
    """What is wrong with a finished factor, or None."""
    contents = journal.read(folder / JOURNAL)
    file = open_factor(folder / FACTOR, plan, contents, writable=False)
    assert file is not None
    try:
        return verify(file, contents.panels, progress)[1]
    finally:
        file.close()


def _restore_run_file(folder: Path, solution: Solution, progress: Progress) -> None:
    """run.h5 of a finished run from its solution, where it is damaged; raises where it is that of another run."""
    header = journal.read(folder / JOURNAL).header
    assert header is not None
    try:
        there = run_file.read(folder / RUN, lambda record: record)
    except DataError as error:
        plain = [line for line in solution.notes if line not in solution.remarks]
        record = record_of(solution.problem, solution.plan, plain)
        run_file.write(folder / RUN, replace(record, identity=header["identity"]))
        progress.note(f"{error}; written again from the solution")
        return
    run_folder.refuse_other(folder, there.identity, header.get("identity"))
    if differing := of_another(solution.problem, there.meta, there.arrays):
        raise DataError(f"{folder / RUN}: its {differing} are not those of the solution; restore it")


def remembered(folder: str | Path) -> dict[str, Any]:
    """What `kernelfit.solve` was given as `remember`; empty where it cannot be read."""
    folder = require_run(folder)
    if not (folder / RUN).exists():  # of a linear kernel, which has no factor
        return Solution.load(folder / SOLUTION).problem.remembered
    return run_file.read_entry(folder / RUN, "remembered") or {}


def require_run(folder: str | Path) -> Path:
    """The absolute path of a folder that holds a run or a solution."""
    folder = path_of("run_dir", folder).absolute()
    try:
        holds = any((folder / name).is_file() for name in (RUN, SOLUTION))
    except OSError as error:
        raise storage_error("read", folder, error) from None
    if not holds:
        found = "holds no run" if os.path.lexists(folder) else "no such folder"
        raise DataError(f"{folder}: {found}, expected the folder that was given to kernelfit solve --out")
    run_folder.require_regular_files(folder)
    return folder


def gram_of(folder: Path, gram: ArrayLike | PanelGram | None) -> Source | None:
    """A precomputed K: what was given, or the one that a run of streamed features keeps in its folder."""
    if gram is not None:
        return as_source(gram)
    return gram_file.read(folder / GRAM).gram() if (folder / GRAM).exists() else None
