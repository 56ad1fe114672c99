"""A CUDA device through CuPy: cuBLAS, cuSOLVER, and the kernels of `cuda_kernels/`, on one slab of device memory.

CuPy is imported when a device is opened, never before. Every stream has library handles of its own, so that two
streams never share a workspace. Errors of the GPU become `DeviceError`s of one line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kernelfit.device import launches, operands
from kernelfit.device.cuda_libraries import device_error, first_line, libraries, quiet, quietly
from kernelfit.device.cuda_sources import compiled
from kernelfit.device.launches import Launch
from kernelfit.device.numba_cuda import compile_pairwise
from kernelfit.device.pinned import PinnedMemory
from kernelfit.device.protocol import Block, Device, DeviceRows, Epilogue, Net, PairBlocks, Slab, Symmetric
from kernelfit.errors import DeviceError, InputError
from kernelfit.kernels.base import Kernel

# cuBLAS's own numbers; the enumerations are not exported by every release of CuPy.
_NO, _YES = 0, 1
_LEFT, _RIGHT, _UPPER, _NON_UNIT = 0, 1, 1, 0
_R_32F, _R_64F, _R_8I, _R_32I = 0, 1, 3, 10
_COMPUTE_32F, _COMPUTE_64F, _COMPUTE_32I, _COMPUTE_TF32 = 68, 70, 72, 77
_DEFAULT_ALGORITHM = -1
_TO_DEVICE, _TO_HOST, _ON_DEVICE = 1, 2, 3
_TYPES = {
    np.dtype(np.float64): _R_64F,
    np.dtype(np.float32): _R_32F,
    np.dtype(np.int8): _R_8I,
    np.dtype(np.int32): _R_32I,
}
#: left to the libraries' own workspaces, the driver and the kernels' code
SPARE = 2 * 2**30
#: how exact products of bytes are formed: by cuBLAS (`mma` where its rules on alignment forbid or it has no kernel for
#: the shape), or by a kernel of our own; `words` is what `mma` was before it copied ahead
BYTE_PRODUCTS = ("cublas", "dp4a", "words", "mma")


class CudaStream:
    """A stream; its library handles are made when they are first used, which takes a while."""

    def __init__(
        self, name: str, stream: Any, make_blas: Callable[[], int], make_solver: Callable[[], int]
    ) -> None:
        self.name, self.stream = name, stream
        self._make = {"blas": make_blas, "solver": make_solver}
        self.handles: dict[str, int] = {}

    @property
    def blas(self) -> int:
        return self._handle("blas")

    @property
    def solver(self) -> int:
        return self._handle("solver")

    def _handle(self, library: str) -> int:
        if library not in self.handles:
            self.handles[library] = self._make[library]()
        return self.handles[library]


class CudaDevice:
    """The protocol `kernelfit.device.protocol.Device` on GPU `index`, with `capacity` bytes or all that is free.

    `runtime` and `blas` are CuPy's modules of the CUDA runtime and of cuBLAS.
    """

    def __init__(
        self,
        index: int = 0,
        capacity: int | None = None,
        *,
        compute: str = "float32",
        byte_products: str = "cublas",
    ) -> None:
        self.name = f"cuda:{index}"
        self.compute, self.byte_products = compute, byte_products
        self.notes: list[str] = []
        #: m, n, k of products of bytes that cuBLAS did not take and `mma` formed
        self.refused: set[tuple[int, int, int]] = set()
        self._index = index
        self._reached: dict[int, bool] = {}
        self._streams: list[CudaStream] = []
        self._modules: dict[tuple[str, tuple[str, ...]], Any] = {}
        self._functions: dict[str, Any] = {}
        self._user: dict[Any, Any] = {}
        self._memory = 0
        cupy, runtime, cublas, cusolver = libraries(self.name)
        self._cupy: Any = cupy
        self._stream_class, self._event_class = quiet(cupy.cuda.Stream), quiet(cupy.cuda.Event)
        self.runtime: Any = runtime
        self._pinned = PinnedMemory(runtime, self._call, self.notes.append)
        self.blas: Any = cublas
        self._solver: Any = cusolver
        self._call(self._open, capacity)

    def _open(self, capacity: int | None) -> None:
        free, _ = self.runtime.memGetInfo()
        wanted = free - SPARE if capacity is None else capacity
        if not 0 < wanted <= free:
            needed = max(wanted, 1) + (SPARE if capacity is None else 0)
            raise DeviceError(
                f"device: {needed:,} bytes wanted on {self.name}, {free:,} free; give a smaller device_memory, or end "
                "what else runs on the GPU"
            )
        self._memory = self.runtime.malloc(wanted)
        self.slab = Slab(wanted, self.name)

    def describe(self) -> dict[str, Any]:
        """Name, memory, compute capability, multiprocessors, and the versions that a figure depends on."""

        def read() -> dict[str, Any]:
            properties = self.runtime.getDeviceProperties(self._index)
            free, total = self.runtime.memGetInfo()
            return {
                "name": bytes(properties["name"]).decode(),
                "memory_bytes": int(total),
                "free_bytes": int(free) + self.slab.capacity,
                "compute_capability": f"{properties['major']}.{properties['minor']}",
                "multiprocessors": int(properties["multiProcessorCount"]),
                "driver": int(self.runtime.driverGetVersion()),
                "runtime": int(self.runtime.runtimeGetVersion()),
                "cublas": int(self.blas.getVersion(self.stream("main").blas)),
                "cusolver": ".".join(map(str, self._solver._getVersion())),
                "cupy": str(self._cupy.__version__),
            }

        return dict(self._call(read))

    # -- order --------------------------------------------------------------------------------------------------

    def stream(self, name: str, *, urgent: bool = False) -> CudaStream:
        def make() -> CudaStream:
            # The smaller the number the more urgent; 0 is what everything else has.
            stream = self._stream_class(non_blocking=True, priority=-1 if urgent else 0)
            return CudaStream(
                name, stream, lambda: self._call(self.blas.create), lambda: self._call(self._solver.create)
            )

        for known in self._streams:
            if known.name == name:
                return known
        made: CudaStream = self._call(make)
        self._streams.append(made)
        return made

    def record(self, stream: CudaStream) -> Any:
        def make() -> Any:
            # Made where the current GPU is this one: an event belongs to the GPU that is current when it is made, and
            # a stream of another GPU does not take it.
            event = self._event_class(block=False, disable_timing=False)
            event.record(stream.stream)
            return event

        return self._call(make)

    def wait(self, stream: CudaStream, event: Any) -> None:
        self._call(stream.stream.wait_event, event)

    def synchronise(self, event: Any | None = None) -> None:
        if event is None:
            for stream in self._streams:
                self._call(stream.stream.synchronize)
        else:
            self._call(event.synchronize)

    # -- host memory and copies ---------------------------------------------------------------------------------

    def host(self, nbytes: int) -> NDArray[np.uint8]:
        return self._pinned.take(nbytes)

    def release_host(self, array: NDArray[np.uint8]) -> None:
        self._pinned.give_back(array)

    def copy_in(self, stream: CudaStream, host: NDArray[Any], block: Block) -> None:
        self._move(stream, host, block, _TO_DEVICE)

    def copy_out(self, stream: CudaStream, block: Block, host: NDArray[Any]) -> None:
        self._move(stream, host, block, _TO_HOST)

    def _move(self, stream: CudaStream, host: NDArray[Any], block: Block, direction: int) -> None:
        if host.nbytes != block.nbytes or not host.flags.c_contiguous:
            raise ValueError(f"copy of {host.nbytes} host bytes and a block of {block.nbytes}")
        if block.nbytes == 0:
            return
        line = block.columns * block.dtype.itemsize
        pitch = block.stride * block.dtype.itemsize
        there, here = self.address(block), int(host.ctypes.data)
        to_device = direction == _TO_DEVICE
        target, source = (there, here) if to_device else (here, there)
        pointer = stream.stream.ptr
        if block.contiguous:
            self._call(self.runtime.memcpyAsync, target, source, block.nbytes, direction, pointer)
            return
        pitches = (pitch, line) if to_device else (line, pitch)
        self._call(
            self.runtime.memcpy2DAsync,
            target,
            pitches[0],
            source,
            pitches[1],
            line,
            block.rows,
            direction,
            pointer,
        )

    def copy(self, stream: CudaStream, source: Block, target: Block) -> None:
        operands.require_copy(source, target)
        line = source.columns * source.dtype.itemsize
        if source.nbytes == 0:
            return
        if source.contiguous and target.contiguous:  # a pitch of 2^31 bytes is refused
            places = self.address(target), self.address(source)
            self._call(self.runtime.memcpyAsync, *places, source.nbytes, _ON_DEVICE, stream.stream.ptr)
            return
        self._call(
            self.runtime.memcpy2DAsync,
            self.address(target),
            target.stride * target.dtype.itemsize,
            self.address(source),
            source.stride * source.dtype.itemsize,
            line,
            source.rows,
            _ON_DEVICE,
            stream.stream.ptr,
        )

    def reaches(self, other: Device) -> bool:
        if not isinstance(other, CudaDevice) or other is self:
            return False
        known = self._reached.get(other._index)
        if known is None:
            known = self._reached[other._index] = self._opens_to(other._index)
        return known

    def _opens_to(self, index: int) -> bool:
        """Whether the memory of that GPU is within reach, which is switched on."""
        try:
            if not self._call(self.runtime.deviceCanAccessPeer, self._index, index):
                return False
            self._call(self.runtime.deviceEnablePeerAccess, index)
        except DeviceError as error:
            return "AlreadyEnabled" in str(error)
        return True

    def copy_to(self, stream: CudaStream, source: Block, other: Device, target: Block) -> None:
        assert isinstance(other, CudaDevice)
        operands.require_passed(source, target)
        if source.nbytes == 0:
            return
        self._call(
            self.runtime.memcpyPeerAsync,
            other.address(target),
            other._index,
            self.address(source),
            self._index,
            source.nbytes,
            stream.stream.ptr,
        )

    def zero(self, stream: CudaStream, block: Block) -> None:
        operands.require_packed("zero", block)
        if block.nbytes == 0:
            return
        self._call(self.runtime.memsetAsync, self.address(block), 0, block.nbytes, stream.stream.ptr)

    def set_identity(self, stream: CudaStream, block: Block) -> None:
        self._launch(stream, launches.shape_square(self.address, block, launches.IDENTITY))

    # -- linear algebra -----------------------------------------------------------------------------------------

    def gemm(
        self,
        stream: CudaStream,
        alpha: float,
        a: Block,
        b: Block,
        beta: float,
        c: Block,
        *,
        transpose_a: bool = False,
        transpose_b: bool = False,
    ) -> None:
        operands.require_product(alpha, a, b, beta, c, transpose_a, transpose_b)
        m, n = c.rows, c.columns
        k = a.rows if transpose_a else a.columns
        if m == 0 or n == 0 or k == 0:
            return
        if a.dtype == np.int8:
            how = self.byte_products
            # What cuBLAS asks of integer products: n and every row a multiple of four numbers, four bytes of alignment.
            odd = n % 4 or k % 4 or c.stride % 4 or a.stride % 4 or b.stride % 4
            if how == "cublas" and (odd or (m, n, k) in self.refused):
                how = "mma"
            if how != "cublas":
                self._launch(stream, launches.byte_products(self.address, a, b, c, how))
                return
            compute, scalar = _COMPUTE_32I, np.dtype(np.int32)
        elif a.dtype == np.float64:
            compute, scalar = _COMPUTE_64F, a.dtype
        else:
            compute, scalar = (_COMPUTE_TF32 if self.compute == "tf32" else _COMPUTE_32F), a.dtype
        scalars = np.array([alpha, beta], scalar)
        # cuBLAS is column-major: C^T <- op(B)^T op(A)^T.
        arguments = (
            stream.blas,
            _YES if transpose_b else _NO,
            _YES if transpose_a else _NO,
            n,
            m,
            k,
            scalars[:1].ctypes.data,
            self.address(b),
            _TYPES[b.dtype],
            b.stride,
            self.address(a),
            _TYPES[a.dtype],
            a.stride,
            scalars[1:].ctypes.data,
            self.address(c),
            _TYPES[c.dtype],
            c.stride,
            compute,
            _DEFAULT_ALGORITHM,
        )
        try:
            self._on(stream, self.blas.gemmEx, *arguments)
        except DeviceError as error:
            if a.dtype != np.int8 or "NOT_SUPPORTED" not in str(error):
                raise
            # Beyond its rules on alignment cuBLAS has no kernel for some shapes on some GPUs, few rows above all; ours
            # gives the same integers.
            self.refused.add((m, n, k))
            self._launch(stream, launches.byte_products(self.address, a, b, c, "mma"))

    def solve_right(self, stream: CudaStream, lower: Block, x: Block) -> None:
        operands.require_triangle(lower, x, x.columns)
        self._trsm(stream, _LEFT, _YES, lower, x)

    def solve_left(self, stream: CudaStream, lower: Block, x: Block, *, transposed: bool = False) -> None:
        operands.require_triangle(lower, x, x.rows)
        self._trsm(stream, _RIGHT, _YES if transposed else _NO, lower, x)

    def _trsm(self, stream: CudaStream, side: int, transposition: int, lower: Block, x: Block) -> None:
        """A row-major L is a column-major upper triangle; X^T stands on the other side of it."""
        if x.rows == 0 or x.columns == 0:
            return
        one = np.ones(1, x.dtype)
        routine = self.blas.dtrsm if x.dtype == np.float64 else self.blas.strsm
        self._on(
            stream,
            routine,
            stream.blas,
            side,
            _UPPER,
            transposition,
            _NON_UNIT,
            x.columns,
            x.rows,
            one.ctypes.data,
            self.address(lower),
            lower.stride,
            self.address(x),
            x.stride,
        )

    def potrf_workspace(self, order: int, dtype: DTypeLike) -> int:
        kind = np.dtype(dtype)
        stream = self.stream("workspace query")
        query = self._solver.dpotrf_bufferSize if kind == np.float64 else self._solver.spotrf_bufferSize
        elements = self._on(stream, query, stream.solver, _UPPER, order, self._memory, order)
        return int(elements) * kind.itemsize

    def potrf(self, stream: CudaStream, block: Block, work: Block, status: Block) -> None:
        operands.require_factor(block, work, status, self.potrf_workspace(block.rows, block.dtype))
        routine = self._solver.dpotrf if block.dtype == np.float64 else self._solver.spotrf
        self._on(
            stream,
            routine,
            stream.solver,
            _UPPER,
            block.rows,
            self.address(block),
            block.stride,
            self.address(work),
            work.columns,
            self.address(status),
        )
        self._launch(stream, launches.shape_square(self.address, block, launches.LOWER))

    # -- kernels of our own -------------------------------------------------------------------------------------

    def l1_distances(self, stream: CudaStream, rows: DeviceRows, columns: DeviceRows, out: Block) -> None:
        self._launch(stream, launches.l1_distances(self.address, rows, columns, out))

    def compile(self, kernel: Kernel) -> None:
        for key, function in operands.functions_of(kernel).items():
            if key in self._user:
                continue
            self._call(self.runtime.setDevice, self._index)
            try:
                self._user[key] = compile_pairwise(function)
            except ImportError as error:
                raise InputError(
                    f"kernel: got {function.__name__}, which needs numba-cuda on a GPU ({first_line(error)}); install "
                    "kernelfit[cuda12] or kernelfit[cuda13], or use device='cpu'"
                ) from None
            except Exception as error:  # Numba's errors of typing and of lowering have no common base
                if any(family.__name__ == "CudaDriverError" for family in type(error).__mro__):
                    raise device_error(self.name, error) from None
                raise InputError(
                    f"kernel: got {function.__name__}, which Numba CUDA cannot compile ({first_line(error)}), expected "
                    "loops, indexing and math.exp (math, not numpy, whose functions it has not); or use device='cpu'"
                ) from None

    def user_values(
        self, stream: CudaStream, kernel: Kernel, rows: DeviceRows, columns: DeviceRows, out: Block
    ) -> None:
        assert rows.domain is not None
        assert columns.domain is not None
        operands.require_packed("user_values", rows.domain, columns.domain, out)
        self.compile(kernel)
        (key,) = operands.functions_of(kernel)
        arrays = (self._array(block) for block in (rows.domain, columns.domain, out))
        try:
            self._call(self._user[key], stream.stream.ptr, *arrays)
        except DeviceError:
            raise
        except Exception as error:  # Numba's errors of the GPU are not those of CuPy
            raise device_error(self.name, error) from None

    def evaluate(
        self,
        stream: CudaStream,
        epilogue: Epilogue,
        pairs: PairBlocks,
        rows: DeviceRows,
        columns: DeviceRows,
        out: Block,
        symmetric: Symmetric | None,
    ) -> None:
        self._launch(
            stream,
            launches.evaluate(self.address, epilogue, pairs, rows, columns, out, symmetric),
        )

    def absolute_sums(self, stream: CudaStream, tile: Block, left: int, rows: Block, columns: Block) -> None:
        operands.require_sums(tile, (np.float64,), (rows, tile.rows), (columns, left))
        self._launch(stream, launches.absolute_row_sums(self.address, tile, rows))
        if left:
            part = tile.part(columns=(0, left))
            self._launch(stream, launches.column_sums(self.address, part, columns, False))

    def squared_column_sums(self, stream: CudaStream, tile: Block, out: Block) -> None:
        operands.require_sums(tile, (np.float64, np.float32), (out, tile.columns))
        self._launch(stream, launches.column_sums(self.address, tile, out, True))

    def mirror(self, stream: CudaStream, block: Block) -> None:
        operands.require_square("mirror", block)
        self._launch(stream, launches.shape_square(self.address, block, launches.MIRRORED))

    def add(self, stream: CudaStream, block: Block, out: Block) -> None:
        operands.require_addition(block, out)
        self._launch(stream, launches.add_panel(self.address, block, out))

    def random_conv(self, stream: CudaStream, net: Net, images: Block, statistics: Block, out: Block) -> None:
        self._launch(stream, launches.random_conv(self.address, net, images, statistics, out))

    def patch_statistics(self, stream: CudaStream, net: Net, images: Block, statistics: Block) -> None:
        self._launch(stream, launches.patch_statistics(self.address, net, images, statistics))

    def close(self) -> None:
        quietly(self.runtime.setDevice, self._index)
        for stream in self._streams:
            quietly(stream.stream.synchronize)
            for library, handle in stream.handles.items():
                quietly((self.blas if library == "blas" else self._solver).destroy, handle)
        self._streams.clear()
        if self._memory:
            quietly(self.runtime.free, self._memory)
            self._memory = 0
        self._pinned.close()

    # -- inside -------------------------------------------------------------------------------------------------

    def address(self, block: Block) -> int:
        return self._memory + block.offset

    def _array(self, block: Block) -> Any:
        """The block as a CuPy array, for Numba; the slab outlives it."""
        lo, hi = block.span
        memory = self._cupy.cuda.UnownedMemory(self._memory + lo, max(hi - lo, 1), self, self._index)
        size = block.dtype.itemsize
        return self._cupy.ndarray(
            (block.rows, block.columns),
            block.dtype,
            self._cupy.cuda.MemoryPointer(memory, 0),
            strides=(block.stride * size, size),
        )

    def _launch(self, stream: CudaStream, launch: Launch) -> None:
        if 0 in launch.grid:
            return
        function = self._functions.get(launch.entry)
        if function is None:
            key = (launch.source, launch.macros)
            if key not in self._modules:
                self._modules[key] = self._call(compiled, self._cupy, launch.source, launch.macros)
            function = self._call(self._modules[key].get_function, launch.entry)
            self._functions[launch.entry] = function
        self._on(stream, function, launch.grid, launch.block, launch.arguments)

    def _on(self, stream: CudaStream, call: Callable[..., Any], *arguments: Any) -> Any:
        """CuPy's wrappers put everything on the current stream of the calling thread."""

        def run() -> Any:
            with stream.stream:
                return call(*arguments)

        return self._call(run)

    def _call(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            # The current GPU belongs to the thread, and another device may have changed it.
            self.runtime.setDevice(self._index)
            return call(*arguments)
        except DeviceError:
            raise
        except (RuntimeError, MemoryError) as error:
            # CuPy's errors of runtime, driver, cuBLAS, cuSOLVER and NVRTC are RuntimeErrors or MemoryErrors.
            raise device_error(self.name, error) from None
