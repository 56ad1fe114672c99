"""Responses of patches of bytes to filters on CPUs with AVX-512 VNNI: exact sums in int32, at twice the rate of SGEMM.

A filter whose values add up to zero cannot tell a patch from the patch less its mean, so that

    r = <f, (p - mean p) / |p - mean p|> = <f, p> / |p - mean p|

needs the bytes p as they are. f is rounded to integer multiples of its largest value / 32,600, q = 256 h + l with two
signed bytes h and l, and <q, p> = 256 <h, p> + <l, p> are two products of bytes for one of floats. The rounding moves a
response by some 1e-5 of the filter's largest value; what SGEMM rounds, this does not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from kernelfit.cpu.bytes_product import HEIGHT, LANES, REGISTER, STEP, emit_sums
from kernelfit.cpu.jit import njit

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

#: values of a patch up to which every sum fits int32: 255 d / 2 32,640 < 2^31
LONGEST_PATCH = 512
# Leaves room within 16 bits, in two signed bytes, for what makes the sum zero.
_LARGEST = 32_600
# A filter is constant when its values differ by no more than this share of the largest.
_CONSTANT = 1e-9


def integer_filters(filters: Float64) -> tuple[NDArray[np.int16], Float32]:
    """q (n, d) integers that add up to zero in each row, and s (n,): f less its mean is s q, nearly."""
    centred = filters - filters.mean(axis=1, keepdims=True)
    # What is left of a constant filter is rounding.
    centred[np.abs(centred).max(axis=1) <= _CONSTANT * np.abs(filters).max(axis=1)] = 0
    unit = np.maximum(np.abs(centred).max(axis=1), np.finfo(np.float32).tiny) / _LARGEST
    exact = centred / unit[:, None]
    rounded = np.rint(exact)
    # A rest of at most d / 2 is spread over the values that rounding moved furthest its way.
    rest = rounded.sum(axis=1).astype(np.int64)
    order = np.argsort(np.sign(rest)[:, None] * (exact - rounded), axis=1, kind="stable")
    corrected = np.arange(filters.shape[1]) < np.abs(rest)[:, None]
    np.put_along_axis(
        rounded,
        order,
        np.take_along_axis(rounded, order, axis=1) - corrected * np.sign(rest)[:, None],
        axis=1,
    )
    return rounded.astype(np.int16), unit.astype(np.float32)


class PackedFilters:
    """Filters in groups of 16 in the order in which `respond` reads them, and the unit of each."""

    def __init__(self, values: NDArray[np.int16], units: Float32) -> None:
        count, d = values.shape
        groups, steps = -(-count // LANES), -(-d // STEP)
        padded = np.zeros((groups * LANES, steps * STEP), np.int16)
        padded[:count, :d] = values
        high = (padded + 128) >> 8
        parts = np.stack([high, padded - 256 * high]).astype(np.int8)
        # (part, group, lane, step, four) -> (group, step, part, lane, four)
        parts = parts.reshape(2, groups, LANES, steps, STEP).transpose(1, 3, 0, 2, 4)
        # Registers are loaded whole from cache lines.
        unaligned = np.empty(parts.size + 64, np.int8)
        start = -unaligned.ctypes.data % 64
        self.values = unaligned[start : start + parts.size].reshape(parts.shape)
        self.values[...] = parts
        self.units = np.zeros(groups * LANES, np.float32)
        self.units[:count] = units

    @property
    def width(self) -> int:
        """Filters, an integer number of registers."""
        return len(self.units)


def patch_words(
    image: tuple[int, int, int], patch: tuple[int, int, int]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Where the bytes of patches lie in an image (height, width, channels): corners (panels 14,) of all positions, the
    first one again beyond them, and offsets (steps, 4) from a corner, -1 beyond the patch's values."""
    height, width, channels = image
    down, across, _ = patch
    y, x = np.mgrid[: height - down + 1, : width - across + 1]
    corners = ((y * width + x) * channels).reshape(-1)
    padded = np.zeros(-(-len(corners) // HEIGHT) * HEIGHT, np.int32)
    padded[: len(corners)] = corners
    row, column, channel = np.mgrid[:down, :across, :channels]
    values = ((row * width + column) * channels + channel).reshape(-1)
    offsets = np.full(-(-len(values) // STEP) * STEP, -1, np.int32)
    offsets[: len(values)] = values
    return padded, offsets.reshape(-1, STEP)


def device_places(image: tuple[int, int, int], patch: tuple[int, int, int]) -> NDArray[np.int32]:
    """(w, 1): where each word of four bytes of a patch lies from its first pixel in an image (height, width, channels).

    A line of a patch is whole words, the last of which may reach beyond it; w is a multiple of 8, the last ones 0.
    """
    _, width, channels = image
    down, across, _ = patch
    line = np.arange(0, across * channels, STEP)
    places = (np.arange(down)[:, None] * width * channels + line).reshape(-1)
    return np.pad(places, (0, -len(places) % 8)).astype(np.int32).reshape(-1, 1)


def device_filters(values: NDArray[np.int16], patch: tuple[int, int, int]) -> NDArray[np.int8]:
    """(n, 8 w): high bytes, then low ones of filters (n, d) of 16 bits, in the words of `device_places`."""
    down, across, channels = patch
    length = across * channels
    lines = np.pad(values.reshape(-1, down, length), ((0, 0), (0, 0), (0, -length % STEP)))
    padded = lines.reshape(len(values), -1)
    padded = np.pad(padded, ((0, 0), (0, -padded.shape[1] % (8 * STEP))))
    high = (padded + 128) >> 8
    return np.concatenate([high, padded - 256 * high], axis=1).astype(np.int8)


@njit(nogil=True, cache=True)
def pack_patches(
    image: NDArray[np.uint8],
    corners: NDArray[np.int32],
    offsets: NDArray[np.int32],
    words: NDArray[np.uint32],
    packed: NDArray[np.uint32],
) -> None:
    """packed (panels, steps, 14) <- four bytes of each patch at a time; `words`, as long as the image, is scratch."""
    last = image.size - 1
    for k in range(image.size):
        words[k] = (
            np.uint32(image[k])
            | np.uint32(image[min(k + 1, last)]) << np.uint32(8)
            | np.uint32(image[min(k + 2, last)]) << np.uint32(16)
            | np.uint32(image[min(k + 3, last)]) << np.uint32(24)
        )
    panels, steps, height = packed.shape
    for step in range(steps):
        o = offsets[step]
        # Values that the patch lacks meet zeros of the filters, so that any byte will do.
        run = (
            (o[1] < 0 or o[1] == o[0] + 1)
            and (o[2] < 0 or o[2] == o[0] + 2)
            and (o[3] < 0 or o[3] == o[0] + 3)
        )
        for panel in range(panels):
            for within in range(height):
                corner = corners[panel * height + within]
                word = words[corner + o[0]]
                if not run:
                    word = word & np.uint32(255)
                    for k in range(1, 4):
                        if o[k] >= 0:
                            word |= np.uint32(image[corner + o[k]]) << np.uint32(8 * k)
                packed[panel, step, within] = word


@njit(nogil=True, cache=True)
def respond(
    patches: NDArray[np.uint32], filters: Any, units: Float32, factors: Float32, out: Float32
) -> None:
    """out (panels 14, groups 16) <- factors of positions times units of filters times sums of their bytes."""
    panels, steps, height = patches.shape
    for group in range(filters.shape[0]):
        scale = units[group * 16 :].ctypes.data
        for panel in range(panels):
            top = panel * height
            _tile(
                patches[panel].ctypes.data,
                filters[group].ctypes.data,
                steps,
                scale,
                factors[top:].ctypes.data,
                out[top, group * 16 :].ctypes.data,
                out.shape[1] * 4,
            )


@intrinsic
def _tile(
    _context: Any, patches: Any, filters: Any, steps: Any, units: Any, factors: Any, out: Any, stride: Any
) -> Any:
    """14 rows of 16 floats at `out`, `stride` bytes apart; everything but `steps` and `stride` is an address."""
    return types.void(*[types.intp] * 7), _emit_tile


def _emit_tile(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
    patches, filters, steps, units, factors, out, stride = arguments
    sums = emit_sums(builder, patches, filters, steps)
    index, integer, single = ir.IntType(64), ir.IntType(32), ir.FloatType()
    floats = ir.VectorType(single, LANES)
    unit = builder.load(builder.inttoptr(units, floats.as_pointer()))
    unit.align = 4
    factors = builder.inttoptr(factors, single.as_pointer())
    eight = ir.Constant(REGISTER, [8] * LANES)
    everywhere = ir.Constant(ir.VectorType(integer, LANES), [0] * LANES)
    undefined = ir.Constant(floats, ir.Undefined)
    for i, (high, low) in enumerate(sums):
        total = builder.add(builder.shl(high, eight), low)
        factor = builder.load(builder.gep(factors, [index(i)]))
        factor = builder.shuffle_vector(
            builder.insert_element(undefined, factor, integer(0)), undefined, everywhere
        )
        value = builder.fmul(builder.fmul(builder.sitofp(total, floats), unit), factor)
        line = builder.add(out, builder.mul(stride, index(i)))
        builder.store(value, builder.inttoptr(line, floats.as_pointer())).align = 4
    return context.get_dummy_value()
