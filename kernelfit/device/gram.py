"""Tiles of K on a device: from rows that lie there, or from any Gram source, filled on the host and copied in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.pool import CpuBackend
from kernelfit.device.epilogue import program, table, take_epilogue
from kernelfit.device.protocol import Block, Device, DeviceRows, PairBlocks, Symmetric
from kernelfit.errors import InputError
from kernelfit.gram.points import Points
from kernelfit.gram.protocol import GramSource
from kernelfit.gram.tile import units
from kernelfit.kernels.base import PRODUCTS, Kernel, Needs
from kernelfit.typing import Float, Span

#: columns of int8 rows are padded to this, so that every row begins where the tensor cores want it
_PAD = 64
_EXACT_INT32 = 2**31


#: what is added to the diagonal of K: one number, or (n,)
Shift = float | Float


class DeviceGram(Protocol):
    """A symmetric K that can be formed block by block on a device."""

    device: Device
    n: int
    flops_per_entry: float

    def diagonal(self) -> Float: ...

    def fill(
        self, stream: Any, rows: Span, columns: Span, out: Block, shift: Shift = 0.0, both: bool = False
    ) -> None:
        """out <- (K + shift I)[rows, columns], above the diagonal only where `both` triangles are asked for.

        A shift (n,) is one that `shift_by` was given.
        """
        ...

    def shift_by(self, stream: Any, shift: Float) -> None:
        """Take what a shift (n,) needs on the device: n float64, where tiles are formed there."""
        ...

    def resident(self, exact: bool) -> tuple[DeviceRows, Strips] | None:
        """The training rows on the device and what evaluates k of them, where inner products are formed likewise."""
        ...


def open_gram(
    device: Device, stream: Any, source: GramSource, backend: CpuBackend, height: int, width: int
) -> DeviceGram:
    """Tiles of any source on a device: from where K lies there, from rows copied there, or filled on the host.

    Strips of inner products are `height` x `width` at most.
    """
    tiles: DeviceGram | None = source.device_tiles(device, stream)
    if tiles is not None:
        return tiles
    if source.kernel is not None:
        return RowsGram(device, stream, source, height, width)
    return HostGram(device, source, backend, height)


def as_int8(points: Points, other: Points | None = None) -> bool:
    """Whether inner products are exact in int32 from centred int8."""
    if not points.exact or (other is not None and not (other.exact and other.centre == points.centre)):
        return False
    for one in (points, other):
        if one is not None and one.values.size:
            low, high = int(one.values.min()) - one.centre, int(one.values.max()) - one.centre
            if low < -128 or high > 127:
                return False
    return points.shape[1] * 2**14 < _EXACT_INT32


def row_bytes(points: Points, kernel: Kernel | None, exact: bool) -> int:
    """Bytes of one row with its vectors, as `put_rows` lays it out."""
    d, vectors = points.shape[1], 4 * 8 + 8
    needs = Needs.DISTANCES if kernel is None else kernel.needs
    padded = -(-d // _PAD) * _PAD if exact and needs & PRODUCTS else 0
    return vectors + padded + 8 * d * len(set(_float_rows(points, needs, exact).values()))


def _float_rows(points: Points, needs: Needs, exact: bool) -> dict[str, str]:
    """What of `DeviceRows` holds float64 rows -> the method of `Points` that makes them, `scaled` where it does."""
    contents = {}
    if needs & PRODUCTS and not exact:
        if Needs.DISTANCES in needs:
            contents["values"] = "scaled" if points.centred_as_is else "block"
        if Needs.INNER_PRODUCTS in needs:
            contents["inner"] = "scaled" if points.plain else "about_origin"
        # Close pairs are subtracted; parallel ones are not.
        contents["apart"] = "apart" if Needs.DISTANCES in needs else "scaled"
    if Needs.L1_DISTANCES in needs:
        contents["apart"] = "apart"
    if Needs.FUNCTION in needs:
        contents["domain"] = "scaled"
    if points.factor == 1.0:
        contents = {name: "scaled" if method == "apart" else method for name, method in contents.items()}
    return contents


def put_rows(
    device: Device, stream: Any, points: Points, kernel: Kernel, exact: bool, rows: Span | None = None
) -> DeviceRows:
    """Copy rows of points to the device, and what tiles need to know of each; returns when they are there."""
    first, last = rows if rows is not None else (0, points.shape[0])
    n, d, needs = last - first, points.shape[1], kernel.needs

    def put_part(columns: int, dtype: Any, make: Any) -> Block:
        block = device.slab.take(n, columns, dtype)
        _put(device, stream, block, lambda a, b: make(first + a, first + b))
        return block

    makers = {
        "scaled": points.scaled,
        "apart": points.apart,
        "about_origin": points.about_origin,
        "block": lambda a, b: points.block(a, b, exact=False),
    }
    contents = _float_rows(points, needs, exact)
    blocks = {method: put_part(d, np.float64, makers[method]) for method in dict.fromkeys(contents.values())}
    held: dict[str, Block | None] = {name: blocks[method] for name, method in contents.items()}
    if exact and needs & PRODUCTS:
        padded = -(-d // _PAD) * _PAD
        held["values"] = put_part(padded, np.int8, lambda a, b: _centred(points, a, b, padded))
    vectors = points.row_vectors(0, points.shape[0], exact)
    sq_norms, offsets, origin, powers = (
        put_part(1, np.float64, lambda a, b, vector=vector: vector[a:b].reshape(-1, 1))
        if vector is not vectors.powers or not (exact or points.plain)
        else None
        for vector in vectors
    )
    assert sq_norms is not None
    assert offsets is not None
    assert origin is not None
    unit, length = units(points, points, exact)
    return DeviceRows(
        n,
        unit,
        length,
        held.get("values"),
        held.get("inner"),
        held.get("apart"),
        sq_norms,
        offsets,
        origin,
        powers,
        points.factor if contents.get("apart") == "apart" else 1.0,
        held.get("domain"),
    )


def put(device: Device, stream: Any, array: NDArray[Any], block: Block) -> None:
    """Copy an array to the device; returns when it is there."""
    if array.shape != (block.rows, block.columns):  # a block of one row would take the first of several
        raise ValueError(f"put: {array.shape} values into a block of {block.rows} x {block.columns}")
    _put(device, stream, block, lambda a, b: array[a:b])


def fetch(device: Device, stream: Any, block: Block) -> NDArray[Any]:
    """A block of the device as an array of its own."""
    result = np.empty((block.rows, block.columns), block.dtype)
    for a, b in _chunks(block):
        part = block.part((a, b))
        buffer = device.host(part.nbytes)
        device.copy_out(stream, part, buffer)
        device.synchronise(device.record(stream))
        result[a:b] = buffer.view(block.dtype).reshape(b - a, block.columns)
        device.release_host(buffer)
    return result


def _put(device: Device, stream: Any, block: Block, make: Any) -> None:
    for a, b in _chunks(block):
        part = block.part((a, b))
        buffer = device.host(part.nbytes)
        buffer.view(block.dtype).reshape(b - a, block.columns)[...] = make(a, b)
        device.copy_in(stream, buffer, part)
        device.synchronise(device.record(stream))
        device.release_host(buffer)


def _chunks(block: Block) -> list[Span]:
    height = max(1, 2**28 // max(1, block.columns * block.dtype.itemsize))
    return [(a, min(a + height, block.rows)) for a in range(0, block.rows, height)]


def _centred(points: Points, start: int, stop: int, padded: int) -> NDArray[np.int8]:
    rows = np.zeros((stop - start, padded), np.int8)
    # In the dtype of the values, where the difference wraps around: only its lowest eight bits count.
    values = points.values[start:stop]
    centre = np.array(points.centre).astype(values.dtype)
    np.subtract(values, centre, out=rows[:, : points.shape[1]].view(np.uint8), casting="unsafe")
    return rows


def _strips_of(kernel: Kernel, exact: bool) -> dict[str, np.dtype[Any]]:
    """What of `PairBlocks` k needs of every pair, by the numbers that hold it."""
    needs, float64 = kernel.needs, np.dtype(np.float64)
    strips: dict[str, np.dtype[Any]] = {}
    if Needs.L1_DISTANCES in needs:
        strips["l1"] = float64
    if Needs.FUNCTION in needs:
        strips["user"] = float64
    if exact and needs & PRODUCTS:
        strips["dot"] = np.dtype(np.int32)
    elif Needs.DISTANCES in needs:
        strips["dot"] = float64
    if Needs.INNER_PRODUCTS in needs and not exact:
        strips["inner"] = float64
    return strips


def pair_bytes(kernel: Kernel, exact: bool) -> int:
    """Bytes of the strips of `Strips` for every pair of a tile."""
    return sum(dtype.itemsize for dtype in _strips_of(kernel, exact).values())


class Strips:
    """Evaluates k between any two sets of rows on the device, a strip of inner products at a time."""

    def __init__(self, device: Device, kernel: Kernel, exact: bool, height: int, width: int) -> None:
        self.device, self.kernel, self.exact = device, kernel, exact
        strips = {
            name: device.slab.take(height, width, dtype) for name, dtype in _strips_of(kernel, exact).items()
        }
        self._dot, self._inner, self._l1, self._user = map(strips.get, ("dot", "inner", "l1", "user"))
        self._height, self._width = height, width
        self.epilogue = take_epilogue(device.slab, kernel)

    def prepare(self, stream: Any) -> None:
        """Copy the table of terms to the device."""
        put(self.device, stream, table(self.epilogue.terms), self.epilogue.table)

    def evaluate(
        self,
        stream: Any,
        rows: DeviceRows,
        columns: DeviceRows,
        out: Block,
        symmetric: Symmetric | None = None,
    ) -> None:
        """out_ij <- k(x_i, x_j); always on the same stream, whose strip of products is used again and again."""
        device = self.device
        for left in range(0, out.columns, self._width):
            right = min(left + self._width, out.columns)
            there = columns.part((left, right))
            for a in range(0, out.rows, self._height):
                b = min(a + self._height, out.rows)
                here, target = rows.part((a, b)), out.part((a, b), (left, right))
                corner = (
                    None
                    if symmetric is None
                    else replace(symmetric, row=symmetric.row + a, column=symmetric.column + left)
                )
                pairs = self._pairs(stream, here, there)
                device.evaluate(stream, self.epilogue, pairs, here, there, target, corner)

    def _pairs(self, stream: Any, rows: DeviceRows, columns: DeviceRows) -> PairBlocks:
        """Form what k needs of every pair."""
        device = self.device
        dot, inner, l1, user = (
            self._cut(block, rows.n, columns.n) for block in (self._dot, self._inner, self._l1, self._user)
        )
        if dot is not None:
            assert rows.values is not None
            assert columns.values is not None
            device.gemm(stream, 1.0, rows.values, columns.values, 0.0, dot, transpose_b=True)
        if inner is not None:
            assert rows.inner is not None
            assert columns.inner is not None
            if dot is not None and (rows.inner, columns.inner) == (rows.values, columns.values):
                inner = dot
            else:
                device.gemm(stream, 1.0, rows.inner, columns.inner, 0.0, inner, transpose_b=True)
        if l1 is not None:
            device.l1_distances(stream, rows, columns, l1)
        if user is not None:
            device.user_values(stream, self.kernel, rows, columns, user)
        return PairBlocks(dot, inner, l1, user)

    @staticmethod
    def _cut(block: Block | None, rows: int, columns: int) -> Block | None:
        """Packed rows: a strip is as narrow as its tile."""
        return None if block is None else Block(block.offset, rows, columns, columns, block.dtype)


class Diagonals:
    """The exact diagonal of K on a device, and the one with a shift for each row beside it."""

    def __init__(self, device: Device, stream: Any, diagonal: Float) -> None:
        self._device, self._values = device, diagonal
        self._plain = self._put(stream, diagonal)
        self._shifted: Block | None = None

    def shift_by(self, stream: Any, shift: Float) -> None:
        self._shifted = self._put(stream, self._values + shift)

    def symmetric(self, corner: tuple[int, int], shift: Shift, both: bool) -> Symmetric:
        """What a tile with that corner has on its diagonal."""
        if not isinstance(shift, np.ndarray):
            return Symmetric(*corner, self._plain, shift, both)
        assert self._shifted is not None
        return Symmetric(*corner, self._shifted, 0.0, both)

    def _put(self, stream: Any, values: Float) -> Block:
        block = self._device.slab.take(len(values), 1, np.float64)
        put(self._device, stream, values.reshape(-1, 1), block)
        return block


class RowsGram:
    """K_ij = k(x_i, x_j) from rows on the device."""

    def __init__(self, device: Device, stream: Any, source: GramSource, height: int, width: int) -> None:
        if source.points is None or source.kernel is None:
            raise ValueError("rows of a K that is not generated")
        self.n, self.flops_per_entry = source.n, source.flops_per_entry
        self.device, self._source = device, source
        self.exact = as_int8(source.points)
        self.rows = put_rows(device, stream, source.points, source.kernel, self.exact)
        self._diagonals = Diagonals(device, stream, source.diagonal())
        self.strips = Strips(device, source.kernel, self.exact, height, width)
        self.strips.prepare(stream)

    def diagonal(self) -> Float:
        return self._source.diagonal()

    def fill(
        self, stream: Any, rows: Span, columns: Span, out: Block, shift: Shift = 0.0, both: bool = False
    ) -> None:
        symmetric = self._diagonals.symmetric((rows[0], columns[0]), shift, both)
        self.strips.evaluate(stream, self.rows.part(rows), self.rows.part(columns), out, symmetric)

    def shift_by(self, stream: Any, shift: Float) -> None:
        self._diagonals.shift_by(stream, shift)

    def resident(self, exact: bool) -> tuple[DeviceRows, Strips] | None:
        return (self.rows, self.strips) if exact == self.exact else None


class HostGram:
    """Any Gram source: tiles are filled on the host and copied in, so the link sets the pace."""

    def __init__(self, device: Device, source: GramSource, backend: CpuBackend, height: int) -> None:
        self.n, self.flops_per_entry = source.n, source.flops_per_entry
        self.device, self._source, self._backend, self._height = device, source, backend, height

    def diagonal(self) -> Float:
        return self._source.diagonal()

    def fill(
        self, stream: Any, rows: Span, columns: Span, out: Block, shift: Shift = 0.0, both: bool = False
    ) -> None:
        device = self.device
        block = self._source.columns(columns[0], columns[1], self._backend)
        for a in range(rows[0], rows[1], self._height):
            b = min(a + self._height, rows[1])
            values = np.empty((b - a, columns[1] - columns[0]))
            block.fill(a, b, values)
            if np.any(shift):
                index = np.arange(max(a, columns[0]), min(b, columns[1]))
                values[index - a, index - columns[0]] += (
                    shift[index] if isinstance(shift, np.ndarray) else shift
                )
            buffer = device.host(values.size * out.dtype.itemsize)
            buffer.view(out.dtype).reshape(values.shape)[...] = values
            device.copy_in(stream, buffer, out.part((a - rows[0], b - rows[0])))
            device.synchronise(device.record(stream))
            device.release_host(buffer)

    def shift_by(self, stream: Any, shift: Float) -> None: ...

    def resident(self, exact: bool) -> tuple[DeviceRows, Strips] | None:
        return None


def gram_row_bytes(source: GramSource) -> int:
    """Bytes of the slab for each row of K beside the factor."""
    if source.points is not None and source.kernel is not None:
        return row_bytes(source.points, source.kernel, as_int8(source.points))
    # Where K lies on a device, its diagonal, that of its products and a vector of zeros.
    return 0 if source.device is None else 24


def require_supported(kernel: Kernel) -> None:
    """Raise where k cannot be formed on a device."""
    program(kernel)
    if len(set(kernel.functions())) > 1:
        raise InputError(
            f"kernel: {kernel!r} holds more than one function of the user, expected at most one on a device; "
            "write them as one function, or use device='cpu'"
        )
