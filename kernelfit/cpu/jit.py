"""Numba's compiler, also where it cannot store what it compiled, where processes fork, and where other files change.

Everything compiled for the CPU is decorated with this `njit`.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba
from llvmlite import binding
from numba.core.caching import FunctionCache, IndexDataCacheFile, NullCache
from numba.core.compiler_lock import global_compiler_lock
from numba.core.runtime import _nrt_python

from kernelfit.cpu.compiled_from import compiled_from
from kernelfit.cpu.fork import hold_while_forking
from kernelfit.errors import InputError

hold_while_forking(global_compiler_lock.acquire, global_compiler_lock.release)

# On a terminal and with `progress=True` it is shown (`kernelfit.progress.first_use`).
_LOG = logging.getLogger(__name__)


def njit(*, cache: bool = False, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit` with these options; with `cache`, compiled code is stored where there is a folder for it.

    Numba takes the folder of `NUMBA_CACHE_DIR`, that of the source or one below the user's home, and raises where it
    may write to none of them, as in many containers: then the function is compiled in every process.
    Raises `InputError` where Numba is turned off: some of the functions are machine instructions, and n^2 entries would
    take Python hours.
    """
    if numba.config.DISABLE_JIT:
        raise InputError(
            f"NUMBA_DISABLE_JIT: got {os.environ.get('NUMBA_DISABLE_JIT', '1')}, expected 0: kernels are compiled; "
            "unset it"
        )

    def decorate(function: Callable[..., Any]) -> Any:
        # No one calls these from C, and a wrapper to do so takes a tenth of the time.
        compiled = numba.njit(no_cfunc_wrapper=True, **options)(function)
        if cache:
            try:
                compiled._cache = _Cache(function)
            except RuntimeError:  # "cannot cache function ...: no locator available"
                compiled._cache = _Nowhere()
        return compiled

    return decorate


class _Cache(FunctionCache):
    """Code that cannot be stored, on a full disk or in a folder that was taken away, is used all the same.

    Numba compiles again when the function's own file has changed. Functions and numbers of other files become part of
    its code as well, so that theirs are part of what it is stored under.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file = _OneAtATime(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=self._impl.locator.get_source_stamp(),
        )

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return (*super()._index_key(sig, codegen), compiled_from(self._py_func))

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Stored code needs the addresses of what Numba allocates with, and nothing else.

        Numba would register all that it can compile first, and compile its own counting of references: a fifth of a
        second and 30 MB. Its compiler does the same where there is something to compile.
        """
        _add_allocators()
        stored = self._load_overload(sig, target_context)
        if stored is None:
            _LOG.info(
                "compiling what is used for the first time, once per installation and kind of CPU; it is stored in %s",
                _root(Path(self.cache_path)),
            )
        return stored

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            folder = _root(Path(self.cache_path))
            _warn(
                f"what is compiled cannot be stored in {folder} ({error.strerror}), and is compiled again the next "
                "time; make room there, or set NUMBA_CACHE_DIR"
            )


class _Nowhere(NullCache):
    """No folder can be written to."""

    def load_overload(self, sig: Any, target_context: Any) -> None:
        _warn(
            "compiling, as in every process: no folder to store code in can be written to; set NUMBA_CACHE_DIR"
        )


@cache
def _warn(message: str) -> None:
    """Once a process; Python shows warnings that nobody takes on standard error."""
    _LOG.warning(message)


def _root(folder: Path) -> Path:
    """What holds the folders that Numba has for each folder of the source, or the package, where they lie in it."""
    package = Path(__file__).parents[1]
    return package if folder.is_relative_to(package) else folder.parent


@cache
def _add_allocators() -> None:
    """By the names that compiled code has for them, as `numba.core.runtime.nrt` does."""
    for name, address in _nrt_python.c_helpers.items():
        binding.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)


class _OneAtATime(IndexDataCacheFile):
    """The stored code of one function, which one process reads or writes at a time.

    Numba reads its index, chooses a file name that is free, writes the index and then the file: of two processes that
    compile for different types at once both may choose one name, and either would then run what the other compiled.
    """

    @contextmanager
    def _alone(self) -> Iterator[None]:
        descriptor = -1
        with suppress(OSError):  # no such folder, or a file system without locks
            descriptor = os.open(self._cache_path, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def save(self, key: Any, data: Any) -> None:
        with self._alone():
            super().save(key, data)

    def load(self, key: Any) -> Any:
        with self._alone():
            return super().load(key)
