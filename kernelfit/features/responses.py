"""Responses of one image's patches to groups of filters, on one thread: by SGEMM, or by products of bytes.

Both take an image, lay its patches out once, and give r before the shift by the patches' mean, <W f, c(p)>, for one
group of filters after the other; what they return is overwritten by the next call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.bytes_product import HEIGHT
from kernelfit.features.byte_responses import PackedFilters, pack_patches, respond
from kernelfit.features.images import Float32
from kernelfit.features.patches import extract, patch_statistics


@dataclass(frozen=True)
class FilterGroup:
    """Filters start:stop of a net: `folded` (d, stop - start), values of a patch by channel, and `packed`."""

    start: int
    stop: int
    folded: Float32
    packed: PackedFilters
    above: Float32
    below: Float32


class Responses(Protocol):
    def take(self, pixels: NDArray[Any]) -> None:
        """Lay out the patches of an image, one row of the data."""
        ...

    def to(self, group: FilterGroup) -> Float32:
        """r (positions or more, filters or more)."""
        ...


class FloatResponses:
    """By one SGEMM a group."""

    def __init__(
        self,
        image: tuple[int, int, int],
        patch: tuple[int, int, int],
        contrast: tuple[float, float],
        widest: int,
        backend: Any,
    ) -> None:
        height, width, _ = self._image = image
        self._patch, self._contrast = patch, contrast
        across = width - patch[1] + 1
        self._positions = (height - patch[0] + 1) * across
        self._patches = backend.scratch("patches", int(np.prod(patch)), self._positions, np.float32)
        self._sums = backend.scratch("line sums", 2 * height, width, np.float64).reshape(2, height, width)
        self._shifted = backend.scratch("shifted", 1, height * across, np.float32)[0]
        self._moments = backend.scratch("moments", 2, self._positions, np.float32)
        self._out = backend.scratch("responses", self._positions, widest, np.float32).reshape(-1)

    def take(self, pixels: NDArray[Any]) -> None:
        image = pixels.astype(np.float32).reshape(self._image)
        scratch = self._sums, self._shifted, self._moments
        extract(image, *self._patch[:2], *scratch, self._contrast, self._patches)

    def to(self, group: FilterGroup) -> Float32:
        count = group.stop - group.start
        out: Float32 = self._out[: self._positions * count].reshape(self._positions, count)
        np.matmul(self._patches.T, group.folded, out=out)
        return out


class ByteResponses:
    """By two products of bytes, for images of bytes; `corners` and `offsets` as `patch_words` gives them."""

    def __init__(
        self,
        image: tuple[int, int, int],
        patch: tuple[int, int, int],
        contrast: tuple[float, float],
        corners: NDArray[np.int32],
        offsets: NDArray[np.int32],
        widest: int,
        backend: Any,
    ) -> None:
        height, width, channels = self._image = image
        self._patch, self._contrast, self._corners, self._offsets = patch, contrast, corners, offsets
        panels, steps = len(corners) // HEIGHT, len(offsets)
        self._positions = (height - patch[0] + 1) * (width - patch[1] + 1)
        self._words = backend.scratch("words", 1, height * width * channels, np.uint32)[0]
        packed = backend.scratch("patches", 1, panels * steps * HEIGHT, np.uint32)
        self._packed = packed.reshape(panels, steps, HEIGHT)
        self._sums = backend.scratch("line sums", 2 * height, width, np.float64).reshape(2, height, width)
        self._moments = backend.scratch("moments", 2, len(corners), np.float32)
        self._moments[1] = 0  # stays so beyond the last position
        self._out = backend.scratch("responses", len(corners), widest, np.float32).reshape(-1)

    def take(self, pixels: NDArray[Any]) -> None:
        mean, factor = self._moments[0, : self._positions], self._moments[1, : self._positions]
        image = pixels.reshape(self._image)
        patch_statistics(image, *self._patch[:2], self._sums, self._contrast, mean, factor)
        pack_patches(pixels, self._corners, self._offsets, self._words, self._packed)

    def to(self, group: FilterGroup) -> Float32:
        shape = (len(self._corners), group.packed.width)
        out: Float32 = self._out[: shape[0] * shape[1]].reshape(shape)
        respond(self._packed, group.packed.values, group.packed.units, self._moments[1], out)
        return out
