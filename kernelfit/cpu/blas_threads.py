"""The threads of the BLAS pools of NumPy and SciPy: one each while anybody here works, as many as before after that.

OpenBLAS on its own threads has one number of threads for the whole process, whichever thread sets it. It is set by
address and not with `threadpoolctl.threadpool_limits`, which from version 3.8 on obeys only the thread that limited
first and says nothing to the others: a solve outside the main thread would multiply with as many threads as there are
cores, and sums would be added in another order. Pools of OpenMP, and MKL, have a number for every
thread that calls them.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from kernelfit.cpu import scipy_blas
from kernelfit.cpu.fork import renew_in_children
from kernelfit.cpu.libraries import libraries_loaded
from kernelfit.cpu.recent import recent

_PREFIXES, _SUFFIXES = ("", "scipy_"), ("", "64_", "_64")
# What a library that was loaded a moment ago multiplies with is nobody's business here.
_loaded = recent(libraries_loaded)
_BUILT_FOR = re.compile(r"MAX_THREADS=(\d+)")


class Pool:
    """One BLAS library of this process; `controller` is what threadpoolctl has of it."""

    def __init__(self, controller: Any) -> None:
        self.get: Callable[[], int | None] = controller.get_num_threads
        self.set: Callable[[int], object] = controller.set_num_threads
        #: whether its number of threads is that of the calling thread alone
        self.per_thread = getattr(controller, "threading_layer", None) == "openmp"
        #: the kernel that the library has taken, where it says so
        self.architecture: str | None = getattr(controller, "architecture", None)
        #: threads that the library was built for, where it says so
        self.built_for: int | None = None
        self._set_own: Callable[[int], int] | None = None
        if controller.internal_api == "openblas":
            self._take_openblas(controller.dynlib)
        elif controller.internal_api == "mkl":
            # A number of the thread's own goes before that of the process.
            self._set_own = getattr(controller.dynlib, "MKL_Set_Num_Threads_Local", None)
            if self._set_own is not None:
                self.set, self.per_thread = self._set_own, True

    def own(self) -> int | None:
        """The number of the calling thread, for `set` to undo another one with."""
        if self._set_own is not None:
            # Not the number that it multiplies with, which may be the process's: as the thread's own that would go
            # before whatever the process is set to later. The setter alone returns the thread's own, 0 for none.
            own = self._set_own(0)
            self._set_own(own)
            return own
        return self.get()

    def _take_openblas(self, library: Any) -> None:
        """Getter and setter by address. One that is built with OpenMP multiplies with as many threads as that gives the
        thread that calls it; its own getter tells the process's."""
        if self.per_thread:
            self.get = getattr(library, "omp_get_max_threads", self.get)
            self.set = getattr(library, "omp_set_num_threads", self.set)
        for prefix, suffix in itertools.product(_PREFIXES, _SUFFIXES):
            setter = getattr(library, f"{prefix}openblas_set_num_threads{suffix}", None)
            if setter is None:
                continue
            if not self.per_thread:
                self.set = setter
                self.get = getattr(library, f"{prefix}openblas_get_num_threads{suffix}", self.get)
            self.built_for = _built_for(getattr(library, f"{prefix}openblas_get_config{suffix}", None))


def _built_for(get_config: Any) -> int | None:
    from ctypes import c_char_p

    if get_config is None:
        return None
    get_config.restype = c_char_p
    match = _BUILT_FOR.search((get_config() or b"").decode("ascii", "replace"))
    return int(match[1]) if match else None


def pools() -> list[Pool]:
    """The BLAS libraries that are loaded now, SciPy's among them."""
    loaded = _loaded()
    return list(_pools.__wrapped__(None) if loaded is None else _pools(loaded))


@lru_cache(maxsize=1)
def _pools(loaded: int | None) -> tuple[Pool, ...]:
    """Those of the first `loaded` libraries: to look through all of them takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    scipy_blas.library("blas")
    libraries = ThreadpoolController().lib_controllers
    return tuple(Pool(library) for library in libraries if library.user_api == "blas")


class BlasThreads:
    """Caps the pools at one thread while anybody asks for it.

    Of several that ask at once, in any threads, the first caps them and the last gives them back, whatever the order.
    What somebody else sets meanwhile is undone while it matters, and is what is given back.
    """

    def __init__(self) -> None:
        # Whoever holds it may be asked again by the same thread: a finaliser or a signal handler that solves.
        self._lock = threading.RLock()
        self._users: set[object] = set()
        self._pools: list[Pool] = []
        self._before: dict[Pool, int] = {}
        #: whether any has a number for every thread
        self._any_per_thread = False
        self._thread = threading.local()
        renew_in_children(self)

    def cap(self, user: object) -> None:
        """Cap the pools until `user`, who may ask once at a time, gives them back."""
        with self._lock:
            if not self._users:
                self._pools, self._before, self._any_per_thread = pools(), {}, False
                for pool in self._pools:
                    self._any_per_thread |= pool.per_thread
            self._users.add(user)
            self._press()
        self.cap_thread(user)

    def cap_thread(self, user: object) -> None:
        """For the calling thread, the pools that have a number for every thread, until `user` frees it."""
        if not self._any_per_thread:
            return
        here = self._thread
        users: set[object] = getattr(here, "users", set())
        first = not users
        here.users = users | {user}
        if first:
            here.before, here.undo = {}, []
            for pool in self._pools:
                if pool.per_thread:
                    # Kept before it is set, as a signal may come at any line.
                    here.before[pool] = pool.get()
                    here.undo.append((pool, pool.own()))
                    pool.set(1)

    def free_thread(self, user: object) -> None:
        """Undo `cap_thread`; more often than once does no harm."""
        users: set[object] = getattr(self._thread, "users", set())
        self._thread.users = users - {user}
        if users and not self._thread.users:
            try:
                self._undo()
            finally:
                self._undo()

    def _undo(self) -> None:
        for pool, count in getattr(self._thread, "undo", []):
            pool.set(count)
        self._thread.before, self._thread.undo = {}, []

    def hold(self) -> None:
        """Cap again what somebody else has set since."""
        with self._lock:
            self._press()

    def give_back(self, user: object) -> None:
        """`user` needs them capped no longer; more often than once does no harm."""
        with self._lock:
            self._users.discard(user)
            if not self._users:
                try:
                    self._restore()
                finally:  # a signal may have ended that at any line
                    self._restore()
        self.free_thread(user)

    def limit(self) -> int | None:
        """The least number of threads that somebody else, or the environment, has set for the pools; None: no limit."""
        with self._lock:
            counts = []
            own = getattr(self._thread, "before", {}) if self._users else {}
            for pool in self._pools if self._users else pools():
                count = own.get(pool) or self._before.get(pool) or pool.get()
                if self._users and pool.per_thread and pool not in own:
                    continue  # what was before is known to the thread that capped it
                if count and (pool.built_for is None or count < pool.built_for):
                    counts.append(count)
            return min(counts, default=None)

    def renew(self) -> None:
        """The threads that asked are not in a forked child."""
        self._lock = threading.RLock()
        self._users = set()
        self._restore()

    def _press(self) -> None:
        for pool in self._pools:
            count = pool.get()
            if not pool.per_thread and count is not None and count != 1:
                self._before[pool] = count
                pool.set(1)

    def _restore(self) -> None:
        for pool, count in self._before.items():
            # Another number is somebody else's, set since: it stands.
            if pool.get() == 1:
                pool.set(count)
        self._pools, self._before = [], {}


#: of this process
BLAS_THREADS = BlasThreads()
