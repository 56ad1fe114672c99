"""The CPU backend: one pool of threads, each running single-threaded BLAS and Numba code without the GIL.

One pool for everything (products, kernel epilogues, solves) means that nothing oversubscribes the cores, and a
tile is always computed by one thread in one order, so that results do not depend on how many threads there are.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from numbers import Integral
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.blas_threads import BLAS_THREADS
from kernelfit.cpu.fork import FORKS
from kernelfit.cpu.freed_blocks import keep_some
from kernelfit.cpu.threads import available_threads
from kernelfit.cpu.workers import WORKERS, Job
from kernelfit.errors import InputError, KernelfitError, shown

Item = TypeVar("Item")

# Threads that a system of today may start.
_MOST = 2**15
# Floating point operations that one core does in about the time in which another wakes and takes Python's lock.
_WORTH = 4e7


class CpuBackend:
    """Runs independent tile tasks on `threads` threads; use it as a context manager.

    While any is open, the BLAS pools of NumPy and SciPy are capped at one thread each; they are restored when the last
    one of the process is closed.
    """

    name = "cpu"
    _depth = 0

    def __init__(self, threads: int | None = None) -> None:
        if threads is not None and (
            isinstance(threads, bool) or not isinstance(threads, Integral) or not 1 <= threads <= _MOST
        ):
            raise InputError(
                f"threads: got {shown(threads)}, expected an integer from 1 to {_MOST:,}; leave it out for those "
                "available"
            )
        #: those asked for, or found when they were needed first; None while nobody needed any
        self.known_threads: int | None = None if threads is None else int(threads)
        #: what the BLAS pools are capped for, which lives on where this does not
        self._user = object()
        self._begin()
        self._forked = False

    @property
    def threads(self) -> int:
        """Those asked for, or those available when it was needed first: one tile needs no other than its own."""
        if self.known_threads is None:
            self.known_threads = available_threads()
        return self.known_threads

    def _renew_in_child(self) -> None:
        """Closed, as it is when it is made; a forked child has not whoever opened it."""
        self._forked = self._depth > 0
        self._begin()

    def _begin(self) -> None:
        self._depth, self._forks = 0, FORKS[0]
        # Several threads may use one solution, and with it one backend, and a finaliser within any of them.
        self._lock = threading.RLock()
        self._scratch = threading.local()

    def __enter__(self) -> CpuBackend:
        if self._forks != FORKS[0]:
            self._renew_in_child()
        entered = False
        try:
            with self._lock:
                if self._depth == 0:
                    keep_some()
                    BLAS_THREADS.cap(self._user)
                self._depth, entered = self._depth + 1, True
            return self
        except BaseException:  # a signal, at any line: nobody will leave
            with self._lock:
                self._leave(entered)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._forks != FORKS[0]:
            self._renew_in_child()
        with self._lock:
            if self._depth == 0:
                return  # in a child that was forked while it was open
            self._leave(True)

    def __del__(self) -> None:
        if self._depth and self._forks == FORKS[0]:  # a signal before the first line of `__exit__`
            BLAS_THREADS.give_back(self._user)

    def _leave(self, entered: bool) -> None:
        """Undo one entry, or what there is of one."""
        self._depth -= entered
        if self._depth == 0:
            self._scratch = threading.local()
            BLAS_THREADS.give_back(self._user)

    def run(self, task: Callable[[Item], None], items: Iterable[Item], work: float = math.inf) -> None:
        """Call `task` on every item, in order of start; the first error stops the rest and is raised.

        The calling thread takes its share; it does all of a single item, and all where `work`, about how many floating
        point operations there are, is less than waking another thread is worth.
        """
        if self._forks != FORKS[0]:
            self._renew_in_child()
        if self._depth == 0:
            if self._forked:
                raise KernelfitError(
                    "fork: this work was begun by the parent process; call again in the child"
                )
            raise RuntimeError("the backend is not open: use it in a with statement")
        BLAS_THREADS.hold()
        rest = list(items)
        helpers = 0 if work < _WORTH else max(0, min(self.threads, len(rest)) - 1)
        WORKERS.run(Job(task, rest), helpers)

    def scratch(self, name: str, rows: int, columns: int, dtype: Any) -> NDArray[Any]:
        """An uninitialised (rows, columns) block that belongs to the calling thread, reused between tasks."""
        blocks: dict[Any, NDArray[Any]] | None = getattr(self._scratch, "blocks", None)
        if blocks is None:
            blocks = self._scratch.blocks = {}
        key = (name, dtype)
        block = blocks.get(key)
        if block is None or block.size < rows * columns:
            block = blocks[key] = np.empty(rows * columns, dtype)
        return block[: rows * columns].reshape(rows, columns)
