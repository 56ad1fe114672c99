"""The CPU backend: one pool of threads, each running single-threaded BLAS and Numba code without the GIL.

One pool for everything (products, kernel epilogues, solves) means that nothing oversubscribes the cores, and a
tile is always computed by one thread in one order, so that results do not depend on how many threads there are.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from numbers import Integral
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import InputError

Item = TypeVar("Item")


def available_threads() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


class _BlasThreads:
    """Caps the BLAS pools of NumPy and SciPy at one thread while anybody asks for it.

    The pools belong to the process: of several backends that are open at once, the first caps them and the last one
    gives them back, whatever the order in which they are closed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._limits: Any = None

    def cap(self) -> None:
        with self._lock:
            if self._users == 0:
                # The pools must be loaded before they can be capped.
                import scipy.linalg.cython_blas  # noqa: F401
                from threadpoolctl import threadpool_limits

                self._limits = threadpool_limits(1)
            self._users += 1

    def give_back(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._limits.restore_original_limits()


_BLAS_THREADS = _BlasThreads()


class CpuBackend:
    """Runs independent tile tasks on `threads` threads; use it as a context manager.

    While any is open, the BLAS pools of NumPy and SciPy are capped at one thread each; they are restored when the last
    one of the process is closed.
    """

    name = "cpu"

    def __init__(self, threads: int | None = None) -> None:
        if threads is not None and (
            isinstance(threads, bool) or not isinstance(threads, Integral) or threads < 1
        ):
            raise InputError(
                f"threads: got {threads!r}, expected an integer >= 1; leave it out to use all cores"
            )
        self.threads = available_threads() if threads is None else int(threads)
        self._pool: ThreadPoolExecutor | None = None
        self._depth = 0
        # Several threads may use one solution, and with it one backend.
        self._lock = threading.Lock()
        self._scratch = threading.local()

    def __enter__(self) -> CpuBackend:
        with self._lock:
            if self._depth == 0:
                _BLAS_THREADS.cap()
                self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="kernelfit")
            self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                assert self._pool is not None
                self._pool.shutdown(wait=True, cancel_futures=True)
                self._pool = None
                self._scratch = threading.local()
                _BLAS_THREADS.give_back()

    def run(self, task: Callable[[Item], None], items: Iterable[Item]) -> None:
        """Call `task` on every item, in order of start; the first error stops the rest and is raised."""
        if self._pool is None:
            raise RuntimeError("the backend is not open: use it in a with statement")
        futures = [self._pool.submit(task, item) for item in items]
        try:
            finished, _ = wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:
            for future in futures:
                future.cancel()
            wait(futures)
            raise
        failed = [future for future in futures if future in finished and future.exception() is not None]
        if failed:
            for future in futures:
                future.cancel()
            wait(futures)
            error = failed[0].exception()
            assert error is not None
            raise error

    def scratch(self, name: str, rows: int, columns: int, dtype: Any) -> NDArray[Any]:
        """An uninitialised (rows, columns) block that belongs to the calling thread, reused between tasks."""
        blocks: dict[Any, NDArray[Any]] | None = getattr(self._scratch, "blocks", None)
        if blocks is None:
            blocks = self._scratch.blocks = {}
        key = (name, np.dtype(dtype))
        block = blocks.get(key)
        if block is None or block.size < rows * columns:
            block = blocks[key] = np.empty(rows * columns, dtype)
        return block[: rows * columns].reshape(rows, columns)
