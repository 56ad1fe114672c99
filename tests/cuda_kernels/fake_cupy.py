"""What `kernelfit.device.cuda` uses of CuPy, on host memory: same names, same arguments, column-major libraries.

Signatures are those of CuPy 14.2. Copies and launches happen at once; order is what the host stand-in tests.
"""

from __future__ import annotations

import ctypes
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import scipy.linalg

_TYPES = {0: np.float32, 1: np.float64, 3: np.int8, 10: np.int32}
#: the device that is current, of two
CURRENT = [0]
#: whether it is lost, which CuPy finds out when a stream or an event goes, too
LOST = [False]


def column_major(address: int, rows: int, columns: int, stride: int, dtype: Any) -> np.ndarray:
    """(rows, columns), entry (i, j) at i + j stride, as cuBLAS has it."""
    assert rows <= stride
    assert address % np.dtype(dtype).itemsize == 0
    size = np.dtype(dtype).itemsize
    flat = np.ctypeslib.as_array(
        (ctypes.c_uint8 * (((columns - 1) * stride + rows) * size)).from_address(address)
    )
    return np.lib.stride_tricks.as_strided(flat.view(dtype), (rows, columns), (size, stride * size))


class Runtime(ModuleType):
    #: room for the small problems of the tests beside what the device leaves free
    free_bytes = 2**31 + 2**28

    def __init__(self) -> None:
        super().__init__("runtime")
        self.blocks: dict[int, Any] = {}
        self.pinned = 0
        self.registers_nothing = False
        #: whether both devices reach each other; from which device which others were switched on; bytes that went so
        self.peers = False
        self.opened: set[tuple[int, int]] = set()
        self.bytes_to_peers = 0

    def setDevice(self, device: int) -> None:
        if device > 1:
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        CURRENT[0] = device

    def memGetInfo(self) -> tuple[int, int]:
        return self.free_bytes, self.free_bytes

    def getDeviceProperties(self, device: int) -> dict[str, Any]:
        return {"name": b"a GPU", "major": 9, "minor": 0, "multiProcessorCount": 132}

    def deviceGetPCIBusId(self, device: int) -> str:
        return f"0000:0{device}:00.0"

    def driverGetVersion(self) -> int:
        return 13_000

    runtimeGetVersion = driverGetVersion

    def malloc(self, size: int) -> int:
        block = np.full(-(-size // 8) + 64, np.nan)
        address = -(-block.ctypes.data // 256) * 256
        self.blocks[address] = block
        return address

    def hostAlloc(self, size: int, flags: int) -> int:
        assert flags == 1
        self.pinned += 1
        return self.malloc(size)

    def hostRegister(self, address: int, size: int, flags: int) -> None:
        assert flags == 1
        assert address % 4_096 == 0
        if self.registers_nothing:
            raise RuntimeError("cudaErrorNotSupported: operation not supported")
        self.pinned += 1
        self.blocks[address] = None

    def hostUnregister(self, address: int) -> None:
        assert self.blocks.pop(address) is None

    def free(self, address: int) -> None:
        assert self.blocks.pop(address) is not None

    freeHost = free

    def memcpyAsync(self, dst: int, src: int, size: int, kind: int, stream: int) -> None:
        ctypes.memmove(dst, src, size)

    def memcpy2DAsync(
        self, dst: int, dpitch: int, src: int, spitch: int, width: int, height: int, kind: int, stream: int
    ) -> None:
        assert width <= dpitch < 2**31
        assert width <= spitch < 2**31
        for line in range(height):
            ctypes.memmove(dst + line * dpitch, src + line * spitch, width)

    def deviceCanAccessPeer(self, device: int, peer: int) -> int:
        return int(self.peers and device != peer)

    def deviceEnablePeerAccess(self, peer: int) -> None:
        if (CURRENT[0], peer) in self.opened:
            raise RuntimeError("cudaErrorPeerAccessAlreadyEnabled: peer access is already enabled")
        self.opened.add((CURRENT[0], peer))

    def memcpyPeerAsync(
        self, dst: int, dst_device: int, src: int, src_device: int, size: int, stream: int
    ) -> None:
        assert (src_device, dst_device) in self.opened
        assert src_device == CURRENT[0]
        self.bytes_to_peers += size
        ctypes.memmove(dst, src, size)

    def memsetAsync(self, address: int, value: int, size: int, stream: int) -> None:
        ctypes.memset(address, value, size)


class Blas(ModuleType):
    def __init__(self) -> None:
        super().__init__("cublas")
        #: a compute type that this library does not know; all that were asked for
        self.lacks: int | None = None
        self.asked: list[int] = []

    def create(self) -> int:
        return 1

    def destroy(self, handle: int) -> None:
        assert handle == 1

    def getVersion(self, handle: int) -> int:
        return 130_000

    def gemmEx(
        self,
        handle,
        transa,
        transb,
        m,
        n,
        k,
        alpha,
        A,
        Atype,
        lda,
        B,
        Btype,
        ldb,
        beta,
        C,
        Ctype,
        ldc,
        compute,
        algo,
    ) -> None:
        if compute == self.lacks:
            raise RuntimeError("CUBLAS_STATUS_NOT_SUPPORTED")
        expected = {1: {70, 79}, 0: {68, 77, 78}, 3: {72}}[Atype]
        assert compute in expected
        self.asked.append(compute)
        compute = {78: 68, 79: 70}.get(compute, compute)
        assert algo == -1
        scalar = {70: np.float64, 68: np.float32, 77: np.float32, 72: np.int32}[compute]
        a_factor = float(column_major(alpha, 1, 1, 1, scalar)[0, 0])
        b_factor = float(column_major(beta, 1, 1, 1, scalar)[0, 0])
        a = column_major(A, *((k, m) if transa else (m, k)), lda, _TYPES[Atype])
        b = column_major(B, *((n, k) if transb else (k, n)), ldb, _TYPES[Btype])
        c = column_major(C, m, n, ldc, _TYPES[Ctype])
        if Atype == 3:  # what cuBLAS asks of its integer products
            assert (transa, transb) == (1, 0)
            # Its products of few columns are refused too: PyTorch's `_int_mm` asks for more than 16.
            if n <= 16 or any(value % 4 for value in (m, k, lda, ldb, ldc, A, B, C)):
                raise RuntimeError("CUBLAS_STATUS_NOT_SUPPORTED")
        kind = np.int32 if Atype == 3 else _TYPES[Atype]
        product = (a.T if transa else a).astype(kind) @ (b.T if transb else b).astype(kind)
        c[...] = a_factor * product + (b_factor * c if b_factor else 0)

    def _trsm(self, dtype, side, uplo, trans, diag, m, n, alpha, A, lda, B, ldb) -> None:
        assert diag == 0
        factor = float(column_major(alpha, 1, 1, 1, dtype)[0, 0])
        order = n if side else m
        a = column_major(A, order, order, lda, dtype)
        a = np.triu(a) if uplo else np.tril(a)
        b = column_major(B, m, n, ldb, dtype)
        operand = a.T if trans else a
        b[...] = factor * (np.linalg.solve(operand.T, b.T).T if side else np.linalg.solve(operand, b))

    def dtrsm(self, handle, *arguments) -> None:
        self._trsm(np.float64, *arguments)

    def strsm(self, handle, *arguments) -> None:
        self._trsm(np.float32, *arguments)


class Solver(ModuleType):
    def __init__(self) -> None:
        super().__init__("cusolver")

    def create(self) -> int:
        return 2

    def destroy(self, handle: int) -> None:
        assert handle == 2

    def _getVersion(self) -> tuple[int, int, int]:
        return 12, 0, 4

    def dpotrf_bufferSize(self, handle, uplo, n, A, lda) -> int:
        # No word of the library's says that a smaller order wants no more.
        return 7 + 300 // n

    spotrf_bufferSize = dpotrf_bufferSize

    def _potrf(self, dtype, uplo, n, A, lda, work, lwork, status) -> None:
        assert uplo == 1
        assert lwork >= self.dpotrf_bufferSize(0, uplo, n, A, lda)
        column_major(work, lwork, 1, lwork, dtype)[...] = np.nan
        a = column_major(A, n, n, lda, dtype)
        potrf = scipy.linalg.lapack.dpotrf if dtype == np.float64 else scipy.linalg.lapack.spotrf
        factor, info = potrf(np.triu(a), lower=0, clean=0)
        keep = np.tril(a, -1)
        a[...] = np.triu(factor) + keep
        column_major(status, 1, 1, 1, np.int32)[...] = info

    def dpotrf(self, handle, *arguments) -> None:
        self._potrf(np.float64, *arguments)

    def spotrf(self, handle, *arguments) -> None:
        self._potrf(np.float32, *arguments)


class Handle:
    def __del__(self, is_shutting_down=lambda: False) -> None:
        if LOST[0]:
            raise RuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered")


class Stream(Handle):
    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None) -> None:
        self.ptr, self.device_id = id(self), CURRENT[0]

    def __enter__(self) -> Stream:
        assert self.device_id == CURRENT[0]
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def wait_event(self, event: Event) -> None:
        assert event.recorded

    def synchronize(self) -> None:
        pass


class Event(Handle):
    def __init__(self, block=False, disable_timing=False, interprocess=False) -> None:
        self.recorded, self.device_id = False, CURRENT[0]

    def record(self, stream: Stream | None = None) -> None:
        assert isinstance(stream, Stream)
        if stream.device_id != self.device_id:
            raise RuntimeError("cudaErrorInvalidResourceHandle: invalid resource handle")
        self.recorded = True

    def synchronize(self) -> None:
        assert self.recorded


def modules(library: ctypes.CDLL) -> dict[str, ModuleType]:
    """What to put into `sys.modules`."""

    class RawModule:
        def __init__(self, code: str, options: tuple[str, ...]) -> None:
            assert "-std=c++17" in options
            self.code = code

        def compile(self) -> None:
            pass

        def get_function(self, name: str) -> Any:
            def launch(grid: Any, block: Any, arguments: Any) -> None:
                values = [np.array(argument) for argument in arguments]
                assert len(values) == getattr(library, f"arity_{name}")()
                assert all(value.dtype.itemsize == 8 or value.dtype.names for value in values)
                assert max(grid[1:]) <= 65_535
                pointers = (ctypes.c_void_p * len(values))(*[value.ctypes.data for value in values])
                fault = getattr(library, f"launch_{name}")((ctypes.c_uint * 6)(*grid, *block), pointers, 0)
                assert fault is None, fault

            return launch

    cupy = ModuleType("cupy")
    cupy.__version__ = "14.2.0"  # type: ignore[attr-defined]
    cupy.cuda = SimpleNamespace(Stream=Stream, Event=Event)  # type: ignore[attr-defined]
    cupy.RawModule = RawModule  # type: ignore[attr-defined]
    cupy.lost = LOST  # type: ignore[attr-defined]
    libs = ModuleType("cupy_backends.cuda.libs")
    # CuPy loads a library of CUDA when its wrapper is asked for like this, and only then.
    wrappers = {"cublas": Blas(), "cusolver": Solver()}

    def load(name: str) -> ModuleType:
        if name not in wrappers:
            raise AttributeError(name)
        return wrappers[name]

    libs.__getattr__ = load  # type: ignore[method-assign]
    return {
        "cupy": cupy,
        "cupy_backends": ModuleType("cupy_backends"),
        "cupy_backends.cuda": ModuleType("cupy_backends.cuda"),
        "cupy_backends.cuda.api": ModuleType("cupy_backends.cuda.api"),
        "cupy_backends.cuda.libs": libs,
        "cupy_backends.cuda.api.runtime": Runtime(),
    }
