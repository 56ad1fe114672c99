"""Host memory that a GPU reads and writes directly: pinned once, used again, given back at the end."""

from __future__ import annotations

import ctypes
import mmap
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import DeviceError

_PORTABLE = 1
_PAGE = 4_096
# From here on blocks come in whole huge pages.
_REGISTERED = 2**21


@dataclass(frozen=True)
class _Pinned:
    """Host memory that the GPU reads and writes directly; `registered` where it was the system's before."""

    memory: NDArray[np.uint8]
    registered: bool = False

    @property
    def nbytes(self) -> int:
        return self.memory.nbytes


class PinnedMemory:
    """The pinned blocks of one GPU. `runtime` is CuPy's module of the CUDA runtime, `call` turns the GPU's errors
    into `DeviceError`s."""

    def __init__(self, runtime: Any, call: Callable[..., Any]) -> None:
        self._runtime, self._call = runtime, call
        self._pinned: dict[int, _Pinned] = {}
        self._spare: list[int] = []
        self._pinning = threading.Lock()

    def take(self, nbytes: int) -> NDArray[np.uint8]:
        """Blocks given back are used again: pinning costs time by the gigabyte, and freeing stops the GPU."""
        with self._pinning:
            fitting = [
                address
                for address in self._spare
                if nbytes <= self._pinned[address].nbytes <= 2 * nbytes + _PAGE
            ]
            address = min(fitting, key=lambda address: self._pinned[address].nbytes, default=0)
            if address:
                self._spare.remove(address)
        if not address:
            address, block = self._pin(max(1, nbytes))
            with self._pinning:
                self._pinned[address] = block
        return self._pinned[address].memory[:nbytes]

    def give_back(self, array: NDArray[np.uint8]) -> None:
        address = int(array.ctypes.data)
        with self._pinning:
            if address in self._pinned and address not in self._spare:
                self._spare.append(address)

    def _pin(self, nbytes: int) -> tuple[int, _Pinned]:
        """Large blocks are cleared here, by the calling thread, and registered then: `cudaHostAlloc` clears them under
        a lock that every other call waits for."""
        if nbytes >= _REGISTERED:
            with suppress(
                DeviceError
            ):  # some systems register nothing; the runtime's own memory serves as well
                memory = _huge_pages(-(-nbytes // _REGISTERED) * _REGISTERED)
                memory.fill(0)
                address = int(memory.ctypes.data)
                self._call(self._runtime.hostRegister, address, memory.nbytes, _PORTABLE)
                return address, _Pinned(memory, registered=True)
        size = -(-nbytes // _PAGE) * _PAGE
        address = int(self._call(self._runtime.hostAlloc, size, _PORTABLE))
        return address, _Pinned(np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address)))

    def close(self) -> None:
        """Give every block back to the system; what still refers to one must not be used again."""
        for address, block in self._pinned.items():
            with suppress(Exception):  # for closing: the GPU may be gone already
                (self._runtime.hostUnregister if block.registered else self._runtime.freeHost)(address)
        self._pinned.clear()
        self._spare.clear()


def _huge_pages(nbytes: int) -> NDArray[np.uint8]:
    """Memory of this process alone, in huge pages where the system has them, that no child inherits."""
    # Python's default is shared memory, of which Linux makes huge pages nowhere unless set so for the whole system.
    pages = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    # Without the second, a write after a fork could move a page away from where the GPU reads it.
    for advice in ("MADV_HUGEPAGE", "MADV_DONTFORK"):
        with suppress(AttributeError, OSError):
            pages.madvise(getattr(mmap, advice))
    return np.frombuffer(pages, np.uint8)
