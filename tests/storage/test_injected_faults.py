"""Errors of the system injected at every call, damaged and vanished files: a right answer, or one line and a way on."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernelfit
from kernelfit.errors import Interrupted, KernelfitError, NotPositiveDefiniteError, StorageError
from kernelfit.progress import Silent
from kernelfit.storage import journal

N, WIDTH = 150, 32
PANELS = 5
TIERS = ("disk", "ram")


def problem() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    return {
        "X": rng.normal(size=(N, 4)),
        "Y": rng.normal(size=(N, 2)),
        "gamma": 0.5,
        "panel_width": WIDTH,
        "threads": 2,
    }


@pytest.fixture(scope="module")
def alpha() -> np.ndarray[Any, Any]:
    return kernelfit.solve(**problem()).alpha


class When(Silent):
    """Calls `action` when `panels` panels are finished, as their work is reported."""

    def __init__(self, folder: Path, panels: int, action: Callable[[], Any]) -> None:
        super().__init__()
        self._folder, self._panels, self._action = folder, panels, action
        self._done = False
        self._lock = threading.Lock()

    @contextmanager
    def phase(self, name: str, total: float, unit: str = "flop") -> Iterator[Callable[[float], None]]:
        def advance(amount: float) -> None:
            with self._lock:  # several threads report at once
                if name != "factor" or self._done:
                    return
                self._done = len(journal.read(self._folder / "journal").panels) >= self._panels
                if self._done:
                    self._action()

        yield advance


def unfinished(folder: Path, panels: int = 3, tier: str = "disk") -> None:
    """A run that was asked to stop while panel `panels` was being made."""
    stop = When(folder, panels, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted) as caught:
        kernelfit.solve(**problem(), run_dir=folder, tier=tier, progress=stop)
    assert caught.value.exit_code == 143
    finished = len(journal.read(folder / "journal").panels)
    assert panels <= finished <= panels + 1
    assert f"stopped by SIGTERM after {finished} of " in str(caught.value)


def require_right_or_resumable(
    folder: Path, alpha: np.ndarray[Any, Any], error: KernelfitError | None
) -> None:
    if error is not None:
        assert "\n" not in str(error)
    if error is not None and not (folder / "run.h5").exists():
        assert not folder.exists()
        return
    notes = Silent()
    solution = kernelfit.resume(folder, progress=notes)
    np.testing.assert_array_equal(solution.alpha, alpha)
    solution.close()
    found = kernelfit.check(folder)
    assert found.ok, found.problems
    assert found.finished


class Failing:
    """Stands in for a function of `os`; call number `at` raises. What the system tells of itself can be read."""

    def __init__(self, name: str, number: int) -> None:
        self.name, self.number = name, number
        self.call = getattr(os, name)
        self.calls, self.at = 0, -1

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if not str(arguments[0]).startswith(("/proc/", "/sys/", "/dev/")):
            self.calls += 1
            if self.calls == self.at:
                raise OSError(self.number, os.strerror(self.number))
        return self.call(*arguments, **named)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("pwritev", errno.ENOSPC),
        ("pwritev", errno.EIO),
        ("write", errno.ENOSPC),
        ("fsync", errno.EIO),
        ("fdatasync", errno.EIO),
        ("posix_fallocate", errno.ENOSPC),
        ("replace", errno.ENOSPC),
        ("preadv", errno.EIO),
        ("mkdir", errno.EROFS),
        ("open", errno.EMFILE),
    ],
)
def test_an_error_of_the_system_at_every_call(
    alpha: np.ndarray[Any, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tier: str,
    name: str,
    number: int,
) -> None:
    failing = Failing(name, number)
    monkeypatch.setattr(os, name, failing)
    kernelfit.solve(**problem(), run_dir=tmp_path / "whole", tier=tier).close()
    calls = failing.calls
    raised = 0
    # Reads are many and alike.
    step = 1 + calls // 12 if name == "preadv" else 1
    for at in range(1, calls + 1, step):
        failing.calls, failing.at = 0, at
        error = None
        folder = tmp_path / str(at)
        try:
            solution = kernelfit.solve(**problem(), run_dir=folder, tier=tier)
            np.testing.assert_array_equal(solution.alpha, alpha)
            solution.close()
        except StorageError as caught:
            error = caught
            raised += 1
        failing.at = -1
        require_right_or_resumable(folder, alpha, error)
    assert raised == len(range(1, calls + 1, step))


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("most", [1, 4096])
def test_short_reads_and_writes_are_continued(
    alpha: np.ndarray[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tier: str, most: int
) -> None:
    calls = {name: getattr(os, name) for name in ("preadv", "pwritev", "write")}

    def short(name: str) -> Callable[..., int]:
        def move(descriptor: int, data: Any, *where: int) -> int:
            # At most 200 calls a block, or one byte at a time would take minutes.
            view = data[0] if isinstance(data, list) else memoryview(data)
            piece = view[: max(most, len(view) // 200)]
            return int(calls[name](descriptor, [piece] if isinstance(data, list) else piece, *where))

        return move

    for name in calls:
        monkeypatch.setattr(os, name, short(name))
    solution = kernelfit.solve(**problem(), run_dir=tmp_path / "run", tier=tier)
    np.testing.assert_array_equal(solution.alpha, alpha)
    solution.close()
    assert kernelfit.check(tmp_path / "run").ok


@pytest.mark.parametrize("file", ["factor.h5", "journal", "run.h5"])
def test_a_flipped_bit_is_found_and_repaired_or_named(
    alpha: np.ndarray[Any, Any], tmp_path: Path, rng: np.random.Generator, file: str
) -> None:
    """In panels, HDF5 metadata, the journal, rows, targets and options of a run that stopped."""
    unfinished(tmp_path / "begun")
    size = (tmp_path / "begun" / file).stat().st_size
    seen = set()
    for attempt in range(16):
        folder = tmp_path / "run"
        shutil.copytree(tmp_path / "begun", folder)
        data = bytearray((folder / file).read_bytes())
        # Every fourth flip falls on the first kilobyte, where headers are.
        place = int(rng.integers(min(size, 1024) if attempt % 4 == 0 else size))
        data[place] ^= 1 << int(rng.integers(8))
        (folder / file).write_bytes(data)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        found = kernelfit.check(folder)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        notes = Silent()
        refused = None
        try:
            solution = kernelfit.resume(folder, progress=notes)
        except KernelfitError as error:
            refused = str(error)
        if refused is not None:
            assert "\n" not in refused
            assert file != "factor.h5", f"byte {place}: {refused}"
            assert not found.ok, f"byte {place}"
            seen.add("refused")
        else:
            np.testing.assert_array_equal(solution.alpha, alpha)
            solution.close()
            if notes.notes:
                # What had to be repaired is what a check complains about; a torn last line is a crash's doing.
                assert not found.ok or found.notes, f"byte {place}: {notes.notes}"
                seen.add("repaired")
            after = kernelfit.check(folder)
            assert after.ok, f"byte {place}: {after.problems}"
        shutil.rmtree(folder)
    assert seen & {"repaired", "refused"}


def test_a_flipped_bit_in_a_finished_run(alpha: np.ndarray[Any, Any], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    kernelfit.solve(**problem(), run_dir=folder).close()
    data = bytearray((folder / "solution.h5").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "solution.h5").write_bytes(data)
    with pytest.raises(KernelfitError, match=r"solution\.h5: does not match the journal"):
        kernelfit.open(folder)
    assert not kernelfit.check(folder).ok
    require_right_or_resumable(folder, alpha, None)
    panel = bytearray((folder / "factor.h5").read_bytes())
    offsets = (journal.read(folder / "journal").header or {})["offsets"]
    panel[offsets[-1] + 9] ^= 1
    (folder / "factor.h5").write_bytes(panel)
    found = kernelfit.check(folder)
    assert [line for line in found.problems if "panel 4 does not match its checksum" in line]
    assert found.panels_verified == PANELS - 1


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("file", ["factor.h5", "journal"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99])
def test_a_truncated_file(
    alpha: np.ndarray[Any, Any], tmp_path: Path, file: str, share: float, tier: str
) -> None:
    folder = tmp_path / "run"
    unfinished(folder, tier=tier)
    os.truncate(folder / file, int(share * (folder / file).stat().st_size))
    require_right_or_resumable(folder, alpha, None)


@pytest.mark.parametrize("file", ["run.h5", "solution.h5"])
def test_a_truncated_description(alpha: np.ndarray[Any, Any], tmp_path: Path, file: str) -> None:
    folder = tmp_path / "run"
    kernelfit.solve(**problem(), run_dir=folder).close()
    if file == "run.h5":
        (folder / "solution.h5").unlink()
    os.truncate(folder / file, (folder / file).stat().st_size // 2)
    assert not kernelfit.check(folder).ok
    if file == "run.h5":
        with pytest.raises(KernelfitError, match=r"run\.h5: .*solve again with the same rows"):
            kernelfit.resume(folder)
        solution = kernelfit.solve(**problem(), run_dir=folder, resume=True)
        assert solution.traffic["factor_written"] == 0
        np.testing.assert_array_equal(solution.alpha, alpha)
        solution.close()
    require_right_or_resumable(folder, alpha, None)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("what", ["factor.h5", "journal", "folder"])
def test_a_file_that_is_removed_while_it_is_used(
    alpha: np.ndarray[Any, Any], tmp_path: Path, what: str, tier: str
) -> None:
    folder = tmp_path / "run"

    def remove() -> None:
        if what == "folder":
            shutil.rmtree(folder)
        else:
            (folder / what).unlink()

    with pytest.raises(StorageError, match="removed") as caught:
        kernelfit.solve(**problem(), run_dir=folder, tier=tier, progress=When(folder, 2, remove))
    assert "\n" not in str(caught.value)
    if what != "folder":
        require_right_or_resumable(folder, alpha, None)


@pytest.mark.parametrize("row", [0, 1, 31, 32, 33, 63, 64, 100, 128, 149])
@pytest.mark.parametrize("tier", TIERS)
def test_a_pivot_that_is_not_positive_in_every_panel(tmp_path: Path, row: int, tier: str) -> None:
    folder = tmp_path / "run"
    gram = np.eye(N) + 0.001
    gram[row, row] = -1.0
    with pytest.raises(NotPositiveDefiniteError) as caught:
        kernelfit.solve(gram, np.ones(N), kernel="precomputed", panel_width=WIDTH, tier=tier, run_dir=folder)
    assert caught.value.row == row
    assert "\n" not in str(caught.value)
    assert not folder.exists()


def test_a_clock_that_goes_backwards(
    alpha: np.ndarray[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1e9]

    def earlier() -> float:
        now[0] -= 3600.0
        return now[0]

    for name in ("time", "perf_counter"):
        monkeypatch.setattr(time, name, earlier)
    folder = tmp_path / "run"
    unfinished(folder)
    require_right_or_resumable(folder, alpha, None)
