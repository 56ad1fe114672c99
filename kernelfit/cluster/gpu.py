"""The GPU of a worker: the one that it sees first, which is its own where dask-cuda started it."""

from __future__ import annotations

import math
import socket
import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import DTypeLike

from kernelfit.device.choose import has_driver
from kernelfit.device.cuda import SPARE, CudaDevice
from kernelfit.device.cuda_libraries import gpu_memory
from kernelfit.device.gram import put
from kernelfit.device.protocol import Device
from kernelfit.errors import DeviceError, InputError
from kernelfit.kernels.base import Kernel

# Bytes of the slab of a device that compiles and computes nothing.
_NOTHING = 2**20
# The order of a product that the rate is measured by, and how many: some milliseconds each.
_ORDER, _PRODUCTS = 4_096, 5


@dataclass(frozen=True)
class Gpu:
    """`identity` tells it from all other GPUs; `free` bytes of its memory may be taken."""

    identity: str
    free: int

    def one_of(self, workers: int) -> Gpu:
        """What is one's own beside others that see the same GPU; libraries and the driver want some of it."""
        return replace(self, free=max(0, self.free // workers - SPARE))


@dataclass(frozen=True)
class NoGpu:
    """Why a worker does not compute on a GPU; `of_kernel`: the user's functions do not compile for the one it has."""

    reason: str
    of_kernel: bool = False


def look() -> Gpu | str:
    """The GPU that this process sees first, or why there is none."""
    if not has_driver():
        return "no driver is loaded"
    try:
        address, free = gpu_memory(0)
        return Gpu(f"{socket.gethostname()} {address}", free)
    except DeviceError as error:
        return str(error)
    except (
        Exception
    ) as error:  # CuPy and what it loads may fail in any way, of which the worker's user is told
        return f"{type(error).__name__}: {error}"


def refusal(kernel: Kernel) -> NoGpu | None:
    """Why that GPU cannot have the user's functions of k; None where they compile for it."""
    try:
        device = open_gpu(_NOTHING)
        try:
            device.compile(kernel)
        finally:
            device.close()
    except (DeviceError, InputError) as error:
        return NoGpu(str(error), of_kernel=isinstance(error, InputError))
    return None


def open_gpu(capacity: int | None = None, compute: str = "float32") -> Device:
    """That GPU, of whose memory so much is taken at once. Raises `DeviceError`."""
    return CudaDevice(0, capacity, compute=compute)


def measured_rate(dtype: DTypeLike, memory: int, order: int = _ORDER) -> float:
    """flop/s of its products of such numbers within so many bytes; the best of a few."""
    kind = np.dtype(dtype)
    order = max(1, min(order, math.isqrt(memory // (4 * kind.itemsize))))
    device = open_gpu(4 * order * order * kind.itemsize)
    try:
        stream = device.stream("rate")
        a, product = (device.slab.take(order, order, kind) for _ in range(2))
        put(device, stream, np.random.default_rng(0).standard_normal((order, order), np.float32), a)
        seconds = np.inf
        for _ in range(1 + _PRODUCTS):
            device.synchronise()
            started = time.perf_counter()
            device.gemm(stream, 1.0, a, a, 0.0, product)
            device.synchronise()
            seconds = min(seconds, time.perf_counter() - started)
        return 2.0 * order**3 / seconds
    finally:
        device.close()
