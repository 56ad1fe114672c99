"""A device made of host memory, to test everything but the arithmetic of a GPU without one.

It is stricter than a GPU, and refuses whatever `CudaDevice` does: what `kernelfit.device.operands` asks of blocks, and
what a launch asks, which is formed here too and thrown away. Memory is one slab, poisoned with NaN, that refuses to
grow. Nothing that is queued runs until the host waits for an event, and then only what that event needs runs, in a
random order that the streams and events allow: a missing wait leaves stale numbers behind, and raises `Race`
(`kernelfit.device.host_streams`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kernelfit.cpu import blas
from kernelfit.device import launches, operands
from kernelfit.device.epilogue import table
from kernelfit.device.host_streams import Access, Clock, HostStream, HostStreams, Race
from kernelfit.device.protocol import (
    Block,
    ByteFilters,
    Device,
    DeviceRows,
    Epilogue,
    Net,
    PairBlocks,
    Slab,
    Symmetric,
    factors_of,
    floats_of,
)
from kernelfit.gram.points import RowVectors
from kernelfit.gram.tile import PairTile
from kernelfit.kernels import Pairwise
from kernelfit.kernels.base import Kernel

# Of `cuda_kernels/random_conv.cuh`: a patch with less contrast than this share of its length is flat.
_FLAT = 1e-5


class HostDevice:
    """The protocol `kernelfit.device.protocol.Device` on `capacity` bytes of host memory.

    Those made `beside` another share its streams, so that whatever they do to one another has to be in order; they
    reach each other where `peers`.
    """

    def __init__(
        self,
        capacity: int,
        *,
        seed: int = 0,
        compute: str = "float32",
        beside: HostDevice | None = None,
        peers: bool = True,
    ) -> None:
        self.name = "host"
        self.compute = compute
        self.notes: list[str] = []
        self.slab = Slab(capacity, "the host stand-in")
        self._memory = np.full(-(-capacity // 8), np.nan).view(np.uint8)
        self._streams: HostStreams = HostStreams(seed) if beside is None else beside._streams
        self._own: list[HostStream] = []
        self._peers = peers
        self._space = f"slab of {id(self)}"
        self._user: dict[Any, Pairwise] = {}
        #: bytes copied between host and device
        self.bytes_in = self.bytes_out = 0
        self.bytes_to_peers = 0

    def stream(self, name: str, *, urgent: bool = False) -> HostStream:
        self._own.append(self._streams.open(name))
        return self._own[-1]

    def record(self, stream: HostStream) -> Clock:
        return self._streams.record(stream)

    def wait(self, stream: HostStream, event: Clock) -> None:
        self._streams.wait(stream, event)

    def synchronise(self, event: Clock | None = None) -> None:
        if event is None:
            event = {stream.index: stream.queued for stream in self._own}
        self._streams.synchronise(event)

    def host(self, nbytes: int) -> NDArray[np.uint8]:
        return np.full(-(-nbytes // 8), np.nan).view(np.uint8)[:nbytes]

    def release_host(self, array: NDArray[np.uint8]) -> None:
        array.fill(0xFF)  # a copy that still needs it reads NaN

    def close(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def read(self, block: Block) -> NDArray[Any]:
        """What the block holds now; for tests."""
        return self._view(block).copy()

    # -- operations ---------------------------------------------------------------------------------------------

    def copy_in(self, stream: HostStream, host: NDArray[Any], block: Block) -> None:
        _same_size(host, block)
        self.bytes_in += block.nbytes

        def run() -> None:
            self._view(block)[...] = host.view(block.dtype).reshape(block.rows, block.columns)

        self._submit(stream, "copy_in", [], [block], run, host_reads=[host])

    def copy_out(self, stream: HostStream, block: Block, host: NDArray[Any]) -> None:
        _same_size(host, block)
        self.bytes_out += block.nbytes

        def run() -> None:
            host.view(block.dtype).reshape(block.rows, block.columns)[...] = self._view(block)

        self._submit(stream, "copy_out", [block], [], run, host_writes=[host])

    def copy(self, stream: HostStream, source: Block, target: Block) -> None:
        operands.require_copy(source, target)

        def run() -> None:
            self._view(target)[...] = self._view(source)

        self._submit(stream, "copy", [source], [target], run)

    def reaches(self, other: Device) -> bool:
        if not isinstance(other, HostDevice) or other is self:
            return False
        return other._streams is self._streams and self._peers and other._peers

    def copy_to(self, stream: HostStream, source: Block, other: Device, target: Block) -> None:
        assert isinstance(other, HostDevice)
        if not self.reaches(other):
            raise ValueError("copy_to: a device that is not reached")
        operands.require_passed(source, target)
        if target.span[1] > other.slab.used:
            raise Race(f"copy_to uses bytes {target.span} beyond the {other.slab.used} taken")
        self.bytes_to_peers += source.nbytes

        def run() -> None:
            other._view(target)[...] = self._view(source).reshape(target.rows, target.columns)

        access = Access.of_block(target, True, other._space)
        self._submit(stream, "copy_to", [source], [], run, elsewhere=[access])

    def zero(self, stream: HostStream, block: Block) -> None:
        operands.require_packed("zero", block)
        self._submit(stream, "zero", [], [block], lambda: self._view(block).fill(0))

    def set_identity(self, stream: HostStream, block: Block) -> None:
        def run() -> None:
            self._view(block)[...] = np.eye(block.rows, block.columns)

        self._submit(stream, "set_identity", [], [block], run)

    def gemm(
        self,
        stream: HostStream,
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
        if a.dtype == np.int8:
            launches.byte_products(_offset, a, b, c, "mma")

        def run() -> None:
            left, right, out = self._view(a), self._view(b), self._view(c)
            if a.dtype == np.int8:
                out[...] = left.astype(np.int32) @ right.astype(np.int32).T
                return
            if a.dtype == np.float32 and self.compute == "tf32":
                left, right = _tf32(left), _tf32(right)
            blas.gemm(alpha, left, right, beta, out, transpose_a=transpose_a, transpose_b=transpose_b)

        self._submit(stream, "gemm", [a, b, *([c] if beta else [])], [c], run)

    def solve_right(self, stream: HostStream, lower: Block, x: Block) -> None:
        operands.require_triangle(lower, x, x.columns)

        def run() -> None:
            blas.solve_right_lower_transposed(self._view(lower), self._view(x))

        self._submit(stream, "solve_right", [lower], [x], run)

    def solve_left(self, stream: HostStream, lower: Block, x: Block, *, transposed: bool = False) -> None:
        operands.require_triangle(lower, x, x.rows)

        def run() -> None:
            blas.solve_left_lower(self._view(lower), self._view(x), transposed=transposed)

        self._submit(stream, "solve_left", [lower], [x], run)

    def potrf_workspace(self, order: int, dtype: DTypeLike) -> int:
        return order * np.dtype(dtype).itemsize

    def potrf(self, stream: HostStream, block: Block, work: Block, status: Block) -> None:
        operands.require_factor(block, work, status, self.potrf_workspace(block.rows, block.dtype))

        def run() -> None:
            view = self._view(block)
            with np.errstate(invalid="ignore"):
                self._view(status)[...] = blas.potrf(view)
            view[...] = np.tril(view)

        self._submit(stream, "potrf", [], [block, work, status], run)

    def l1_distances(self, stream: HostStream, rows: DeviceRows, columns: DeviceRows, out: Block) -> None:
        assert rows.apart is not None
        assert columns.apart is not None
        launches.l1_distances(_offset, rows, columns, out)
        left, right = rows.apart, columns.apart
        of_rows, of_columns, of_differences = factors_of(rows, columns)

        def run() -> None:
            a, b, result = of_rows * self._view(left), of_columns * self._view(right), self._view(out)
            for i, row in enumerate(a):
                result[i] = of_differences * np.abs(row - b).sum(axis=1)

        self._submit(stream, "l1_distances", [left, right], [out], run)

    def compile(self, kernel: Kernel) -> None:
        for key, function in operands.functions_of(kernel).items():
            if key not in self._user:
                self._user[key] = Pairwise(function)

    def user_values(
        self, stream: HostStream, kernel: Kernel, rows: DeviceRows, columns: DeviceRows, out: Block
    ) -> None:
        assert rows.domain is not None
        assert columns.domain is not None
        left, right = rows.domain, columns.domain
        operands.require_packed("user_values", left, right, out)
        self.compile(kernel)
        (key,) = operands.functions_of(kernel)
        compiled = self._user[key]

        def run() -> None:
            result = np.empty((out.rows, out.columns))
            compiled.evaluate(_HostTile(self, rows, columns, PairBlocks(), True), result)
            self._view(out)[...] = result

        self._submit(stream, "user_values", [left, right], [out], run)

    def evaluate(
        self,
        stream: HostStream,
        epilogue: Epilogue,
        pairs: PairBlocks,
        rows: DeviceRows,
        columns: DeviceRows,
        out: Block,
        symmetric: Symmetric | None,
    ) -> None:
        launches.evaluate(_offset, epilogue, pairs, rows, columns, out, symmetric)
        vectors = [*rows.vectors(), *columns.vectors()]
        sides = (rows, columns)
        coordinates = [block for side in sides for block in (side.apart, side.domain) if block is not None]
        diagonal = [symmetric.diagonal] if symmetric is not None else []
        floats = floats_of(epilogue.kernel, rows, columns)

        def run() -> None:
            # A GPU evaluates what stands in the table, where the kernel is evaluated here.
            if not np.array_equal(self._view(epilogue.table), table(epilogue.terms)):
                raise ValueError(f"evaluate: a table that is not that of {epilogue.kernel!r}")
            result = np.empty((out.rows, out.columns))
            epilogue.kernel.evaluate(_HostTile(self, rows, columns, pairs, floats is None), result)
            if symmetric is not None:
                i = symmetric.row + np.arange(out.rows)[:, None]
                j = symmetric.column + np.arange(out.columns)[None, :]
                if not symmetric.both:
                    result[i < j] = 0.0
                exact = self._view(symmetric.diagonal)[:, 0]
                at = np.argwhere(i == j)
                result[at[:, 0], at[:, 1]] = exact[i[at[:, 0], 0]] + symmetric.shift
            self._view(out)[...] = result

        reads = [*pairs.given(), *vectors, *coordinates, *(floats or ()), *diagonal, epilogue.table]
        self._submit(stream, "evaluate", reads, [out], run)

    def absolute_sums(self, stream: HostStream, tile: Block, left: int, rows: Block, columns: Block) -> None:
        operands.require_sums(tile, (np.float64,), (rows, tile.rows), (columns, left))

        def run() -> None:
            values = np.abs(self._view(tile))
            self._view(rows)[:, 0] += values.sum(axis=1)
            self._view(columns)[:left, 0] += values[:, :left].sum(axis=0)

        self._submit(stream, "absolute_sums", [tile], [rows, columns], run)

    def squared_column_sums(self, stream: HostStream, tile: Block, out: Block) -> None:
        operands.require_sums(tile, (np.float64, np.float32), (out, tile.columns))

        def run() -> None:
            values = self._view(tile).astype(np.float64)
            self._view(out)[:, 0] += np.einsum("ij,ij->j", values, values)

        self._submit(stream, "squared_column_sums", [tile], [out], run)

    def mirror(self, stream: HostStream, block: Block) -> None:
        operands.require_square("mirror", block)

        def run() -> None:
            view = self._view(block)
            view[...] = np.tril(view) + np.tril(view, -1).T

        self._submit(stream, "mirror", [], [block], run)

    def add(self, stream: HostStream, block: Block, out: Block) -> None:
        operands.require_addition(block, out)

        def run() -> None:
            self._view(out)[...] += self._view(block)

        self._submit(stream, "add", [block], [out], run)

    def patch_statistics(self, stream: HostStream, net: Net, images: Block, statistics: Block) -> None:
        launches.patch_statistics(_offset, net, images, statistics)

        def run() -> None:
            patches = self._patches(net, images)
            mean, squares = patches.mean(axis=2), (patches**2).sum(axis=2)
            variance = squares - patches.shape[2] * mean**2
            root, offset = net.contrast
            flat = ~(variance > _FLAT**2 * squares) & (offset == 0)
            factor = np.where(
                flat, 0.0, root / np.sqrt(np.where(flat, 1.0, np.maximum(variance, 0) + offset))
            )
            self._view(statistics)[...] = np.stack([mean, factor], axis=2).reshape(images.rows, -1)

        self._submit(stream, "patch_statistics", [images, net.places], [statistics], run)

    def random_conv(self, stream: HostStream, net: Net, images: Block, statistics: Block, out: Block) -> None:
        launches.random_conv(_offset, net, images, statistics, out)
        filters = net.bytes if images.dtype == np.uint8 else None

        def run() -> None:
            down, across = net.responses
            each = self._view(statistics).reshape(images.rows, down * across, 2, 1)
            if filters is not None:
                responses = self._byte_responses(net, filters, images) * each[:, :, 1]
            else:
                patches = (self._patches(net, images) - each[:, :, 0].astype(np.float64)) * each[:, :, 1]
                responses = patches @ self._view(net.folded)
            responses = responses.reshape(images.rows, down, across, -1)
            signed = (
                np.maximum(responses - self._view(net.above)[:, 0], 0),
                np.maximum(-responses - self._view(net.below)[:, 0], 0),
            )
            pooled = [
                half[:, top:bottom, left:right].mean(axis=(1, 2))
                for half in signed
                for top, bottom in self._view(net.row_spans)
                for left, right in self._view(net.column_spans)
            ]
            features = np.stack(pooled, axis=2).reshape(images.rows, -1) ** net.power
            if net.step:
                features = net.step * np.minimum(np.rint(features / net.step), 255)
            self._view(out)[...] = features

        weights = [net.places, net.folded, net.above, net.below, net.row_spans, net.column_spans]
        weights += [] if filters is None else [filters.places, filters.packed, filters.units]
        self._submit(stream, "random_conv", [images, statistics, *weights], [out], run)

    def _patches(self, net: Net, images: Block) -> NDArray[np.float64]:
        """(images, positions, values of a patch)."""
        places = self._corners(net) + self._view(net.places)[:, 0]
        return self._view(images)[:, places].astype(np.float64)

    @staticmethod
    def _corners(net: Net) -> NDArray[np.int64]:
        """(positions, 1): the first pixel of every patch."""
        (_, width, channels), (down, across) = net.image, net.responses
        return ((np.arange(down)[:, None] * width + np.arange(across)) * channels).reshape(-1, 1)

    def _byte_responses(self, net: Net, filters: ByteFilters, images: Block) -> NDArray[np.float32]:
        """(images, positions, filters): exact sums in float32, times the units."""
        places = (self._view(filters.places) + np.arange(4)).reshape(-1)
        # A word may reach beyond the last pixel, where it meets a zero of the filters.
        pixels = np.pad(self._view(images), ((0, 0), (0, 3))).astype(np.float64)
        high, low = self._view(filters.packed).reshape(filters.packed.rows, 2, -1).swapaxes(0, 1)
        sums = pixels[:, self._corners(net) + places] @ (256.0 * high + low).T
        return sums.astype(np.float32) * self._view(filters.units)[:, 0]

    # -- inside --------------------------------------------------------------------------------------------------

    def _view(self, block: Block) -> NDArray[Any]:
        lo, hi = block.span
        flat = self._memory[lo:hi].view(block.dtype)
        shape = (block.rows, block.columns)
        return np.lib.stride_tricks.as_strided(
            flat, shape, (block.stride * block.dtype.itemsize, block.dtype.itemsize)
        )

    def _submit(
        self,
        stream: HostStream,
        what: str,
        reads: Sequence[Block],
        writes: Sequence[Block],
        run: Callable[[], None],
        host_reads: Sequence[NDArray[Any]] = (),
        host_writes: Sequence[NDArray[Any]] = (),
        elsewhere: Sequence[Access] = (),
    ) -> None:
        for block in (*reads, *writes):
            if block.span[1] > self.slab.used:
                raise Race(f"{what} uses bytes {block.span} beyond the {self.slab.used} taken")
        accesses = [
            *(Access.of_block(block, False, self._space) for block in reads),
            *(Access.of_block(block, True, self._space) for block in writes),
            *elsewhere,
            *(Access.of_host(array, False) for array in host_reads),
            *(Access.of_host(array, True) for array in host_writes),
        ]
        self._streams.submit(stream, what, accesses, run)


class _HostTile(PairTile):
    """`kernelfit.kernels.base.Tile` on what lies in the slab."""

    def __init__(
        self, device: HostDevice, rows: DeviceRows, columns: DeviceRows, pairs: PairBlocks, exact: bool
    ) -> None:
        self._device, self._rows, self._columns, self._pairs = device, rows, columns, pairs
        self.unit, self.exact = columns.unit, exact
        self.length = columns.length
        self.rows, self.columns = self._vectors(rows), self._vectors(columns)

    def _vectors(self, side: DeviceRows) -> RowVectors:
        sq_norms, offsets, origin = (
            self._device.read(block).ravel() for block in (side.sq_norms, side.offsets, side.origin)
        )
        powers = np.ones(side.n) if side.powers is None else self._device.read(side.powers).ravel()
        return RowVectors(sq_norms, offsets, origin, powers)

    def dot(self) -> NDArray[Any]:
        assert self._pairs.dot is not None
        return self._device.read(self._pairs.dot).astype(np.float64)

    def inner(self) -> NDArray[Any]:
        return self.dot() if self._pairs.inner is None else self._device.read(self._pairs.inner)

    def coordinates(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self._domain(self._rows), self._domain(self._columns)

    def apart(self) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        of_rows, of_columns, factor = factors_of(self._rows, self._columns)
        assert self._rows.apart is not None
        assert self._columns.apart is not None
        left, right = self._device.read(self._rows.apart), self._device.read(self._columns.apart)
        return of_rows * left, of_columns * right, factor

    def _domain(self, side: DeviceRows) -> NDArray[np.float64]:
        if side.domain is not None:
            return self._device.read(side.domain)
        assert side.apart is not None
        return side.factor * self._device.read(side.apart)

    def scratch(self, name: str) -> NDArray[np.float64]:
        return np.empty((self._rows.n, self._columns.n))


def _offset(block: Block) -> int:
    """In place of an address: launches are formed for what they refuse."""
    return block.offset


def _same_size(host: NDArray[Any], block: Block) -> None:
    if host.nbytes != block.nbytes or not host.flags.c_contiguous:
        raise ValueError(f"copy of {host.nbytes} host bytes and a block of {block.nbytes}")


def _tf32(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rounded to the ten explicit bits that TF32 has, to nearest."""
    bits = np.ascontiguousarray(values).view(np.int32)
    rounded: NDArray[np.float32] = ((bits + 0x1000) & ~np.int32(0x1FFF)).view(np.float32)
    return rounded
