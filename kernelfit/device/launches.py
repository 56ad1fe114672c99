"""Every launch of a kernel of `cuda_kernels/` as data: source, entry point, grid, block and arguments.

Nothing here needs a card, so that tests check the names and arguments against the sources, and run the same launches
through the sources compiled for the host. All whole numbers are passed as 64-bit ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernelfit.device.protocol import Block, DeviceRows, Epilogue, Net, Symmetric, floats_of
from kernelfit.errors import InputError

Address = Callable[[Block], int]
Triple = tuple[int, int, int]

#: limits of `cuda_kernels/random_conv.cuh`
MOST_WINDOWS, WIDEST_RESPONSES = 16, 128
_BYTE_TILE, _L1_TILE, _CONV_FILTERS = 128, 64, 64
# Grids are striding loops: this many blocks keep every multiprocessor of the largest card busy.
_MOST_BLOCKS = 4_096
_MOST_BLOCKS_Y = 65_535

_SHORT = {
    np.dtype(np.float64): "f64",
    np.dtype(np.float32): "f32",
    np.dtype(np.int32): "i32",
    np.dtype(np.uint8): "u8",
}


@dataclass(frozen=True)
class Launch:
    """Arguments are addresses (np.uint64), whole numbers (np.int64) and float64."""

    source: str
    entry: str
    grid: Triple
    block: Triple
    arguments: tuple[Any, ...]


def evaluate(
    address: Address,
    epilogue: Epilogue,
    dot: Block | None,
    l1: Block | None,
    user: Block | None,
    rows: DeviceRows,
    columns: DeviceRows,
    out: Block,
    symmetric: Symmetric | None,
) -> Launch:
    """`Device.evaluate`; the inputs are packed, or strided alike."""
    inputs = [block for block in (dot, l1, user) if block is not None]
    strides = {block.stride for block in inputs}
    if len(strides) > 1:
        raise ValueError(f"evaluate: inputs with strides {strides}")
    kind = dot.dtype if dot is not None else np.dtype(np.float64)
    vectors = (
        *(rows.sq_norms, rows.offsets, rows.origin),
        *(columns.sq_norms, columns.offsets, columns.origin),
    )
    if symmetric is None:
        corner = (_NULL, np.int64(0), np.int64(0), np.float64(0.0), np.int64(0))
    else:
        corner = (
            _pointer(address, symmetric.diagonal),
            np.int64(symmetric.row),
            np.int64(symmetric.column),
            np.float64(symmetric.shift),
            np.int64(symmetric.both),
        )
    floats = floats_of(epilogue.kernel, rows, columns)
    if floats is None:
        differences = (_NULL, np.int64(0), _NULL, np.int64(0), np.int64(0))
    else:
        differences = (
            *(_matrix(address, floats[0])),
            *(_matrix(address, floats[1])),
            np.int64(floats[0].columns),
        )
    return Launch(
        "gram.cu",
        f"evaluate_{_SHORT[kind]}_{_SHORT[out.dtype]}",
        _over(out.rows, out.columns),
        (32, 8, 1),
        (
            *(_pointer(address, block) for block in (dot, l1, user)),
            np.int64(strides.pop() if strides else 0),
            *(_pointer(address, vector) for vector in vectors),
            np.float64(rows.unit),
            *differences,
            _pointer(address, epilogue.table),
            np.int64(epilogue.table.rows),
            *corner,
            *_matrix(address, out),
            np.int64(out.rows),
            np.int64(out.columns),
        ),
    )


def l1_distances(address: Address, rows: Block, columns: Block, out: Block) -> Launch:
    return Launch(
        "gram.cu",
        "l1_distances",
        _tiles(out, _L1_TILE),
        (16, 16, 1),
        (
            *_matrix(address, rows),
            *_matrix(address, columns),
            np.int64(rows.columns),
            *_matrix(address, out),
            np.int64(out.rows),
            np.int64(out.columns),
        ),
    )


def byte_products(address: Address, rows: Block, columns: Block, out: Block, how: str) -> Launch:
    """out <- rows columns^T for packed int8 of a multiple of 64 columns; how: `dp4a` or `mma`."""
    if not (rows.stride == rows.columns == columns.stride == columns.columns) or rows.columns % 64:
        raise ValueError(f"byte_products: rows of {rows.columns} and {columns.columns} bytes")
    return Launch(
        "products.cu",
        f"byte_products_{how}",
        _tiles(out, _BYTE_TILE),
        (256, 1, 1),
        (
            _pointer(address, rows),
            _pointer(address, columns),
            np.int64(rows.columns // 4),
            *_matrix(address, out),
            np.int64(out.rows),
            np.int64(out.columns),
        ),
    )


#: what `shape_square` does; see `cuda_kernels/panels.cuh`
LOWER, IDENTITY, MIRRORED = range(3)


def shape_square(address: Address, block: Block, shape: int) -> Launch:
    """Zeros above the diagonal, the identity, or the mirror image of what stands below."""
    return Launch(
        "panels.cu",
        f"shape_square_{_SHORT[block.dtype]}",
        _over(block.rows, block.columns),
        (32, 8, 1),
        (
            *_matrix(address, block),
            np.int64(block.rows),
            np.int64(block.columns),
            np.int64(shape),
        ),
    )


def add_panel(address: Address, block: Block, out: Block) -> Launch:
    """out += block, float32 to either."""
    return Launch(
        "panels.cu",
        f"add_panel_{_SHORT[out.dtype]}",
        _over(out.rows, out.columns),
        (32, 8, 1),
        (
            *_matrix(address, block),
            *_matrix(address, out),
            np.int64(out.rows),
            np.int64(out.columns),
        ),
    )


def absolute_row_sums(address: Address, tile: Block, out: Block) -> Launch:
    return Launch(
        "panels.cu",
        "absolute_row_sums",
        (-(-tile.rows // 8), 1, 1),
        (32, 8, 1),
        (
            *_matrix(address, tile),
            _pointer(address, out),
            np.int64(tile.rows),
            np.int64(tile.columns),
        ),
    )


def column_sums(address: Address, tile: Block, out: Block, squares: bool) -> Launch:
    return Launch(
        "panels.cu",
        f"column_sums_{_SHORT[tile.dtype]}",
        (-(-tile.columns // 32), 1, 1),
        (32, 8, 1),
        (
            *_matrix(address, tile),
            _pointer(address, out),
            np.int64(tile.rows),
            np.int64(tile.columns),
            np.int64(squares),
        ),
    )


def require_net(responses: tuple[int, int], windows: int) -> None:
    """Raise where the kernel has no room for such images or windows."""
    if windows > MOST_WINDOWS or responses[1] > WIDEST_RESPONSES:
        raise InputError(
            f"image_shape: {windows} pooling windows and {responses[1]} responses a row, expected at most "
            f"{MOST_WINDOWS} and {WIDEST_RESPONSES} on a device; use --device cpu"
        )


def patch_statistics(address: Address, net: Net, images: Block, statistics: Block) -> Launch:
    """statistics (images, 2 positions) float32."""
    positions = images.rows * net.responses[0] * net.responses[1]
    return Launch(
        "random_conv.cu",
        f"patch_statistics_{_SHORT[images.dtype]}",
        (min(_MOST_BLOCKS, -(-positions // 256)), 1, 1),
        (256, 1, 1),
        (*_image(address, net, images), _pointer(address, statistics), np.int64(images.rows)),
    )


def random_conv(address: Address, net: Net, images: Block, statistics: Block, out: Block) -> Launch:
    """out (images, 2 windows filters) float32."""
    filters = net.folded.columns
    return Launch(
        "random_conv.cu",
        f"random_conv_{_SHORT[images.dtype]}",
        (images.rows, -(-filters // _CONV_FILTERS), 1),
        (256, 1, 1),
        (
            *_image(address, net, images),
            _pointer(address, statistics),
            _pointer(address, net.places),
            *_matrix(address, net.folded),
            np.int64(filters),
            _pointer(address, net.above),
            _pointer(address, net.below),
            _pointer(address, net.row_spans),
            np.int64(net.row_spans.rows),
            _pointer(address, net.column_spans),
            np.int64(net.column_spans.rows),
            np.float64(net.step),
            *_matrix(address, out),
        ),
    )


_NULL = np.uint64(0)


def _pointer(address: Address, block: Block | None) -> np.uint64:
    return _NULL if block is None else np.uint64(address(block))


def _matrix(address: Address, block: Block) -> tuple[np.uint64, np.int64]:
    return _pointer(address, block), np.int64(block.stride)


def _image(address: Address, net: Net, images: Block) -> tuple[Any, ...]:
    if not images.contiguous or images.columns != np.prod(net.image):
        raise ValueError(f"images of {images.columns} values, expected {net.image}")
    return (_pointer(address, images), *map(np.int64, net.image), *map(np.int64, net.patch))


def _over(rows: int, columns: int) -> Triple:
    """A grid of blocks of 32 x 8 threads for loops that stride over rows and columns."""
    across = -(-columns // 32)
    return across, max(1, min(-(-rows // 8), _MOST_BLOCKS_Y)), 1


def _tiles(out: Block, side: int) -> Triple:
    down = -(-out.rows // side)
    if down > _MOST_BLOCKS_Y:
        raise ValueError(f"a tile of {out.rows} rows: too many for one launch")
    return -(-out.columns // side), down, 1
