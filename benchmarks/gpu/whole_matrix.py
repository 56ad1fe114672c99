"""K as one square matrix on a device and its factorisation by one call: what packed panels are compared with.

On a GPU that call is cuSOLVER's 64-bit `cusolverDnXpotrf`, which CuPy does not wrap, through ctypes on the library
that CuPy has loaded. On the stand-in it is LAPACK's potrf.
"""

from __future__ import annotations

import ctypes
import time
from pathlib import Path
from typing import Any

import numpy as np

from kernelfit.device.cuda import CudaDevice
from kernelfit.device.gram import RowsGram, fetch
from kernelfit.device.protocol import Block
from kernelfit.errors import DeviceError
from kernelfit.gram.source import KernelGram

_R_64F = 1
_UPPER = 1  # of a column-major matrix, which is the lower triangle of a row-major one


def factor_whole(device: Any, source: KernelGram, height: int, width: int) -> tuple[float, np.ndarray]:
    """Seconds of the factorisation alone, and the diagonal of L (n,)."""
    stream, n = device.stream("main"), source.n
    gram = RowsGram(device, stream, source, height, width)
    whole = device.slab.take(n, n, np.float64)
    gram.fill(stream, (0, n), (0, n), whole)
    device.synchronise()
    status = device.slab.take(1, 1, np.int32)
    if isinstance(device, CudaDevice):
        run = _xpotrf(device, stream, whole, status)
    else:
        work = device.slab.take(1, max(1, device.potrf_workspace(n, np.float64) // 8), np.float64)

        def run() -> None:
            device.potrf(stream, whole, work, status)

    started = time.perf_counter()
    run()
    device.synchronise()
    seconds = time.perf_counter() - started
    info = int(fetch(device, stream, status)[0, 0])
    if info:
        raise DeviceError(f"device: the factorisation of the whole matrix ended with status {info}")
    return seconds, fetch(device, stream, whole.diagonal())[:, 0]


def library_path(name: str, maps: str) -> Path | None:
    """Where a shared library lies that this process has loaded; `maps` is the text of /proc/self/maps."""
    for line in maps.splitlines():
        path = line.partition("/")[1] + line.partition("/")[2]
        if Path(path).name.startswith(name):
            return Path(path)
    return None


def _xpotrf(device: CudaDevice, stream: Any, whole: Block, status: Block) -> Any:
    path = library_path("libcusolver.so", Path("/proc/self/maps").read_text(encoding="utf-8"))
    if path is None:
        raise DeviceError("device: libcusolver is not loaded; Xpotrf cannot be called")
    library = ctypes.CDLL(str(path))
    handle, parameters = ctypes.c_void_p(stream.solver), ctypes.c_void_p()
    n, pointer = ctypes.c_int64(whole.rows), ctypes.c_void_p(device.address(whole))
    on_device, on_host = ctypes.c_size_t(), ctypes.c_size_t()
    _checked(library.cusolverDnCreateParams(ctypes.byref(parameters)), "cusolverDnCreateParams")
    _checked(library.cusolverDnSetStream(handle, ctypes.c_void_p(stream.stream.ptr)), "cusolverDnSetStream")
    matrix = (
        handle,
        parameters,
        ctypes.c_int(_UPPER),
        n,
        ctypes.c_int(_R_64F),
        pointer,
        n,
        ctypes.c_int(_R_64F),
    )
    _checked(
        library.cusolverDnXpotrf_bufferSize(*matrix, ctypes.byref(on_device), ctypes.byref(on_host)),
        "cusolverDnXpotrf_bufferSize",
    )
    work = device.slab.take(1, max(1, on_device.value), np.uint8)
    host_work = ctypes.create_string_buffer(max(1, on_host.value))

    def run() -> None:
        _checked(
            library.cusolverDnXpotrf(
                *matrix,
                ctypes.c_void_p(device.address(work)),
                on_device,
                ctypes.cast(host_work, ctypes.c_void_p),
                on_host,
                ctypes.c_void_p(device.address(status)),
            ),
            "cusolverDnXpotrf",
        )

    return run


def _checked(status: int, what: str) -> None:
    if status:
        raise DeviceError(f"device: {what} returned status {status}")
