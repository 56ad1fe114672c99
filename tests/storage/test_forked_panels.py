"""A process forked in the midst of its work with panels: the child goes on or says why not, and harms nothing."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernelfit
from kernelfit.errors import KernelfitError, StorageError
from kernelfit.gram.layout import PanelLayout
from kernelfit.progress import Silent
from kernelfit.runs.lock import FolderLock
from kernelfit.storage.disk import DiskPanels
from kernelfit.storage.panel_file import PanelFile
from kernelfit.storage.write_behind import WriteBehind

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def in_child(work: Callable[[], object]) -> None:
    """`work` in a forked child, which ends by an alarm where it hangs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(30)
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture
def store(tmp_path: Path) -> DiskPanels:
    layout = PanelLayout(100, 20)
    file = PanelFile.create(tmp_path / "factor.h5", layout, np.dtype(np.float64))
    made = DiskPanels(file, 100, WriteBehind(file))
    for j in range(layout.count):
        made.begin(j)[...] = np.arange(layout.shape(j)[0])[:, None] + 1000 * j
        for strip in [(layout.start(j), layout.stop(j)), *layout.strips(layout.stop(j))]:
            made.settle(j, strip)
        made.finish(j)
    made.flush()
    return made


def total(batches: Any) -> float:
    return sum(float(piece.below.sum()) + piece.begins * float(piece.top.sum()) for (piece,) in batches)


@pytest.mark.parametrize("seen", [0, 1, 4])
def test_a_stream_that_was_open_goes_on_in_the_child(store: DiskPanels, seen: int) -> None:
    """The child waited for ever for what its parent's reader had been asked for."""
    rest = total(store.stream(range(seen, 5)))
    stream = store.stream(range(5))
    for _ in range(seen):
        next(stream)

    def work() -> None:
        assert total(stream) == rest

    in_child(work)
    in_child(stream.close)
    assert total(stream) == rest
    store.close()


def test_a_child_writes_no_panel(store: DiskPanels) -> None:
    def work() -> None:
        store.begin(4)[...] = 7.0
        store.settle(4, (80, 100))

    def refused() -> None:
        with pytest.raises(StorageError, match="is written by the process that this one was forked from"):
            work()

    in_child(refused)
    store.close()


def test_a_child_does_not_hold_the_lock_of_its_parent(tmp_path: Path) -> None:
    """A worker that outlives a killed solve kept its folder locked."""
    lock = FolderLock(tmp_path / "lock")
    reading, writing = os.pipe()
    begun, begin = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(begin, b"x")
        os.read(reading, 1)  # until the parent is done
        os._exit(0)
    try:
        os.read(begun, 1)
        with pytest.raises(StorageError, match="is working in this folder"):
            FolderLock(tmp_path / "lock")
        os.close(lock._descriptor)  # as the death of the parent does
        lock._descriptor = -1
        FolderLock(tmp_path / "lock").release()
    finally:
        os.write(writing, b"x")
        os.waitpid(child, 0)
        for descriptor in (reading, writing, begun, begin):
            os.close(descriptor)


def test_a_solve_forked_midway_goes_on_in_its_parent_alone(tmp_path: Path) -> None:
    """Both wrote panels and journal of one run."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(80, 3)), rng.normal(size=(80, 1))
    expected = kernelfit.solve(X, Y, panel_width=16).alpha
    parent, ends = os.getpid(), []

    class Forking(Silent):
        @contextmanager
        def phase(self, name: str, total: float, unit: str = "flop") -> Any:
            def advance(amount: float) -> None:
                if name == "factor" and not ends and os.getpid() == parent:
                    child = os.fork()
                    if child:
                        ends.append(os.waitpid(child, 0)[1])
                    else:
                        ends.append(-1)

            yield advance

    try:
        solution = kernelfit.solve(
            X, Y, panel_width=16, run_dir=tmp_path / "run", tier="disk", threads=1, progress=Forking()
        )
    except BaseException as error:
        if os.getpid() != parent:
            os._exit(0 if isinstance(error, KernelfitError) and "\n" not in str(error) else 3)
        raise
    if os.getpid() != parent:
        os._exit(4)
    assert ends == [0]
    np.testing.assert_array_equal(solution.alpha, expected)
    solution.close()
    assert kernelfit.check(tmp_path / "run").problems == []
