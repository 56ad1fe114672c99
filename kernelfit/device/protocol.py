"""What the scheduler needs of a device: one slab of memory, streams, events, and a dozen operations.

A device is storage first. All its memory is taken once, as one slab, and cut up by pure arithmetic; nothing is
allocated in mid-run. Every operation is put on a stream and returns at once; operations on one stream run in order,
those on different streams run in any order that `record` and `wait` leave open.

Two implementations: `kernelfit.device.cuda` and, for tests, `kernelfit.device.host`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kernelfit.errors import DeviceFullError
from kernelfit.kernels.base import PRODUCTS, Kernel
from kernelfit.typing import Span

#: what cuBLAS, `cp.async` and coalesced access want of the start of a block, in bytes
ALIGNMENT = 256


@dataclass(frozen=True)
class Block:
    """A row-major matrix in the slab: `rows` x `columns` numbers, rows `stride` numbers apart, columns adjacent.

    `offset` is in bytes from the start of the slab. All arithmetic is on Python's integers, which do not overflow.
    """

    offset: int
    rows: int
    columns: int
    stride: int
    dtype: np.dtype[Any]

    def part(self, rows: Span | None = None, columns: Span | None = None) -> Block:
        """Rows and columns a:b of this block."""
        top, bottom = rows if rows is not None else (0, self.rows)
        left, right = columns if columns is not None else (0, self.columns)
        if not (0 <= top <= bottom <= self.rows and 0 <= left <= right <= self.columns):
            raise ValueError(f"part {rows}, {columns} of a block {self.rows} x {self.columns}")
        start = self.offset + (top * self.stride + left) * self.dtype.itemsize
        return Block(start, bottom - top, right - left, self.stride, self.dtype)

    def diagonal(self) -> Block:
        """(m, 1), the entries (i, i)."""
        return Block(self.offset, min(self.rows, self.columns), 1, self.stride + 1, self.dtype)

    @property
    def contiguous(self) -> bool:
        return self.stride == self.columns or self.rows <= 1

    @property
    def span(self) -> Span:
        """Bytes from the first entry to the end of the last one."""
        if self.rows == 0 or self.columns == 0:
            return self.offset, self.offset
        last = (self.rows - 1) * self.stride + self.columns
        return self.offset, self.offset + last * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of its numbers, without what lies between rows."""
        return self.rows * self.columns * self.dtype.itemsize


def aligned(nbytes: int) -> int:
    """`nbytes` rounded up to whole units of `ALIGNMENT`."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


class Slab:
    """Cuts blocks off one range of bytes, one after the other; what was taken last may be given back."""

    def __init__(self, capacity: int, name: str) -> None:
        self.capacity, self.name = capacity, name
        self.used = 0

    def take(self, rows: int, columns: int, dtype: DTypeLike, stride: int | None = None) -> Block:
        """A block of its own; raises `DeviceFullError` where the slab is too small for it."""
        kind = np.dtype(dtype)
        stride = columns if stride is None else stride
        needed = aligned(rows * stride * kind.itemsize)
        if self.used + needed > self.capacity:
            raise DeviceFullError(
                f"device: {needed:,} bytes wanted on {self.name}, {self.capacity - self.used:,} of "
                f"{self.capacity:,} left; give more device memory or fewer rows"
            )
        block = Block(self.used, rows, columns, stride, kind)
        self.used += needed
        return block

    def mark(self) -> int:
        return self.used

    def release(self, mark: int) -> None:
        """Give back everything taken since `mark`; nothing on the device may use it any more."""
        self.used = mark


@dataclass(frozen=True)
class DeviceRows:
    """Rows of points on the device, and what a tile needs to know of each; None where nothing reads it.

    `values` holds centred int8 (columns padded with zeros), or centred float64 for distances; `inner` float64 rows for
    products about the origin; `apart` float64 rows to be subtracted: `factor` times their differences are in the
    kernel's domain; `domain` float64 rows in that domain, for the user's function. Blocks with the same contents are
    the same. The vectors are (n, 1) float64, and they, `unit` and `length` as `kernelfit.gram.tile.PairTile` has them.
    """

    n: int
    unit: float
    length: float
    values: Block | None
    inner: Block | None
    apart: Block | None
    sq_norms: Block
    offsets: Block
    origin: Block
    powers: Block | None
    factor: float = 1.0
    domain: Block | None = None

    @property
    def exact(self) -> bool:
        """Whether products are those of integers."""
        return self.values is not None and self.values.dtype == np.int8

    @property
    def inner_length(self) -> float:
        """The length that inner products and norms are in units of."""
        return self.length if self.exact else 1.0

    def vectors(self) -> list[Block]:
        return [self.sq_norms, self.offsets, self.origin, *([] if self.powers is None else [self.powers])]

    def part(self, rows: Span) -> DeviceRows:
        def cut(block: Block | None) -> Any:
            return None if block is None else block.part(rows)

        return replace(
            self,
            n=rows[1] - rows[0],
            values=cut(self.values),
            inner=cut(self.inner),
            apart=cut(self.apart),
            sq_norms=cut(self.sq_norms),
            offsets=cut(self.offsets),
            origin=cut(self.origin),
            powers=cut(self.powers),
            domain=cut(self.domain),
        )


@dataclass(frozen=True)
class Term:
    """A factor of a product of kernels: the number of its formula in `kernelfit.kernels.FAMILIES`, its constants."""

    family: int
    #: whether a new product begins here, to be added to the ones before
    opens: bool
    order: int = 0
    a: float = 0.0
    b: float = 0.0


@dataclass(frozen=True)
class Epilogue:
    """k as a sum of products of terms, with the block that holds them on the device."""

    kernel: Kernel
    terms: tuple[Term, ...]
    table: Block


@dataclass(frozen=True)
class PairBlocks:
    """What is known of every pair of a tile (h, w): products of `DeviceRows.values` and of `DeviceRows.inner`
    (without these `dot` serves), L1 distances, values of the user's function; None where k does not ask."""

    dot: Block | None = None
    inner: Block | None = None
    l1: Block | None = None
    user: Block | None = None

    def given(self) -> list[Block]:
        return [block for block in (self.dot, self.inner, self.l1, self.user) if block is not None]


def floats_of(kernel: Kernel, rows: DeviceRows, columns: DeviceRows) -> tuple[Block, Block] | None:
    """The float64 rows of a tile whose products were rounded, for its close and its parallel pairs; None where products
    are exact, or none is asked for.
    """
    if not kernel.needs & PRODUCTS or rows.exact or rows.apart is None or columns.apart is None:
        return None
    return rows.apart, columns.apart


def factors_of(rows: DeviceRows, columns: DeviceRows) -> tuple[float, float, float]:
    """Factors of rows, of columns, and of their differences: one product for each difference where both have the same,
    and nothing is rounded before it is subtracted."""
    if rows.factor == columns.factor:
        return 1.0, 1.0, rows.factor
    return rows.factor, columns.factor, 1.0


@dataclass(frozen=True)
class Symmetric:
    """The tile belongs to a symmetric K, its corner is (row, column), and its diagonal is `diagonal`[i] + shift,
    taken from (n, 1) float64. Unless `both` triangles are wanted, zeros stand above the diagonal."""

    row: int
    column: int
    diagonal: Block
    shift: float
    both: bool


@dataclass(frozen=True)
class ByteFilters:
    """Filters as integers 256 h + l of signed bytes, times a unit, for responses to images of bytes that are exact but
    for two products: where each word of four bytes of a patch lies from its first pixel (w, 1) int32, h and then l of
    every filter (f, 8 w) int8, zero where a word holds more than the patch, and units (f, 1) float32."""

    places: Block
    packed: Block
    units: Block


@dataclass(frozen=True)
class Net:
    """A fitted random convolution net on the device: sizes, the step whose multiples features are (0: as they are), the
    root and offset of patches' contrast, the power (1 or 1/2) of pooled responses, where each value of a patch lies
    from its first pixel (d, 1) int64, folded filters (d, f), thresholds (f, 1), and the spans of the pooling windows
    (m, 2) int64. Images of bytes meet `bytes` in place of `folded` where it is given."""

    image: tuple[int, int, int]
    patch: tuple[int, int]
    step: float
    contrast: tuple[float, float]
    power: float
    places: Block
    folded: Block
    above: Block
    below: Block
    row_spans: Block
    column_spans: Block
    bytes: ByteFilters | None = None

    @property
    def responses(self) -> tuple[int, int]:
        return self.image[0] - self.patch[0] + 1, self.image[1] - self.patch[1] + 1

    @property
    def windows(self) -> int:
        return self.row_spans.rows * self.column_spans.rows


class Device(Protocol):
    """A device with its slab. Matrices are `Block`s; `host` arrays come from `host` and are contiguous.

    Every method that takes a stream only queues its work. Errors of the device itself (lost, out of memory) are
    raised as `DeviceError` by whichever call meets them first.
    """

    name: str
    slab: Slab
    #: `float32` or `tf32`: how products of float32 blocks are formed
    compute: str
    #: what the user should know of what it could not do as it should
    notes: list[str]

    def stream(self, name: str, *, urgent: bool = False) -> Any:
        """A new stream; work on an urgent one is preferred where both have some."""
        ...

    def record(self, stream: Any) -> Any:
        """An event: everything put on the stream so far."""
        ...

    def wait(self, stream: Any, event: Any) -> None:
        """What is put on `stream` from now on starts after the event."""
        ...

    def synchronise(self, event: Any | None = None) -> None:
        """Return when the event, or everything, has happened."""
        ...

    def host(self, nbytes: int) -> NDArray[np.uint8]:
        """Host memory that copies may use, pinned; it belongs to the device and goes with it."""
        ...

    def release_host(self, array: NDArray[np.uint8]) -> None: ...

    def copy_in(self, stream: Any, host: NDArray[Any], block: Block) -> None:
        """`host` must stay as it is until the copy has happened."""
        ...

    def copy_out(self, stream: Any, block: Block, host: NDArray[Any]) -> None: ...

    def copy(self, stream: Any, source: Block, target: Block) -> None: ...

    def reaches(self, other: Device) -> bool:
        """Whether `copy_to` to that device does not pass through host memory; streams of both then wait for each
        other's events."""
        ...

    def copy_to(self, stream: Any, source: Block, other: Device, target: Block) -> None:
        """`target`, a block of another device that this one reaches, <- `source`. Both are without gaps."""
        ...

    def zero(self, stream: Any, block: Block) -> None: ...

    def set_identity(self, stream: Any, block: Block) -> None:
        """1 where row = column, 0 elsewhere."""
        ...

    def gemm(
        self,
        stream: Any,
        alpha: float,
        a: Block,
        b: Block,
        beta: float,
        c: Block,
        *,
        transpose_a: bool = False,
        transpose_b: bool = False,
    ) -> None:
        """C <- alpha op(A) op(B) + beta C; all float64, all float32, or int8 operands and an int32 result."""
        ...

    def solve_right(self, stream: Any, lower: Block, x: Block) -> None:
        """X <- X L^-T."""
        ...

    def solve_left(self, stream: Any, lower: Block, x: Block, *, transposed: bool = False) -> None:
        """X <- L^-1 X or L^-T X."""
        ...

    def potrf_workspace(self, order: int, dtype: DTypeLike) -> int:
        """Bytes that `potrf` needs beside the block."""
        ...

    def potrf(self, stream: Any, block: Block, work: Block, status: Block) -> None:
        """A = L L^T in the lower triangle, zeros above; status (1, 1) int32 as LAPACK's info."""
        ...

    def l1_distances(self, stream: Any, rows: DeviceRows, columns: DeviceRows, out: Block) -> None:
        """out_ij <- |x_i - x_j|_1, float64."""
        ...

    def compile(self, kernel: Kernel) -> None:
        """Compile the user's own functions of k, where it has any; raises `InputError` where that cannot be."""
        ...

    def user_values(
        self, stream: Any, kernel: Kernel, rows: DeviceRows, columns: DeviceRows, out: Block
    ) -> None:
        """out_ij <- the user's own function of x_i and x_j, float64."""
        ...

    def evaluate(
        self,
        stream: Any,
        epilogue: Epilogue,
        pairs: PairBlocks,
        rows: DeviceRows,
        columns: DeviceRows,
        out: Block,
        symmetric: Symmetric | None,
    ) -> None:
        """out_ij <- k(x_i, x_j) from what is known of the pairs."""
        ...

    def absolute_sums(self, stream: Any, tile: Block, left: int, rows: Block, columns: Block) -> None:
        """rows_i += sum_j |t_ij|; columns_j += sum_i |t_ij| for j < left. Both (m, 1) float64."""
        ...

    def squared_column_sums(self, stream: Any, tile: Block, out: Block) -> None:
        """out_j += sum_i t_ij^2. out (w, 1) float64."""
        ...

    def mirror(self, stream: Any, block: Block) -> None:
        """b_ij <- b_ji above the diagonal of a square block."""
        ...

    def add(self, stream: Any, block: Block, out: Block) -> None:
        """out += block, which is float32."""
        ...

    def patch_statistics(self, stream: Any, net: Net, images: Block, statistics: Block) -> None:
        """statistics (images, 2 positions) float32: of every patch p its mean and root / sqrt(|p - mean p|^2 + offset),
        with no offset 0 where it is flat."""
        ...

    def random_conv(self, stream: Any, net: Net, images: Block, statistics: Block, out: Block) -> None:
        """out (images, 2 windows filters) float32 from uint8 or float32 images and their `patch_statistics`; columns
        are ordered (filter, sign, window)."""
        ...

    def close(self) -> None:
        """Give everything back; never raises."""
        ...
