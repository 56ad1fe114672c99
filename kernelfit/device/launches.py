"""Every launch of a kernel of `cuda_kernels/` as data: source, entry point, grid, block and arguments.

Nothing here needs a GPU, so that tests check the names and arguments against the sources, and run the same launches
through the sources compiled for the host. All integers are passed as 64-bit ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernelfit.device.protocol import (
    Block,
    ByteFilters,
    DeviceRows,
    Epilogue,
    Net,
    PairBlocks,
    Symmetric,
    factors_of,
    floats_of,
)
from kernelfit.errors import InputError

Address = Callable[[Block], int]
Triple = tuple[int, int, int]

#: limits of `cuda_kernels/random_conv.cuh`
MAX_WINDOWS, MAX_RESPONSES = 16, 128
#: of `cuda_kernels/byte_conv.cuh`: positions at a time, words of a patch, bytes of the lines that the positions lie in
_PIXEL_POSITIONS, _PIXEL_WORDS, _PIXEL_BAND = 64, 256, 64 * 72
_BYTE_TILE, _L1_TILE, _CONV_FILTERS, _SUM_COLUMNS = 128, 64, 64, 8
# Grids are striding loops: this many blocks keep every multiprocessor of the largest GPU busy.
_MAX_BLOCKS = 4_096
_MAX_BLOCKS_Y = 65_535

_SHORT = {
    np.dtype(np.float64): "f64",
    np.dtype(np.float32): "f32",
    np.dtype(np.int32): "i32",
    np.dtype(np.uint8): "u8",
}


_POINTER, _INTEGER, _NUMBER = np.uint64, np.int64, np.float64
_SIDE = np.dtype(
    [
        ("sq_norms", _POINTER),
        ("offsets", _POINTER),
        ("origin", _POINTER),
        ("powers", _POINTER),
        ("apart", _POINTER),
        ("stride", _INTEGER),
        ("factor", _NUMBER),
    ]
)
#: `TileArguments` of `cuda_kernels/gram.cuh`, field for field
TILE = np.dtype(
    [
        ("dot", _POINTER),
        ("inner", _POINTER),
        ("l1", _POINTER),
        ("user", _POINTER),
        ("input_stride", _INTEGER),
        ("rows", _SIDE),
        ("columns", _SIDE),
        ("unit", _NUMBER),
        ("length", _NUMBER),
        ("inner_length", _NUMBER),
        ("factor", _NUMBER),
        ("features", _INTEGER),
        ("table", _POINTER),
        ("terms", _INTEGER),
        ("diagonal", _POINTER),
        ("row", _INTEGER),
        ("column", _INTEGER),
        ("shift", _NUMBER),
        ("both", _INTEGER),
        ("out", _POINTER),
        ("out_stride", _INTEGER),
        ("height", _INTEGER),
        ("width", _INTEGER),
    ]
)


@dataclass(frozen=True)
class Launch:
    """Arguments are addresses (np.uint64), integers (np.int64), float64, or one structure: an array () of its dtype.

    `macros` leave in the source what is launched and nothing else; without them all of it is compiled.
    """

    source: str
    entry: str
    grid: Triple
    block: Triple
    arguments: tuple[Any, ...]
    macros: tuple[str, ...] = ()


def evaluate(
    address: Address,
    epilogue: Epilogue,
    pairs: PairBlocks,
    rows: DeviceRows,
    columns: DeviceRows,
    out: Block,
    symmetric: Symmetric | None,
) -> Launch:
    """`Device.evaluate`; the inputs are packed, or strided alike."""
    strides = {block.stride for block in pairs.given()}
    if len(strides) > 1:
        raise ValueError(f"evaluate: inputs with strides {strides}")
    if epilogue.table.rows != len(epilogue.terms):
        raise ValueError(f"evaluate: a table of {epilogue.table.rows} rows for {len(epilogue.terms)} terms")
    floats = floats_of(epilogue.kernel, rows, columns)
    tile = np.zeros((), TILE)
    # Where it is the same block `dot` serves as inner products: it may be `out`, and no other input may.
    inner = None if pairs.inner == pairs.dot else pairs.inner
    for name, block in (("dot", pairs.dot), ("inner", inner), ("l1", pairs.l1), ("user", pairs.user)):
        tile[name] = _pointer(address, block)
    tile["input_stride"] = strides.pop() if strides else 0
    *factors, tile["factor"] = factors_of(rows, columns)
    sides = zip(("rows", "columns"), (rows, columns), floats or (None, None), factors, strict=True)
    for name, side, apart, factor in sides:
        blocks = (side.sq_norms, side.offsets, side.origin, side.powers, apart)
        stride = 0 if apart is None else apart.stride
        tile[name] = (*(_pointer(address, block) for block in blocks), stride, factor)
    tile["unit"], tile["length"], tile["inner_length"] = columns.unit, columns.length, columns.inner_length
    tile["features"] = 0 if floats is None else floats[0].columns
    tile["table"], tile["terms"] = _pointer(address, epilogue.table), epilogue.table.rows
    if symmetric is not None:
        tile["diagonal"] = _pointer(address, symmetric.diagonal)
        tile["row"], tile["column"] = symmetric.row, symmetric.column
        tile["shift"], tile["both"] = symmetric.shift, symmetric.both
    tile["out"], tile["out_stride"] = _matrix(address, out)
    tile["height"], tile["width"] = out.rows, out.columns
    dtype = pairs.dot.dtype if pairs.dot is not None else np.dtype(np.float64)
    types = _SHORT[dtype], _SHORT[out.dtype]
    macros = (f"KERNELFIT_IN={types[0]}", f"KERNELFIT_OUT={types[1]}")
    entry = f"evaluate_{types[0]}_{types[1]}"
    return Launch("gram.cu", entry, _over(out.rows, out.columns), (32, 8, 1), (tile,), macros)


def l1_distances(address: Address, rows: DeviceRows, columns: DeviceRows, out: Block) -> Launch:
    assert rows.apart is not None
    assert columns.apart is not None
    return Launch(
        "l1.cu",
        "l1_distances",
        _tiles(out, _L1_TILE),
        (16, 16, 1),
        (
            *_matrix(address, rows.apart),
            *_matrix(address, columns.apart),
            np.int64(rows.apart.columns),
            *map(np.float64, factors_of(rows, columns)),
            *_matrix(address, out),
            np.int64(out.rows),
            np.int64(out.columns),
        ),
    )


def byte_products(address: Address, rows: Block, columns: Block, out: Block, how: str) -> Launch:
    """out <- rows columns^T for packed int8 of a multiple of 64 columns, both at multiples of 16; how: `mma` on the
    tensor cores, `words` there as well but without copies ahead, or `dp4a`."""
    if not (rows.stride == rows.columns == columns.stride == columns.columns) or rows.columns % 64:
        raise ValueError(f"byte_products: rows of {rows.columns} and {columns.columns} bytes")
    if address(rows) % 16 or address(columns) % 16:
        raise ValueError(f"byte_products: rows at {address(rows)} and {address(columns)}")
    return Launch(
        "products.cu",
        f"byte_products_{how}",
        _tiles(out, _BYTE_TILE),
        (128 if how == "mma" else 256, 1, 1),
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
        (-(-tile.columns // _SUM_COLUMNS), 1, 1),
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
    if windows > MAX_WINDOWS or responses[1] > MAX_RESPONSES:
        raise InputError(
            f"image_shape: {windows} pooling windows and {responses[1]} responses a row, expected at most "
            f"{MAX_WINDOWS} and {MAX_RESPONSES} on a device; use device='cpu'"
        )


def takes_bytes(image: Triple, patch: tuple[int, int]) -> bool:
    """Whether responses of images of bytes to `ByteFilters` fit into the kernel that forms them on tensor cores."""
    height, width, channels = image
    down, across = height - patch[0] + 1, width - patch[1] + 1
    lines = min(down, (_PIXEL_POSITIONS + across - 2) // across + 1) + patch[0] - 1
    words = patch[0] * -(-patch[1] * channels // 4)
    return lines * width * channels <= _PIXEL_BAND and words <= _PIXEL_WORDS and down * across < 2**31


def patch_statistics(address: Address, net: Net, images: Block, statistics: Block) -> Launch:
    """statistics (images, 2 positions) float32."""
    positions = images.rows * net.responses[0] * net.responses[1]
    return Launch(
        "random_conv.cu",
        f"patch_statistics_{_SHORT[images.dtype]}",
        (min(_MAX_BLOCKS, -(-positions // 256)), 1, 1),
        (256, 1, 1),
        (
            *_image(address, net, images),
            *map(np.float64, net.contrast),
            _pointer(address, statistics),
            np.int64(images.rows),
        ),
    )


def random_conv(address: Address, net: Net, images: Block, statistics: Block, out: Block) -> Launch:
    """out (images, 2 windows filters) float32."""
    if net.bytes is not None and images.dtype == np.uint8:
        return _random_conv_bytes(address, net, net.bytes, images, statistics, out)
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
            np.int64(net.power == 0.5),
            *_matrix(address, out),
        ),
    )


def _random_conv_bytes(
    address: Address, net: Net, filters: ByteFilters, images: Block, statistics: Block, out: Block
) -> Launch:
    if not takes_bytes(net.image, net.patch):
        raise ValueError(f"random_conv_bytes: images of {net.image}, patches of {net.patch}")
    if not filters.packed.contiguous or filters.packed.columns != 8 * filters.places.rows:
        raise ValueError(f"random_conv_bytes: filters of {filters.packed.columns} bytes")
    if filters.packed.columns % 64 or address(filters.packed) % 16:
        raise ValueError(f"random_conv_bytes: filters of {filters.packed.columns} bytes")
    count = filters.packed.rows
    return Launch(
        "byte_conv.cu",
        "random_conv_bytes",
        (images.rows, -(-count // _CONV_FILTERS), 1),
        (128, 1, 1),
        (
            *_image(address, net, images),
            _pointer(address, statistics),
            _pointer(address, filters.places),
            _pointer(address, filters.packed),
            _pointer(address, filters.units),
            np.int64(filters.packed.columns // 2),
            np.int64(count),
            _pointer(address, net.above),
            _pointer(address, net.below),
            _pointer(address, net.row_spans),
            np.int64(net.row_spans.rows),
            _pointer(address, net.column_spans),
            np.int64(net.column_spans.rows),
            np.float64(net.step),
            np.int64(net.power == 0.5),
            *_matrix(address, out),
        ),
    )


_NULL = np.uint64(0)


def _pointer(address: Address, block: Block | None) -> np.uint64:
    return _NULL if block is None else np.uint64(address(block))


def _matrix(address: Address, block: Block) -> tuple[np.uint64, np.int64]:
    return _pointer(address, block), np.int64(block.stride)


def _image(address: Address, net: Net, images: Block) -> tuple[Any, ...]:
    if not images.contiguous or images.columns != math.prod(net.image):
        raise ValueError(f"images of {images.columns} values, expected {net.image}")
    return (_pointer(address, images), *map(np.int64, net.image), *map(np.int64, net.patch))


def _over(rows: int, columns: int) -> Triple:
    """A grid of blocks of 32 x 8 threads for loops that stride over rows and columns."""
    across = -(-columns // 32)
    return across, max(1, min(-(-rows // 8), _MAX_BLOCKS_Y)), 1


def _tiles(out: Block, side: int) -> Triple:
    down = -(-out.rows // side)
    if down > _MAX_BLOCKS_Y:
        raise ValueError(f"a tile of {out.rows} rows: too many for one launch")
    return -(-out.columns // side), down, 1
