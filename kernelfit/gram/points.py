"""The rows that a kernel compares, and their inner products.

Images come as bytes. Inner products of small integers are exact in float32 as long as no partial sum passes
2^24, so they can be computed by SGEMM at twice the rate of DGEMM with no rounding at all: centre the integers
(255 levels become -128 ... 127) and cut the features into chunks of at most 2^24 / (r_1 r_2) columns, r the
largest magnitude on each side; 1,024 columns for bytes. Chunks are added in float64. Where the CPU multiplies bytes
(`kernelfit.cpu.bytes_product`), the same inner products are formed from the bytes themselves.

Everything else goes through DGEMM in float64, whatever the dtype of the rows, in one of two ways:

- For distances, rows less the median of the training rows: a distance formed from inner products loses what its
  operands have in common, |x|^2 / |x - x'|^2 units of roundoff, and after centring only what is left of that. The mean
  would not do: one row far out moves it away from all the others.
- For inner products and angles, rows about the origin: an offset taken off and added again leaves its own roundoff
  behind, |c|^2 units of it. Where squares or products of squares could under- or overflow, each row is divided by a
  power of two of its own, which rounds nothing.
"""

from __future__ import annotations

import math
import sys
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernelfit.arguments import positive
from kernelfit.cpu import blas, bytes_product
from kernelfit.errors import InputError
from kernelfit.gram import float_rows
from kernelfit.gram.arrays import (
    as_array,
    exact_floats,
    is_sparse,
    no_numbers,
    refuse_large_integers,
    refuse_non_finite,
    refuse_words,
)
from kernelfit.gram.byte_grid import levels_of
from kernelfit.gram.equal_rows import equal_rows
from kernelfit.gram.integer_rows import IntegerRows, describe
from kernelfit.gram.unchanged import Witness
from kernelfit.typing import Float

#: bytes of what is known of each row, kept beside it: `RowVectors` and two lengths
BYTES_BESIDE = 48
_EXACT_FLOAT32 = 2.0**24
# An array of the user's up to so many bytes is copied.
_COPIED = 2**20
# A chunk shorter than this spends its time on adding up chunks; DGEMM is then the better choice.
_SHORTEST_CHUNK = 128
# Float rows that are bytes divided by one of these are recognised and stored as bytes again.
_DIVISORS = (1, 255, 256, 16)
_LARGEST_BYTE = 255 * (1 + 1e-6)
# Rows whose median is the centre. Odd: the median is then one of their values, and integers less an integer stay
# integers, whose products are exact below 2^53.
_CENTRE_ROWS = 1_001
# Of so many it is found sooner where all are sorted.
_SORTED = 256
# Columns whose median is taken at a time.
_CENTRE_COLUMNS = 1_024
# Rows between 2^-this and 2^this are multiplied as they are: |x|^2 |x'|^2 is then far from both ends of float64.
_PLAIN_EXPONENT = 200
# Rows all below 2^-this have distances in units of a power of two near their own: squares would underflow.
_SMALL_EXPONENT = 450
# Rows shorter than this have squared distances far from overflow.
_LONGEST = 1e153


class RowVectors(NamedTuple):
    """What a tile knows of each row x beside its products, (n,) float64 each; see `kernelfit.gram.tile.PairTile`."""

    #: |x - c|^2, c what is subtracted before the products of distances
    sq_norms: Float
    #: o with <x, x'> = dot + o + o', where the products are those of centred integers; else 0
    offsets: Float
    #: |x / p|^2
    origin: Float
    #: p, the power of two that the row is divided by before products about the origin
    powers: Float


class Points:
    """n rows of d features, `scale * values`, with what tiles need to know of each row.

    Attributes
    ----------
    values : (n, d) int16, uint8, float32 or float64; the rows before scaling
    scale : the factor that brings `values` to the kernel's domain
    exact : whether inner products are formed exactly from integers
    centre : the integer subtracted before exact products (0 for floats)
    median : (d,) float64, that of some training rows in the kernel's domain, subtracted before the products of
        distances; None where the training rows are exact, or where it is zero
    plain : whether products about the origin are formed from the rows as they are, all powers 1
    length : distances of rows that are not exact are in units of this power of two; 1 but for tiny rows
    factor : what differences of the rows of `apart` are multiplied by, to be those in the kernel's domain. A scale that
        is no power of two rounds rows, and what close ones differ in is lost before they are subtracted: so they are
        subtracted as they came, unless sums of such differences could overflow
    lengths : (n,) float64, |x_i| in the kernel's domain
    domain_sq_norms : (n,) float64, |x_i|^2 in the kernel's domain
    vectors : what tiles know of each row: in units of `values` for exact rows, else in the kernel's domain
    """

    exact: bool
    centre: int
    #: whether float32 multiples of 1/255 were taken for k / 255 exactly
    snapped = False
    #: whether `values` are scipy's CSR (`kernelfit.gram.sparse`)
    sparse = False
    #: the largest magnitude of rows that came as floats
    _largest = 0.0
    #: what tells whether an array that is the user's was changed
    _witness: Witness | None = None

    def __init__(
        self, rows: ArrayLike, scale: float | None = None, like: Points | None = None, name: str = "X"
    ) -> None:
        values = given = _numbers_of(rows, name)
        self.scale = 1.0 if scale is None else positive("scale", scale)
        if values.dtype.kind == "f":
            values = exact_floats(values, name)
            if values.dtype.itemsize < 4:
                values = values.astype(np.float64)
            low, high = _range(values, name)
            self._largest = max(-low, high)
            if scale is None and (like is not None or (low >= 0 and high <= _LARGEST_BYTE)):
                dtype = values.dtype
                values, self.scale = _as_bytes(values, like)
                # k / 255 is no number of float32: what was given lies within its rounding.
                self.snapped = dtype == np.float32 and values.dtype == np.uint8 and self.scale == 1.0 / 255
        else:
            values = _stored_integers(values, like, name)
        self.values = np.ascontiguousarray(values)
        self.shape: tuple[int, int] = self.values.shape
        if like is None and (self.values is given or not self.values.flags.owndata):
            # It may be the user's own array, which may be changed later: small ones are copied.
            if self.values.nbytes <= _COPIED:
                self.values = self.values.copy()
            else:
                self._witness = Witness(self.values)
        integers = self.values.dtype.kind in "ui" and self.values.size > 0
        centre = like.centre if like is not None and like.exact else None
        known = describe(self.values, self.scale, centre) if integers else None
        self.centre, self._reach = _integer_range(known, like)
        self.exact = values.dtype.kind in "ui" and self._chunk(self._reach) >= _SHORTEST_CHUNK
        if like is not None:
            if like.shape[1] != self.shape[1]:
                raise InputError(
                    f"{name}: got {self.shape[1]} features, expected {like.shape[1]} as in training"
                )
            same = (
                like.exact
                and self.exact
                and like.scale == self.scale
                and like.values.dtype == self.values.dtype
            )
            if not (same and chunk_of(self._reach, like._reach) >= _SHORTEST_CHUNK):
                self.exact = False
        if not self.exact:
            self.centre = 0
        self.median: Float | None = None
        #: the median in units of `values`, where the training rows have the same
        self._offset: Float | None = None
        if like is not None:
            self.median = like.median
            self._offset = like._offset if like.scale == self.scale else None
        elif not self.exact:
            self._offset = self._median()
            self.median = None if self._offset is None else self.scale * self._offset
        self.plain = True
        self.length: float = 1.0 if like is None else like.length
        if self.exact and known is not None:
            self.vectors = RowVectors(known.sq_norms, known.offsets, known.origin, known.ones)
            self.lengths, self.domain_sq_norms, longest = known.lengths, known.domain, known.longest
        else:
            self._describe_floats(like)
            longest = float(self.lengths.max(initial=0.0))
        largest = 2.0 * math.sqrt(values.shape[1]) * longest
        self.factor: float = self.scale if largest < sys.float_info.max * self.scale else 1.0
        if not longest < _LONGEST:
            _refuse_overflow(self, name)
        if like is None and self.scale < 1.0 and 0.0 < longest < sys.float_info.min:
            raise InputError(
                f"scale: got {self.scale:.3g}, of which rows are up to {longest:.3g} long, expected "
                f"{sys.float_info.min:.3g} or more, below which float64 loses digits; give a larger scale"
            )

    def require_unchanged(self, *, whole: bool = True, threads: int | None = None) -> None:
        """Raise `InputError` where the user's array, which is not copied, was changed since; not `whole`, by some of
        its rows."""
        if self._witness is not None:
            self._witness.require(self.values, "X: the array", whole=whole, threads=threads)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """An array that comes with a pickle is nobody else's."""
        self.__dict__.update(state, _witness=None)

    def require_alike(self, other: Points) -> None:
        """Raise `InputError` where distances between the two would be of rows less different medians."""
        mine, theirs = self.median, other.median
        alike = mine is theirs or (mine is not None and theirs is not None and np.array_equal(mine, theirs))
        if not alike or self.length != other.length:
            raise InputError(
                "rows: are about another origin than the columns, expected the same; make them with "
                "Points(rows, like=columns)"
            )

    @property
    def width(self) -> int:
        """How many numbers a row is stored in, and multiplied, on average."""
        return self.shape[1]

    @property
    def nbytes(self) -> int:
        return bytes_of_points(*self.shape, self.values.itemsize)

    @property
    def single_product(self) -> bool:
        """Whether one float32 product of all features holds inner products among these rows exactly."""
        return self.exact and self.shape[1] <= chunk_length(self, self)

    @property
    def multiplies_bytes(self) -> bool:
        """Whether inner products are formed from the bytes themselves."""
        return (
            self.exact
            and self.values.dtype == np.uint8
            and self.shape[1] <= bytes_product.LONGEST
            and bytes_product.available()
        )

    @property
    def arithmetic(self) -> str:
        """How inner products are formed: `exact bytes in int32`, `exact integers in float32` or `float64`."""
        if self.multiplies_bytes:
            return "exact bytes in int32"
        return "exact integers in float32" if self.exact else "float64"

    def block(self, start: int, stop: int, exact: bool) -> NDArray[Any]:
        """Rows start:stop ready for GEMM: centred float32 integers, or centred float64 in units of `length`."""
        if exact:
            return np.subtract(self.values[start:stop], np.float32(self.centre), dtype=np.float32)
        if self._offset is not None:  # off before the scale rounds what it leaves
            scaled = self.unscaled(start, stop) - self._offset
            if self.scale != 1.0:
                scaled *= self.scale
        else:
            scaled = self.scaled(start, stop)
            if self.median is not None:
                scaled = scaled - self.median
        return scaled if self.length == 1.0 else scaled / self.length

    def about_origin(self, start: int, stop: int) -> Float:
        """Rows start:stop for products about the origin: in the kernel's domain, each over its power of two."""
        scaled = self.scaled(start, stop)
        if self.plain:
            return scaled
        return scaled / self.vectors.powers[start:stop, None]

    def scaled(self, start: int, stop: int) -> Float:
        """Rows start:stop in the kernel's domain, float64."""
        if self.scale == 1.0:
            return self.unscaled(start, stop)
        return np.multiply(self.values[start:stop], self.scale, dtype=np.float64)

    def unscaled(self, start: int, stop: int) -> Float:
        """Rows start:stop as they came, float64."""
        return self.values[start:stop].astype(np.float64, copy=False)

    def apart(self, start: int, stop: int) -> Float:
        """Rows start:stop to be subtracted, float64; `factor` times their differences are in the kernel's domain."""
        return self.scaled(start, stop) if self.factor == 1.0 else self.unscaled(start, stop)

    def row_vectors(self, start: int, stop: int, exact: bool) -> RowVectors:
        """The vectors of rows start:stop that belong to `block(start, stop, exact)` and `about_origin(start, stop)`."""
        if exact == self.exact and start == 0 and stop == len(self.lengths):
            return self.vectors
        rows = slice(start, stop)
        if exact == self.exact:
            return RowVectors(*(vector[rows] for vector in self.vectors))
        # Exact rows beside others: neither is centred.
        norms = self.domain_sq_norms[rows]
        return RowVectors(norms, np.zeros_like(norms), norms, np.ones_like(norms))

    def compact(self, stop: int) -> Float:
        """The first rows, in the kernel's domain, for what their distances and inner products tell."""
        return self.scaled(0, min(stop, self.shape[0]))

    def take(self, rows: NDArray[Any], like: Points | None = None) -> Points:
        """Some of the rows, by index."""
        return Points(self.values[rows], self.scale, like)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What files hold of `values`, by the ends of the names of their arrays."""
        return {"": self.values}

    def equal_rows(self) -> tuple[tuple[int, ...], ...]:
        """Groups of equal rows, each ascending."""
        return equal_rows(self.values)

    @property
    def centred_as_is(self) -> bool:
        """Whether `block(exact=False)` gives the rows as they are."""
        return self.median is None and self.length == 1.0

    def _median(self) -> Float | None:
        n, d = self.shape
        if n == 0:
            return None
        sample = _spread(n)
        count = len(sample)
        median = np.empty(d)
        for start in range(0, d, _CENTRE_COLUMNS):
            columns = slice(start, start + _CENTRE_COLUMNS)
            # Of an odd number of rows: one of their values, as np.median gives it. A column's lie side by side.
            lines = np.ascontiguousarray(self.values[sample, columns].T)
            if count <= _SORTED:
                lines.sort(axis=1)
            else:
                lines.partition(count // 2, axis=1)
            median[columns] = lines[:, count // 2]
        return median if median.any() else None

    def _chunk(self, other_reach: int) -> int:
        return chunk_of(self._reach, other_reach)

    def _length(self) -> float:
        """1, or where squares of the largest row would underflow the power of two just below it."""
        if self.exact or self._largest * self.scale > 2.0**-_SMALL_EXPONENT:
            return 1.0
        largest = max(
            (
                float(np.abs(self.scaled(a, a + 1024)).max(initial=0.0))
                for a in range(0, len(self.values), 1024)
            ),
            default=0.0,
        )
        return 1.0 if largest == 0.0 or largest > 2.0**-_SMALL_EXPONENT else _power_below(largest)

    @np.errstate(over="ignore", invalid="ignore", under="ignore")
    def _describe_floats(self, like: Points | None) -> None:
        """What is known of rows of floats, of integers beside them, and of no rows."""
        if like is None:
            self.length = self._length()
        self.vectors = self._vectors()
        self.lengths = np.sqrt(self.vectors.origin) * self.vectors.powers
        self.domain_sq_norms = self.vectors.origin * self.vectors.powers**2

    def _vectors(self) -> RowVectors:
        n = self.shape[0]
        sq_norms, origin, powers = np.empty(n), np.empty(n), np.ones(n)
        largest = np.empty(n)
        for start in range(0, n, 1024):
            largest[start : start + 1024] = float_rows.largest(self.scaled(start, start + 1024))
        nonzero = largest[largest > 0.0]
        if len(nonzero):
            self.plain = bool(nonzero.min() > 2.0**-_PLAIN_EXPONENT and nonzero.max() < 2.0**_PLAIN_EXPONENT)
        if not self.plain:
            powers[largest > 0.0] = _power_below(nonzero)
        vectors = RowVectors(sq_norms, np.zeros(n), origin, powers)
        self.vectors = vectors  # `about_origin` reads the powers
        for start in range(0, n, 1024):
            rows = slice(start, start + 1024)
            block, plain = self.block(start, start + 1024, False), self.about_origin(start, start + 1024)
            float_rows.sq_norms(block, sq_norms[rows])
            float_rows.sq_norms(plain, origin[rows])
        return vectors


def _numbers_of(rows: ArrayLike, name: str) -> NDArray[Any]:
    """Rows (n, d) as an array of integers or floats in this machine's byte order, or an error that names them."""
    values = as_array(rows, name)
    if values.ndim == 1:
        raise InputError(
            f"{name}: got a 1-d array of {values.size}, expected rows (n, d); use reshape(1, -1) for one row, "
            "reshape(-1, 1) for one feature"
        )
    if values.ndim != 2:
        raise InputError(f"{name}: got {values.ndim} dimensions, expected rows (n, d); flatten each row")
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.dtype.kind not in "uif":
        refuse_words(rows, name)
        raise no_numbers(values, rows, name)
    if values.shape[1] == 0:
        raise InputError(f"{name}: got 0 features, expected at least one column")
    # The other byte order, as FITS and IDX files have it, would make a file that is refused when it is read.
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def _range(values: NDArray[Any], name: str) -> tuple[float, float]:
    """The least and the largest of numbers, all of them finite or refused."""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not math.isfinite(high - low):  # of finite numbers it may overflow
        refuse_non_finite(values, name)
    return low, high


@lru_cache(maxsize=8)
def _spread(n: int) -> NDArray[np.int64]:
    """The rows out of n whose median is the centre."""
    return np.linspace(0, n - 1, min(n - 1 + n % 2, _CENTRE_ROWS)).astype(np.int64)


def _power_below(magnitude: Any) -> Any:
    """The largest power of two that is no larger, of numbers > 0, and has an inverse in float64."""
    return np.ldexp(1.0, np.maximum(np.frexp(magnitude)[1] - 1, -1022))


def _stored_integers(values: NDArray[Any], like: Points | None, name: str) -> NDArray[Any]:
    """Integers as they are stored, without loss."""
    dtype = _integer_dtype(values, like)
    if dtype == values.dtype:
        return values
    if dtype is not np.float64 or values.dtype.itemsize < 8:
        return values.astype(dtype, copy=False)
    refuse_large_integers(values, name)
    return values.astype(np.float64)


def _integer_dtype(values: NDArray[Any], like: Points | None) -> Any:
    """Where integers are kept without loss: the dtype of `like` if it holds them, bytes, int16 or else float64."""
    signed_first = like is not None and like.values.dtype == np.int16
    if values.dtype == np.uint8 and not signed_first:
        return np.uint8
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if low >= 0 and high <= 255 and not signed_first:
        return np.uint8
    return np.int16 if low >= -(2**15) and high < 2**15 else np.float64


def _integer_range(known: IntegerRows | None, like: Points | None) -> tuple[int, int]:
    """The integer that is subtracted before exact products, and the largest magnitude that is left."""
    if known is None:
        return (like.centre, 1) if like is not None else (0, 1)
    centre = known.centre
    return centre, max(abs(known.low - centre), abs(known.high - centre), 1)


def chunk_of(reach: int, other: int) -> int:
    """Columns whose products of centred integers add up without rounding in float32."""
    return int(_EXACT_FLOAT32 / (reach * other))


def bytes_of_points(n: int, d: int, itemsize: int) -> int:
    """Of n rows of d numbers, with what is known of each row."""
    return n * (d * itemsize + BYTES_BESIDE)


def _refuse_overflow(points: Points, name: str) -> None:
    if points.domain_sq_norms.max(initial=0.0) < 1e307:
        return
    # A factor of four leaves room for the squared distance of two such rows.
    with np.errstate(over="ignore"):
        bad = np.flatnonzero(~(4.0 * points.domain_sq_norms < np.inf))
    if bad.size:
        raise InputError(
            f"{name}: the squared norm of row {bad[0]} overflows, expected magnitudes below about 1e150; "
            "rescale X or give scale"
        )


def _as_bytes(values: NDArray[Any], like: Points | None) -> tuple[NDArray[Any], float]:
    """Bytes and the factor that gives `values` back exactly, or `values` and 1 where there is none."""
    if like is not None:
        divisors = tuple(divisor for divisor in _DIVISORS if like.exact and like.scale == 1.0 / divisor)
    else:
        divisors = _DIVISORS
    if values.size == 0:
        return values, 1.0
    values = np.ascontiguousarray(values)
    levels = np.empty(values.shape, np.uint8)
    for divisor in divisors:
        if levels_of(values, divisor, levels):
            return levels, 1.0 / divisor
    for divisor in divisors if like is not None else ():
        if divisor == 255:
            values = _snapped(values)
    return values, 1.0


def _snapped(values: NDArray[Any]) -> NDArray[Any]:
    """float64 rows, with what is float32(k / 255) replaced by k / 255.

    Training rows that were float32 multiples of 1 / 255 count as those multiples; so does a new row of theirs, whatever
    its dtype and the rows beside it.
    """
    result = values.astype(np.float64)
    for start in range(0, len(values), 4096):
        block = result[start : start + 4096]
        with np.errstate(over="ignore", invalid="ignore"):
            levels = np.rint(block * 255.0)
            on_grid = (
                (levels >= 0) & (levels <= 255) & (block == (levels.astype(np.float32) / np.float32(255)))
            )
            on_grid |= (
                (levels >= 0) & (levels <= 255) & (block == levels.astype(np.float32) * np.float32(1 / 255))
            )
        block[on_grid] = levels[on_grid] * (1.0 / 255)
    return result


def inner_products(rows: Any, columns: Any, out: NDArray[Any], chunk: int) -> None:
    """out <- rows columns^T. Shapes (h, d), (w, d), (h, w); both CSR, or arrays.

    Float32 operands are centred integers and are multiplied in chunks of `chunk` features; `out` is then float32
    when one chunk is enough and float64 otherwise. Float64 operands give a float64 result.
    """
    if is_sparse(rows):
        out[...] = (rows @ columns.T).toarray()
        return
    features = rows.shape[1]
    if rows.dtype == out.dtype and (rows.dtype == np.float64 or features <= chunk):
        blas.gemm(1.0, rows, columns, 0.0, out, transpose_b=True)
        return
    part = np.empty(out.shape, np.float32)
    out[...] = 0.0
    for start in range(0, features, chunk):
        stop = min(start + chunk, features)
        blas.gemm(1.0, rows[:, start:stop], columns[:, start:stop], 0.0, part, transpose_b=True)
        out += part


def speed_of_bytes() -> float:
    """The rate of exact inner products of bytes, with a kernel's formula on top, in units of DGEMM's (measured)."""
    return 5.0 if bytes_product.available() else 2.0


def chunk_length(rows: Points, columns: Points) -> int:
    """Features per exact float32 product between two sets of rows."""
    return chunk_of(rows._reach, columns._reach)
