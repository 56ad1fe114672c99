"""Host memory that a GPU reads and writes directly: pinned once, used again, kept by the process for the next device.

Pinning costs time by the gigabyte, of which a factor larger than the device has tens. What a device that is closed had
registered stays registered, up to half of what memory is available, and the next device takes it; `release` gives it
back to the system, as does a solve that is placed on the CPU.
"""

from __future__ import annotations

import atexit
import ctypes
import mmap
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.memory import available_memory
from kernelfit.errors import DeviceError, PlanError

_PORTABLE = 1
_PAGE = 4_096
# From here on blocks come in whole huge pages.
_REGISTERED = 2**21


@dataclass(frozen=True, eq=False)
class _Pinned:
    """Host memory that a GPU uses; `free` gives it back, `registered` where it was the system's before."""

    memory: NDArray[np.uint8]
    free: Callable[[], Any]
    registered: bool = False

    @property
    def address(self) -> int:
        return int(self.memory.ctypes.data)

    @property
    def nbytes(self) -> int:
        return self.memory.nbytes

    def fits(self, nbytes: int) -> bool:
        return nbytes <= self.nbytes <= 2 * nbytes + _PAGE


class _Kept:
    """Blocks that are registered and no device uses."""

    def __init__(self) -> None:
        self._blocks: list[_Pinned] = []
        self._lock = threading.Lock()
        self._of_parent: list[_Pinned] = []

    @property
    def nbytes(self) -> int:
        return sum(block.nbytes for block in self._blocks)

    def take(self, nbytes: int) -> _Pinned | None:
        with self._lock:
            block = _smallest(self._blocks, nbytes)
            if block is not None:
                self._blocks.remove(block)
            return block

    def keep(self, block: _Pinned, max_bytes: int) -> bool:
        """Whether the block stays within what may be kept."""
        with self._lock:
            if self.nbytes + block.nbytes > max_bytes:
                return False
            self._blocks.append(block)
            return True

    def release(self) -> int:
        if not self._blocks:
            return 0
        with self._lock:
            blocks, self._blocks = self._blocks, []
        for block in blocks:
            with suppress(Exception):  # the GPU may be lost
                block.free()
        return sum(block.nbytes for block in blocks)

    def forget(self) -> None:
        """In a child after a fork, which has none of the memory: what refers to it is neither used nor freed."""
        self._lock = threading.Lock()
        self._of_parent, self._blocks = self._blocks, []


#: of this process: registration is no device's, but the process's
_KEPT = _Kept()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_KEPT.forget)


@atexit.register
def release() -> int:
    """Give what no device uses back to the system; bytes."""
    return _KEPT.release()


def kept_bytes() -> int:
    """Bytes that are pinned and no device uses: the next one takes them first."""
    return _KEPT.nbytes


class PinnedMemory:
    """The pinned blocks of one GPU. `runtime` is CuPy's module of the CUDA runtime, `call` turns the GPU's errors
    into `DeviceError`s, `note` tells what the system refused, once each."""

    def __init__(self, runtime: Any, call: Callable[..., Any], note: Callable[[str], None]) -> None:
        self._runtime, self._call, self._note = runtime, call, note
        self._used: dict[int, _Pinned] = {}
        self._spare: list[_Pinned] = []
        self._lock = threading.Lock()
        self._refused: set[str] = set()

    def take(self, nbytes: int) -> NDArray[np.uint8]:
        """Blocks given back are used again: pinning costs time by the gigabyte, and freeing stops the GPU."""
        with self._lock:
            block = _smallest(self._spare, nbytes)
            if block is not None:
                self._spare.remove(block)
        block = block or _KEPT.take(nbytes) or self._pin(max(1, nbytes))
        with self._lock:
            self._used[block.address] = block
        return block.memory[:nbytes]

    def give_back(self, array: NDArray[np.uint8]) -> None:
        with self._lock:
            block = self._used.pop(int(array.ctypes.data), None)
            if block is not None:
                self._spare.append(block)

    def close(self) -> None:
        """Keep for the next device what may be kept, give the rest back to the system; what still refers to a block
        must not be used again."""
        blocks = [*self._used.values(), *self._spare]
        self._used.clear()
        self._spare.clear()
        max_bytes = (available_memory() + kept_bytes() + sum(block.nbytes for block in blocks)) // 2
        for block in blocks:
            if block.registered and _KEPT.keep(block, max_bytes):
                continue
            with suppress(Exception):  # for closing: the GPU may be gone already
                block.free()

    def _pin(self, nbytes: int) -> _Pinned:
        """Large blocks are cleared here, by the calling thread, and registered then: `cudaHostAlloc` clears them under
        a lock that every other call waits for."""
        if nbytes >= _REGISTERED:
            memory = _huge_pages(-(-nbytes // _REGISTERED) * _REGISTERED)
            memory.fill(0)
            address = int(memory.ctypes.data)
            try:
                self._call(self._runtime.hostRegister, address, memory.nbytes, _PORTABLE)
                return _Pinned(memory, lambda: self._runtime.hostUnregister(address), registered=True)
            except DeviceError as error:
                self._refuse("register", "the CUDA runtime's own serves, which takes longer to pin", error)
            del memory
        size = -(-nbytes // _PAGE) * _PAGE
        try:
            address = int(self._call(self._runtime.hostAlloc, size, _PORTABLE))
        except DeviceError as error:
            self._refuse("allocate", "ordinary memory serves, from and to which copies are slower", error)
            return _Pinned(_ordinary(size), lambda: None)
        array = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
        return _Pinned(array, lambda: self._runtime.freeHost(address))

    def _refuse(self, what: str, instead: str, error: DeviceError) -> None:
        if what not in self._refused:
            self._refused.add(what)
            reason = str(error).partition(" failed: ")[2].partition(";")[0] or str(error)
            self._note(f"device: the system did not {what} pinned host memory ({reason}); {instead}")


def _smallest(blocks: list[_Pinned], nbytes: int) -> _Pinned | None:
    """Of the blocks that fit."""
    fitting = (block for block in blocks if block.fits(nbytes))
    return min(fitting, key=lambda block: block.nbytes, default=None)


def _huge_pages(nbytes: int) -> NDArray[np.uint8]:
    """Memory of this process alone, in huge pages where the system has them, that no child inherits."""
    try:
        # Python's default is shared memory, of which Linux makes huge pages nowhere unless set so for the whole system.
        pages = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise _too_much(nbytes, error) from None
    # Without the second, a write after a fork could move a page away from where the GPU reads it.
    for advice in ("MADV_HUGEPAGE", "MADV_DONTFORK"):
        with suppress(AttributeError, OSError):
            pages.madvise(getattr(mmap, advice))
    return np.frombuffer(pages, np.uint8)


def _ordinary(nbytes: int) -> NDArray[np.uint8]:
    try:
        return np.zeros(nbytes, np.uint8)
    except MemoryError as error:
        raise _too_much(nbytes, error) from None


def _too_much(nbytes: int, error: OSError | MemoryError) -> PlanError:
    return PlanError(
        f"memory: the system refused {nbytes:,} bytes of host memory for the device ({error}), expected what "
        "the plan takes to be there; give less memory, or end what else takes it"
    )
