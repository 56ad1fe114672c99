"""Numba's compiler, also where it cannot store what it compiled, and where processes fork.

Everything compiled for the CPU is decorated with this `njit`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numba
from numba.core.caching import FunctionCache
from numba.core.compiler_lock import global_compiler_lock

from kernelfit.cpu.fork import hold_while_forking
from kernelfit.errors import InputError

hold_while_forking(global_compiler_lock.acquire, global_compiler_lock.release)


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
        compiled = numba.njit(**options)(function)
        if cache:
            with suppress(RuntimeError):  # "cannot cache function ...: no locator available"
                compiled._cache = _Cache(function)
        return compiled

    return decorate


class _Cache(FunctionCache):
    """Code that cannot be stored, on a full disk or in a folder that was taken away, is used all the same."""

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(sig, data)
