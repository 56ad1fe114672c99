"""A share's arithmetic on the GPU of its worker: what comes with a message passes through the host, blocks do not.

At a step the block row that came is copied in once, and its products with own rows follow, in the order of one process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kernelfit.cluster.arithmetic import Blocks, Built, Part
from kernelfit.cluster.deal import AT_ONCE
from kernelfit.cluster.device_costs import passing_bytes, predicted_bytes, resident_rows
from kernelfit.cluster.device_tiles import DeviceTiles
from kernelfit.cluster.tiles import Tiles
from kernelfit.device.cholesky import DIAGONAL_STRIPS
from kernelfit.device.completion import require_positive
from kernelfit.device.gram import as_int8, fetch, gram_row_bytes, open_gram, put, put_rows
from kernelfit.device.product import DeviceProducts, ProductSpace, predict
from kernelfit.device.protocol import Block, Device
from kernelfit.device.triangular import solve_right
from kernelfit.gram.points import Points
from kernelfit.linalg.product import Product
from kernelfit.storage.panel_file import PanelFile
from kernelfit.typing import Float, Span


class DeviceArithmetic:
    """The operations of `kernelfit.cluster.arithmetic.Arithmetic` on a device, which it closes with itself.

    Rows of L for which the slab has no room lie in `host`; where others read every block from a `file`, the rest is
    written there. `columns` right-hand sides are on the device at a time.
    """

    def __init__(
        self, part: Part, device: Device, host: Tiles, columns: int, file: PanelFile | None = None
    ) -> None:
        self.part, self.device, self.dtype = part, device, host.dtype
        deal, layout, slab = part.deal, part.deal.layout, device.slab
        n, width, size = layout.n, layout.width, self.dtype.itemsize
        self._deal, self._stream = deal, device.stream("main")
        self._gram = open_gram(device, self._stream, part.source, part.backend, width, width)
        if isinstance(part.shift, np.ndarray):
            self._gram.shift_by(self._stream, part.shift)
        self._row = slab.take(layout.count * width, width, self.dtype)
        self._square, self._saved = (slab.take(width, width, self.dtype) for _ in range(2))
        work = max(device.potrf_workspace(order, self.dtype) for order in layout.orders)
        self._work = slab.take(1, max(1, -(-work // size)), self.dtype)
        self._status = slab.take(1, 1, np.int32)
        self._space = ProductSpace(
            slab.take(n, columns, np.float64),
            slab.take(n, columns, np.float64),
            slab.take(n, 1, np.float64),
            slab.take(width, width, np.float64),
        )
        beside = passing_bytes(layout, size) + predicted_bytes(layout, gram_row_bytes(part.source))
        room = slab.capacity - slab.used - beside
        resident = resident_rows(deal, part.index, size, room)
        self._early: dict[int, Blocks] = {}
        self._tiles = DeviceTiles(device, self._stream, deal, resident, host, file)
        device.synchronise()

    # -- factor -------------------------------------------------------------------------------------------------

    def load(self, i: int, k: int) -> None:
        self._tiles.load(i, k)

    def update(self, rows: Sequence[int], j: int, early: Blocks) -> Built:
        """Nothing yet: a block is built in one go, as there is room for one that does not stay on the device."""
        self._early = {k: blocks for k, blocks in self._early.items() if k >= j - AT_ONCE} | {j: early}
        return Built()

    def finish(self, rows: Sequence[int], j: int, late: Blocks) -> Built:
        device, stream, span, built = self.device, self._stream, self._deal.span(j), Built()
        width = self._deal.layout.width
        *above, square = [*self._early[j], *late]
        for k, block in enumerate(above):
            put(device, stream, block, self._row.part((k * width, (k + 1) * width)))
        put(device, stream, square, self._square)
        for i in rows:
            target = self._tiles.begin(i, j)
            self._gram.fill(stream, self._deal.span(i), span, target)
            for k in range(j):
                left = self._row.part((k * width, (k + 1) * width))
                device.gemm(stream, -1.0, self._tiles.read(i, k), left, 1.0, target, transpose_b=True)
            solve_right(device, stream, self._square, target)
            self._put(i, j, target, built)
        return built

    def factor_square(self, j: int) -> Built:
        device, stream, span, built = self.device, self._stream, self._deal.span(j), Built()
        target = self._tiles.begin(j, j)
        self._gram.fill(stream, span, span, target, self.part.shift)
        for k in range(j):
            tile = self._tiles.read(j, k)
            # Strips that end at the diagonal, so that less is computed above it.
            for start, stop in _strips(target.rows):
                rows, columns = tile.part((start, stop)), tile.part((0, stop))
                device.gemm(
                    stream, -1.0, rows, columns, 1.0, target.part((start, stop), (0, stop)), transpose_b=True
                )
        saved = _packed(self._saved, target.rows, target.columns)
        device.copy(stream, target, saved)
        device.potrf(stream, target, self._work, self._status)
        info = int(fetch(device, stream, self._status)[0, 0])
        diagonal = fetch(device, stream, target.diagonal())[:, 0]
        require_positive(info, diagonal, j, span[0], lambda: fetch(device, stream, saved))
        self._put(j, j, target, built)
        return built

    def _put(self, i: int, k: int, block: Block, built: Built) -> None:
        crc = self._tiles.put(i, k, block)
        if crc is not None:
            built.checksums.append((k, *self._deal.span(i), crc))

    def early(self, j: int) -> Blocks:
        return self._tiles.blocks(j, 0, self._deal.first_late(j))

    def late(self, j: int) -> Blocks:
        return self._tiles.blocks(j, self._deal.first_late(j), j + 1)

    def diagonal(self, j: int) -> NDArray[Any]:
        return self._tiles.diagonal(j)

    # -- solve --------------------------------------------------------------------------------------------------

    def solve(self, j: int, x: NDArray[Any], *, transposed: bool = False) -> None:
        for columns in self._chunks(x.shape[1]):
            block = self._put_vectors(self._space.vectors, x[:, columns])
            self.device.solve_left(self._stream, self._tiles.read(j, j), block, transposed=transposed)
            x[:, columns] = fetch(self.device, self._stream, block)

    def subtract(
        self, rows: Sequence[int], j: int, x: NDArray[Any], blocks: Mapping[int, NDArray[Any]]
    ) -> None:
        for columns in self._chunks(x.shape[1]):
            factor = self._put_vectors(self._space.vectors, x[:, columns])
            targets = self._put_vectors(self._space.applied, _stacked(rows, blocks, columns))
            for i, span in self._spans(rows):
                tile = self._tiles.read(i, j)
                self.device.gemm(self._stream, -1.0, tile, factor, 1.0, targets.part(span))
            values = fetch(self.device, self._stream, targets)
            for i, (start, stop) in self._spans(rows):
                blocks[i][:, columns] = values[start:stop]

    def transposed_sum(self, rows: Sequence[int], j: int, blocks: Mapping[int, NDArray[Any]]) -> NDArray[Any]:
        total = np.empty((self._deal.height(j), blocks[rows[0]].shape[1]), self.dtype)
        for columns in self._chunks(total.shape[1]):
            factors = self._put_vectors(self._space.vectors, _stacked(rows, blocks, columns))
            target = _packed(self._space.applied, len(total), factors.columns, self.dtype)
            for i, span in self._spans(rows):
                tile, beta = self._tiles.read(i, j), 0.0 if i == rows[0] else 1.0
                self.device.gemm(self._stream, 1.0, tile, factors.part(span), beta, target, transpose_a=True)
            total[:, columns] = fetch(self.device, self._stream, target)
        return total

    # -- products with K ----------------------------------------------------------------------------------------

    def product(self, vectors: Float, panels: Iterable[int], with_norm: bool) -> Product:
        """What these panels of K, formed anew in float64, give of K V."""
        products = DeviceProducts(self._stream, self._gram, self._deal.layout, self._space)
        return products.product(
            vectors, lambda: nullcontext(lambda amount: None), with_norm=with_norm, panels=panels
        )

    def predict(self, rows: Points, alpha: Float) -> Float | None:
        points, kernel = self.part.source.points, self.part.source.kernel
        if points is None or kernel is None:
            return None
        device, stream, exact = self.device, self._stream, as_int8(points, rows)
        resident = self._gram.resident(exact)
        if resident is None:  # bytes are products of integers here, of floats with rows that are none
            return None
        train, strips = resident
        values, height = np.empty((rows.shape[0], alpha.shape[1])), self._deal.layout.width
        mark = device.slab.mark()
        for columns in self._chunks(alpha.shape[1]):
            weights = self._put_vectors(self._space.vectors, alpha[:, columns], np.float64)
            for a in range(0, len(values), height):
                b = min(a + height, len(values))
                test = put_rows(device, stream, rows, kernel, exact, (a, b))
                out = _packed(self._space.applied, b - a, weights.columns)
                predict(device, stream, strips, test, train, weights, self._space.tile, out)
                values[a:b, columns] = fetch(device, stream, out)
                device.slab.release(mark)
        return values

    def sync(self) -> None:
        self._tiles.sync()

    def close(self) -> None:
        self._early.clear()
        self._tiles.close()
        self.device.close()

    # -- inside -------------------------------------------------------------------------------------------------

    def _put_vectors(self, space: Block, values: NDArray[Any], dtype: DTypeLike | None = None) -> Block:
        """In numbers of L unless others are asked for."""
        block = _packed(space, len(values), values.shape[1], self.dtype if dtype is None else dtype)
        put(self.device, self._stream, values, block)
        return block

    def _chunks(self, count: int) -> list[slice]:
        step = self._space.vectors.columns
        return [slice(a, min(a + step, count)) for a in range(0, count, step)]

    def _spans(self, rows: Sequence[int]) -> list[tuple[int, Span]]:
        """Where block rows lie of those that are stacked."""
        ends = np.cumsum([self._deal.height(i) for i in rows]).tolist()
        return [(i, (end - self._deal.height(i), end)) for i, end in zip(rows, ends, strict=True)]


def _packed(block: Block, rows: int, columns: int, dtype: DTypeLike | None = None) -> Block:
    """The beginning of a block as a matrix without gaps."""
    return Block(block.offset, rows, columns, columns, block.dtype if dtype is None else np.dtype(dtype))


def _strips(order: int) -> list[Span]:
    edges = [order * s // DIAGONAL_STRIPS for s in range(DIAGONAL_STRIPS + 1)]
    return [(a, b) for a, b in pairwise(edges) if a < b]


def _stacked(rows: Sequence[int], blocks: Mapping[int, NDArray[Any]], columns: slice) -> NDArray[Any]:
    return np.concatenate([blocks[i][:, columns] for i in rows])
