"""The folder of a run: what is needed to resume it, and what is left when it has ended.

run.h5        rows, targets and every choice made; a folder without it holds no run
factor.h5     the panels of L
journal       which panels are finished, with their checksums; see `kernelfit.storage.journal`
iteration.h5  how far an iteration has come, which has no factor; see `kernelfit.runs.iteration_file`
solution.h5   the solution, once there is one
result.json   what was reported; see `kernelfit.runs.result_file`
weights.h5    of features that stream, for new rows; computed anew where it is missing
gram.h5       K of streamed features, which is not computed again; before run.h5 there is, as far as it has come
asked.json    what a run is to be of whose gram.h5 is there and its run.h5 is not; see `kernelfit.runs.asked_file`
lock          held by the process that writes
rows/         what was compared before, where the run is of the best of it
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from kernelfit.cpu.memory import free_disk
from kernelfit.errors import DataError, StorageError
from kernelfit.gram.plan import Plan
from kernelfit.gram.precision import precision_of
from kernelfit.progress import Progress
from kernelfit.runs import iteration_file, run_file, solution_file
from kernelfit.runs.identity import differences
from kernelfit.runs.lock import FolderLock
from kernelfit.runs.run_file import Record
from kernelfit.runs.verify import open_factor, verify
from kernelfit.storage import journal
from kernelfit.storage.disk import DiskPanels
from kernelfit.storage.folders import make_folder, scratch_folder
from kernelfit.storage.journal import Checksums, Journal, PanelRecord
from kernelfit.storage.panel_file import PanelFile, may_hold_panels
from kernelfit.storage.panels import PanelStore, RamPanels
from kernelfit.storage.regular import require_regular
from kernelfit.storage.write_behind import WriteBehind
from kernelfit.typing import Array

RUN, FACTOR, JOURNAL, SOLUTION, LOCK = "run.h5", "factor.h5", "journal", "solution.h5", "lock"
GRAM, RESULT, WEIGHTS, ROWS = "gram.h5", "result.json", "weights.h5", "rows"
ITERATION, ASKED = "iteration.h5", "asked.json"
#: what a run is made of
FILES = (RUN, FACTOR, JOURNAL, SOLUTION, GRAM, LOCK, RESULT, WEIGHTS, ITERATION, ASKED)
#: how files begin by which workers of a cluster are asked whether they see the folder
SEEN = ".seen-"
_UNFINISHED = (SEEN, *(f".{name}." for name in (RUN, FACTOR, JOURNAL, SOLUTION, GRAM, ITERATION, ASKED)))


class Run:
    """A run that this process writes. Make one with `start` or `resume`; nobody else may write until `close`."""

    def __init__(self, folder: Path, lock: FolderLock, record: Record) -> None:
        self.folder, self._lock, self._record = folder, lock, record
        self._file: PanelFile | None = None
        self._journal: Journal | None = None
        self._made = False
        self._process = os.getpid()
        #: panels that an earlier process finished, and the seconds they took for K and for the factor
        self.finished = 0
        self.seconds = (0.0, 0.0)

    @property
    def plan(self) -> Plan:
        return self._record.plan

    @property
    def is_written(self) -> bool:
        """Whether this process may write into the folder: not once the run has ended."""
        return self._journal is not None

    @classmethod
    def start(cls, folder: Path, record: Record) -> Run:
        """A new run; everything is laid out and reserved before this returns, or nothing is left behind."""
        folder, made = make_folder(folder)
        lock = None
        try:
            _require_own(folder, (JOURNAL, LOCK, FACTOR, ITERATION))
            lock = FolderLock(folder / LOCK)
            refuse_occupied(folder)
            run = cls(folder, lock, record)
            run._made = made
            try:
                run._lay_out()
            except BaseException:
                run._close_files()
                _clear(folder)
                raise
        except BaseException:
            if lock is not None:
                lock.release(remove=not (folder / RUN).exists())
            if made:
                remove_if_empty(folder)
            raise
        return run

    @classmethod
    def resume(cls, folder: Path, record: Record, lock: FolderLock, progress: Progress) -> Run:
        """Take up a run after checking that it is the same one and that its panels are what was recorded."""
        run = cls(folder, lock, record)
        try:
            run._take_up(progress)
        except BaseException:
            run.close()
            raise
        return run

    def restart(self, record: Record) -> None:
        """Forget the panels and begin with another plan."""
        self._close_files()
        (self.folder / JOURNAL).unlink(missing_ok=True)
        self._record = record
        self.finished, self.seconds = 0, (0.0, 0.0)
        # Before the journal: after a kill in between one would be of another run than the other.
        run_file.write(self.folder / RUN, record)
        self._lay_out_panels()

    def behind(self) -> WriteBehind:
        """What writes panels to the factor's file and records them."""
        assert self._file is not None
        return WriteBehind(self._file, self._journal)

    def factor_file(self) -> tuple[Path, tuple[int, ...]]:
        """The factor's file and where its panels are, for other processes that write into it."""
        assert self._file is not None
        return self._file.path, self._file.offsets

    def record(self, j: int, checksums: Checksums, seconds: tuple[float, float]) -> None:
        """Record panel j, which others have written and synced: (first row, last row + 1, CRC-32) of its blocks."""
        assert self._journal is not None
        self._journal.append(PanelRecord(j, checksums, seconds).to_dict())
        self._journal.sync()

    def diagonals(self) -> Iterator[Array]:
        """Those of the finished panels, in their order."""
        assert self._file is not None
        for j in range(self.finished):
            rows = self.plan.layout.start(j), self.plan.layout.stop(j)
            block = np.empty((rows[1] - rows[0],) * 2, self._file.dtype)
            self._file.read(j, rows, block)
            yield np.diagonal(block)

    def open_store(self, dtype: Any) -> PanelStore:
        """The store of the planned tier, with the finished panels in it."""
        assert self._file is not None
        behind = self.behind()
        # A run that a device or a cluster began is resumed from the disk where there is none.
        if self.plan.tier in ("disk", "device", "cluster"):
            return DiskPanels(self._file, self.plan.rows_at_once, behind)
        store = RamPanels(self.plan.layout, dtype, behind)
        for j in range(self.finished):
            store.load(j)
        return store

    def finish(self, meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Write the solution, as plain data. The journal knows its checksum before it takes its name."""
        solution_file.write(self.folder / SOLUTION, meta, arrays, self._seal)
        (self.folder / ITERATION).unlink(missing_ok=True)

    def store_iteration(self, meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Where the iteration is, in place of what was stored before. Raises `StorageError`."""
        iteration_file.write(self.folder / ITERATION, {**meta, "identity": self._record.identity}, arrays)

    def stored_iteration(self, progress: Progress) -> tuple[dict[str, Any], dict[str, Array]] | None:
        """What was stored last; None, and a note where it is damaged or of another run: the iteration is to begin."""
        path = self.folder / ITERATION
        if not path.exists():
            return None
        try:
            meta, arrays = iteration_file.read(path)
        except DataError as error:
            progress.note(f"{error}; the iteration begins again")
            return None
        if meta.pop("identity", None) != self._record.identity:
            progress.note(f"{path}: is of another run; the iteration begins again")
            return None
        return meta, arrays

    def discard(self) -> None:
        """Take everything away that the run put into its folder; a forked child, whose it is not, takes nothing."""
        self._close_files()
        if os.getpid() != self._process:
            return
        _clear(self.folder)
        self._lock.release(remove=True)
        if self._made:
            remove_if_empty(self.folder)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if isinstance(error, StorageError) and (self.folder / RUN).exists():
            raise StorageError(f"{error}; then continue with kernelfit resume {self.folder}") from None

    def close(self) -> None:
        """Let others write. The factor's file stays open as long as its store does."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        self._lock.release()

    def _seal(self, digest: str) -> None:
        assert self._journal is not None
        self._journal.append({"solution": digest})
        self._journal.sync()

    def _lay_out(self) -> None:
        """A new file for the factor, a new journal, and last the file that makes this folder a run."""
        self._lay_out_panels()
        run_file.write(self.folder / RUN, self._record)

    def _lay_out_panels(self) -> None:
        _sweep(self.folder)
        header: dict[str, Any] = {"identity": self._record.identity, "offsets": [], "metadata": ""}
        if self.plan.has_factor:
            dtype = precision_of(self.plan.precision).factor
            self._file = file = PanelFile.create(self.folder / FACTOR, self.plan.layout, dtype)
            header |= {"offsets": file.offsets, "metadata": file.metadata_digest()}
        self._journal = Journal.create(self.folder / JOURNAL, header)

    def _take_up(self, progress: Progress) -> None:
        _sweep(self.folder)
        contents = journal.read(self.folder / JOURNAL)
        if contents.header is None:
            lost = contents.damage or ("is cut short" if contents.torn else "is missing")
            progress.note(f"{self.folder / JOURNAL}: {lost}; every panel is computed again")
            self._lay_out()
            return
        refuse_other(self.folder, self._record.identity, contents.header.get("identity"))
        if not self.plan.has_factor:
            self._journal = Journal(self.folder / JOURNAL)
            self._journal.truncate(contents.ends_header if contents.damage else contents.length)
            return
        file = open_factor(self.folder / FACTOR, self.plan, contents, writable=True)
        if file is None:
            progress.note(f"{self.folder / FACTOR}: missing; every panel is computed again")
            self._lay_out()
            return
        self._file = file
        good, fault = verify(file, contents.panels, progress)
        for damage in (contents.damage and f"{self.folder / JOURNAL}: {contents.damage}", fault):
            if damage:
                progress.note(f"{damage}; panels from {good} on are computed again")
        if file.metadata_digest() != contents.header.get("metadata"):
            progress.note(f"{self.folder / FACTOR}: its HDF5 metadata was damaged and has been written again")
            file.repair_metadata()
        self._journal = Journal(self.folder / JOURNAL)
        whole = good == len(contents.panels) and contents.damage is None
        kept = contents.length if whole else (contents.ends[good - 1] if good else contents.ends_header)
        self._journal.truncate(kept)
        self.finished = good
        records = contents.panels[:good]
        self.seconds = (sum(r.seconds[0] for r in records), sum(r.seconds[1] for r in records))

    def _close_files(self) -> None:
        if self._journal is not None:
            self._journal.close()
        if self._file is not None:
            self._file.close()
        self._journal = self._file = None


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Nobody else writes into the folder meanwhile, in which no run is begun. Raises `StorageError`."""
    _require_own(folder, (LOCK,))
    lock = FolderLock(folder / LOCK)
    try:
        yield
    finally:
        lock.release(remove=True)


def is_vacant(folder: Path) -> bool:
    """Whether a folder holds nothing but what a start that was killed may have left, a Gram's sums included, and what
    was found out before the run."""
    return all(path.name == ROWS if path.is_dir() else _may_be_left(path) for path in folder.iterdir())


def _require_own(folder: Path, names: Sequence[str]) -> None:
    """Raise where a file of such a name is the user's."""
    for path in (folder / name for name in names):
        if path.is_file() and not _may_be_left(path):
            raise StorageError(f"{path}: is no file of a run, and would be lost; name another folder")


def _may_be_left(path: Path) -> bool:
    """Whether a start that was killed may have left this file: one of the user's own would be written over."""
    if not path.is_file():
        return False
    if path.is_symlink():  # links are replaced, what they point to stays
        return path.name in (FACTOR, JOURNAL, LOCK, GRAM, ASKED)
    if path.name == JOURNAL:
        return path.stat().st_size == 0 or journal.read(path).header is not None
    if path.name == LOCK:  # holds the number of a process
        return not path.read_bytes().strip(b"0123456789\n")
    if path.name == FACTOR:
        return may_hold_panels(path)
    if path.name == ASKED:
        return path.read_bytes().startswith(b"{") and b'"experiment"' in path.read_bytes()
    return path.name == GRAM or path.name.startswith(_UNFINISHED)


def _sweep(folder: Path) -> None:
    """Remove files that a killed process was about to give a name."""
    for path in folder.iterdir():
        if path.name.startswith(_UNFINISHED):
            path.unlink(missing_ok=True)


def _clear(folder: Path) -> None:
    # run.h5 first: without it the rest is no run.
    for name in (RUN, JOURNAL, FACTOR, ITERATION):
        (folder / name).unlink(missing_ok=True)


def open_run_folder(folder: Path, record: Record, resume: bool, progress: Progress) -> Run:
    """The run of `record` in `folder`: a new one, or with `resume` the one that is there, if it is the same.

    The panels stay as they are whatever the targets; new targets replace those that were stored, and their solution.
    """
    folder = folder.absolute()
    if not resume or not (folder / RUN).exists():
        return Run.start(folder, record)
    require_regular_files(folder)
    lock = FolderLock(folder / LOCK)
    try:
        there = run_file.read_entry(folder / RUN, "identity")
        if there is not None:
            refuse_other(folder, record.identity, there)

        def seal(_: str) -> None:
            # Before the new run.h5 takes its name: a kill must not leave the solution of earlier targets beside it.
            (folder / SOLUTION).unlink(missing_ok=True)

        run_file.write(folder / RUN, record, seal)
    except BaseException:
        lock.release()
        raise
    return Run.resume(folder, record, lock, progress)


def require_regular_files(folder: Path) -> None:
    """Raise `StorageError` where a file of a run, which may come from elsewhere, is a symbolic link or a pipe."""
    for name in FILES:
        require_regular(folder / name)


def free_for_factor(run_dir: Path | None, scratch: Path | None) -> int:
    """Bytes of the disk that a new factor may have in a run's folder, or without a run in the one for scratch.

    Raises `StorageError` where there is no such folder.
    """
    if run_dir is None:
        return free_disk(scratch_folder(scratch))
    return free_disk(run_dir) + reserved(run_dir)


def reserved(folder: Path) -> int:
    """Bytes that an earlier factor in this folder holds and a new one may have."""
    try:
        return (folder / FACTOR).stat().st_blocks * 512
    except OSError:
        return 0


def remove_if_empty(folder: Path) -> None:
    try:
        os.rmdir(folder)
    except OSError:
        return  # something is in it, or it is gone


def refuse_occupied(folder: Path) -> None:
    """Raise where a new run would overwrite an earlier one or its solution."""
    if (folder / RUN).exists():
        raise StorageError(f"{folder}: holds {state(folder)}; {remedy(folder)}, or name another folder")
    if (folder / SOLUTION).exists():
        raise StorageError(f"{folder}: holds {SOLUTION} already; name another folder")


def is_without_factor(folder: Path) -> bool:
    """Whether a folder holds a solution alone, that of a linear kernel: no run has made it, or ever continues it."""
    alone = (folder / SOLUTION).exists() and not (folder / RUN).exists()
    return alone and journal.read(folder / JOURNAL).header is None


def is_finished(folder: Path) -> bool:
    """Whether a folder holds a solution that the journal knows."""
    return (folder / SOLUTION).exists() and bool(journal.read(folder / JOURNAL).solutions)


def state(folder: Path) -> str:
    """What a folder with run.h5 holds, in words."""
    if is_finished(folder):
        return "a finished run"
    contents = journal.read(folder / JOURNAL)
    offsets = (contents.header or {}).get("offsets")
    if offsets == []:
        return "an unfinished run of an iteration"
    total = len(offsets) if isinstance(offsets, list) else "?"
    return f"an unfinished run ({len(contents.panels)} of {total} panels)"


def remedy(folder: Path) -> str:
    if is_finished(folder):
        return "use its factor with kernelfit.open"
    return f"continue it with kernelfit resume {folder}"


def refuse_other(folder: Path, here: dict[str, Any], there: Any) -> None:
    """Raise where the run in the folder is another one, with what differs."""
    if not isinstance(there, dict):
        raise DataError(f"{folder / JOURNAL}: does not say what it belongs to; start again in another folder")
    differing = differences(here, there)
    if differing:
        listed = "; ".join(differing[:6]) + (f"; and {len(differing) - 6} more" if len(differing) > 6 else "")
        raise StorageError(
            f"{folder}: holds another run: {listed}; name another folder, or restore what differs"
        )
