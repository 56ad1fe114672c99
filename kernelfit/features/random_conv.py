"""A one-layer convolution net with random filters: patches, whitening, two-sided threshold, average pooling."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernelfit.arguments import integer, non_negative, suggests_names
from kernelfit.cpu import bytes_product
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.features.byte_responses import (
    LONGEST_PATCH,
    PackedFilters,
    device_filters,
    device_places,
    integer_filters,
    patch_words,
)
from kernelfit.features.images import Picture, RowTask
from kernelfit.features.patches import pool, round_to_steps
from kernelfit.features.pooling import cells, halves, windows
from kernelfit.features.responses import ByteResponses, FilterGroup, FloatResponses, Responses
from kernelfit.features.streaming import StreamingImageFeatures
from kernelfit.features.whitening import Float64, contrast_normalise, zca
from kernelfit.progress import Progress
from kernelfit.typing import Contrast, Draw, Pooling

DRAWS: tuple[Draw, ...] = get_args(Draw)
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
CONTRASTS: tuple[Contrast, ...] = get_args(Contrast)

# Filters whose responses to one 32 x 32 image (729 x 256 float32: 0.7 MB) stay in a second-level cache of 1 MB.
FILTERS_PER_GROUP = 256

# Added to the eigenvalues of patches of length 1, and of those of variance 1.
_ZCA: dict[Contrast, float] = {"unit": 1e-2, "var10": 0.1}

# The step of quantised features: from so many images and filters, with this share of features beyond 255 steps. In
# CIFAR-10 a thousandth of the features is nine times as large as their root mean square, and more.
_SAMPLED_IMAGES, _SAMPLED_FILTERS = 64, 1024
_BEYOND = 1e-3


class RandomConv(StreamingImageFeatures):
    r"""Z = average over windows of max(r - t, 0) and max(-r - t, 0), r = <f, W (c(p) - mean)> for each filter f.

    p runs over all patches of `patch_size` x `patch_size` pixels; c removes a patch's mean and divides by its
    length, or by sqrt(variance + 10) (`contrast`); W is the ZCA whitening of such patches of the training images
    (eigenvalues + `zca`); filters f have length 1. Coates & Ng, "Learning feature representations with k-means" (2012),
    with filters drawn instead of learnt. Columns are ordered (filter, sign, window), so that a block of filters is a
    block of columns.

    With unit contrast the features depend on the pixels' ratios alone; with var10 the pixels are bytes: there is no
    `scale` to give. Rows of floats that are integers up to 255, or such integers over 255, count as bytes; new ones of
    nothing but 0 and 1 are in the unit of the rows fitted on.

    The defaults, and `default_kernel`, were chosen by leave-one-out on CIFAR-10 (`python -m benchmarks run
    feature-kernels`). The linear kernel, contrast "unit" and power 1 are what Zhang et al. (2016) seem to have.

    Parameters
    ----------
    image_shape : (height, width[, channels]); None: a square grey image, or one row of pixels
    n_filters : filters; features are 2 windows n_filters
    patch_size : pixels; at most the image's own height and width (`patch_shape_` says what was used)
    threshold : t, what a response must exceed in size to count
    zca : added to the eigenvalues of the patches' covariance, whose trace is at most 1, or with var10 their d; by
        default 0.01, or with var10 0.1
    contrast : `unit`: patches of length 1; `var10`: (p - mean p) / sqrt(var p + 10) as Coates and Ng have it, for
        pixels of 0 to 255 in bytes: faint patches stay faint; by default var10 for bytes, else unit
    power : 0.5, square roots of the pooled responses, or 1
    flips : take for each feature the mean of an image's and its mirror image's: equal for both, at twice the cost of
        features. For objects, not for digits
    draw : `patches` (whitened training patches), `gaussian` or `laplace` (independent entries)
    pooling : `grid` (3 x 3 windows on the 27 x 27 responses of 6 x 6 patches to 32 x 32 images) or `quadrants`
    pool_size : side of the windows of `grid`, in responses; cut to the response image where larger
    pool_stride : responses between the windows of `grid`
    n_patches : training patches that the mean and covariance are taken over
    quantise : round features to integer multiples of `step_`, 255 of them at most. A feature is then a byte, and
        K = Z Z^T a sum of products of bytes: exact, and several times as fast on CPUs with AVX-512 VNNI. There,
        responses of images of bytes are products of bytes as well, of filters rounded to 16 bits
    random_state : seed of every draw
    threads : threads; None for those available to this process

    Attributes
    ----------
    filters_ : (n_filters, d) in the whitened space, float64, d = patch height * width * channels
    contrast_ : `unit` or `var10`
    mean_, whitening_ : (d,), (d, d) of the contrast-normalised patches, float64
    windows_ : (down, across) pooling windows; `n_windows_` is their number
    step_ : with `quantise` the smallest power of two so that no more than one in a thousand features of a sample of the
        training images exceeds 255 steps; else 0
    default_gamma_factor : c of the recommended gamma = c / (median squared distance); the linear kernel is usual
    """

    default_gamma_factor = 1.0
    default_kernel = "ntk"
    _rows_per_task = 16
    filters_per_group = FILTERS_PER_GROUP
    all_zero_remedy = "lower threshold: no response of any filter exceeds it"

    @suggests_names({})
    def __init__(
        self,
        image_shape: tuple[int, ...] | None = None,
        n_filters: int = 3000,
        patch_size: int = 6,
        threshold: float = 1.0,
        zca: float | None = None,
        draw: Draw = "patches",
        pooling: Pooling = "grid",
        pool_size: int = 15,
        pool_stride: int = 6,
        n_patches: int = 100_000,
        quantise: bool = False,
        random_state: int = 0,
        threads: int | None = None,
        contrast: Contrast | None = None,
        power: float = 0.5,
        flips: bool = False,
    ) -> None:
        self.image_shape = image_shape
        self.n_filters = n_filters
        self.patch_size = patch_size
        self.threshold = threshold
        self.zca = zca
        self.draw = draw
        self.pooling = pooling
        self.pool_size = pool_size
        self.pool_stride = pool_stride
        self.n_patches = n_patches
        self.quantise = quantise
        self.random_state = random_state
        self.threads = threads
        self.contrast = contrast
        self.power = power
        self.flips = flips

    scale = 1.0

    def _fit(self, rows: NDArray[Any], progress: Progress) -> None:
        pixels = as_bytes(rows)
        # What stands for 255, in new rows too, however dark they are.
        self._white = 1.0 if rows.dtype != np.uint8 and rows.max() <= 1 else 255.0
        self._check(rows, pixels)
        rows = rows if self.contrast_ == "unit" or pixels is None else pixels
        height, width, channels = self.image_shape_
        down, across = min(self.patch_size, height), min(self.patch_size, width)
        self.patch_shape_ = (down, across, channels)
        responses = (height - down + 1, width - across + 1)
        if self.pooling == "quadrants":
            bounds = [halves(side) for side in responses]
        else:
            bounds = [windows(side, self.pool_size, self.pool_stride) for side in responses]
        (self._row_cuts, self._row_windows), (self._column_cuts, self._column_windows) = map(cells, bounds)
        self.windows_ = (len(bounds[0]), len(bounds[1]))
        self.n_windows_ = len(bounds[0]) * len(bounds[1])
        self.n_features_out_ = 2 * self.n_windows_ * self.n_filters
        # One-threaded products: the filters' bits do not depend on the number of cores.
        with CpuBackend(self.threads), progress.phase("filters", 1, "draws") as advance:
            rng = np.random.default_rng(int(self.random_state))
            patches = self._draw_patches(rows, self.n_patches, rng)
            self.mean_ = patches.mean(axis=0)
            patches -= self.mean_
            self.whitening_ = zca(patches.T @ patches.copy() / len(patches), self._epsilon)
            del patches
            self.filters_ = self._draw_filters(rows, rng)
            # Whitening is linear, so it is folded into the filters and its shift into the thresholds:
            # r = <W f, c(p)> - <W f, mean>.
            folded = self.filters_ @ self.whitening_
            shift = folded @ self.mean_
            advance(1)
        # `extract` gives a patch channel by channel.
        by_channel = folded.reshape(-1, *self.patch_shape_).transpose(3, 1, 2, 0).reshape(len(self.mean_), -1)
        self._folded = np.ascontiguousarray(by_channel, np.float32)
        self._integers, self._units = integer_filters(folded)
        self._above = (self.threshold + shift).astype(np.float32)
        self._below = (self.threshold - shift).astype(np.float32)
        self.step_ = 0.0
        if self.quantise:
            self.step_ = self._fitting_step(rows[rng.integers(len(rows), size=_SAMPLED_IMAGES)])

    @property
    def device_program(self) -> str | None:
        """The program that there is, which takes an image as it is: the means of `flips` are computed on the host."""
        return None if self.flips else "random-conv"

    @property
    def _epsilon(self) -> float:
        return _ZCA[self.contrast_] if self.zca is None else self.zca

    @property
    def contrast_terms(self) -> tuple[float, float]:
        """root and offset of `patch_statistics`: d^(1/2) (p - mean p) / sqrt(|p - mean p|^2 + 10 d)."""
        values = float(np.prod(self.patch_shape_))
        return (1.0, 0.0) if self.contrast_ == "unit" else (values**0.5, 10.0 * values)

    def validated(self, X: ArrayLike) -> NDArray[Any]:
        rows = super().validated(X)
        if self.contrast_ == "unit":
            return rows
        pixels = as_bytes(rows, self._white)
        if pixels is None:
            raise InputError(
                f"X: got {rows.dtype} that are no bytes, expected pixels of 0 to 255 as fitted on"
            )
        return pixels

    def _check(self, rows: NDArray[Any], pixels: NDArray[np.uint8] | None) -> None:
        for name in ("n_filters", "patch_size", "pool_size", "pool_stride", "n_patches"):
            integer(name, getattr(self, name), 1)
        non_negative("threshold", self.threshold)
        if self.zca is not None:
            non_negative("zca", self.zca)
        if self.power not in (0.5, 1):
            raise InputError(f"power: got {self.power!r}, expected 1 or 0.5")
        integer("random_state", self.random_state, 0)
        contrast_of_rows: Contrast = "unit" if pixels is None else "var10"
        self.contrast_ = contrast_of_rows if self.contrast is None else self.contrast
        for name, choices in (("draw", DRAWS), ("pooling", POOLINGS), ("contrast", (None, *CONTRASTS))):
            if getattr(self, name) not in choices:
                raise InputError(
                    f"{name}: got {getattr(self, name)!r}, expected one of {', '.join(map(str, choices))}"
                )
        if self.contrast_ == "var10" and pixels is None:
            raise InputError(
                f"contrast: got var10 with rows of {rows.dtype}, expected bytes, 0 to 255, of which the 10 is; take "
                "unit"
            )

    def _draw_patches(self, rows: NDArray[Any], count: int, rng: np.random.Generator) -> Float64:
        """(count, d) contrast-normalised patches at random positions in random training images."""
        height, width, channels = self.image_shape_
        down, across, _ = self.patch_shape_
        images = rows.reshape(len(rows), height, width, channels)
        image = rng.integers(len(rows), size=count)[:, None, None]
        y = rng.integers(height - down + 1, size=count)[:, None, None] + np.arange(down)[:, None]
        x = rng.integers(width - across + 1, size=count)[:, None, None] + np.arange(across)
        return contrast_normalise(images[image, y, x].reshape(count, -1), *self.contrast_terms)

    def _draw_filters(self, rows: NDArray[Any], rng: np.random.Generator) -> Float64:
        """(n_filters, d) of length 1; a flat patch has no direction and is drawn anew, ten times at most."""
        d = len(self.mean_)
        if self.draw == "gaussian":
            filters = rng.standard_normal((self.n_filters, d))
        elif self.draw == "laplace":
            filters = rng.laplace(size=(self.n_filters, d))
        else:
            raw = self._draw_patches(rows, self.n_filters, rng)
            for _ in range(10):
                flat = np.flatnonzero(~raw.any(axis=1))
                if len(flat) == 0:
                    break
                raw[flat] = self._draw_patches(rows, len(flat), rng)
            filters = (raw - self.mean_) @ self.whitening_
        lengths = np.sqrt(np.einsum("ij,ij->i", filters, filters))
        unit: Float64 = filters / np.where(lengths > 0, lengths, 1.0)[:, None]
        return unit

    def _fitting_step(self, rows: NDArray[Any]) -> float:
        """`step_`, from features of these rows; filters are drawn alike, so that the first ones stand for all."""
        features = self.filter_block(rows, 0, min(self.n_filters, _SAMPLED_FILTERS))
        largest = float(np.quantile(features, 1 - _BEYOND, method="higher"))
        return 2.0 ** np.ceil(np.log2(largest / 255)) if largest > 0 else 1.0

    @property
    def features_per_filter(self) -> int:  # type: ignore[override]
        """Two signs, each averaged over every window."""
        return 2 * self.n_windows_

    def _block_task(self, start: int, stop: int) -> RowTask:
        return _Part(self, start, stop).rows

    def device_arrays(self, start: int, stop: int) -> tuple[NDArray[Any], ...]:
        """The arrays of `kernelfit.device.protocol.Net` for filters start:stop, in its order."""
        _, width, channels = self.image_shape_
        down, across, _ = self.patch_shape_
        # Values of a patch are numbered (channel, row, column), pixels of an image lie (row, column, channel).
        channel, row, column = np.meshgrid(
            np.arange(channels), np.arange(down), np.arange(across), indexing="ij"
        )
        offsets = (row * width + column) * channels + channel
        spans = [
            np.array([(cuts[a], cuts[b]) for a, b in windows], np.int64).reshape(-1, 2)
            for cuts, windows in (
                (self._row_cuts, self._row_windows),
                (self._column_cuts, self._column_windows),
            )
        ]
        return (
            offsets.astype(np.int64).reshape(-1, 1),
            np.ascontiguousarray(self._folded[:, start:stop], np.float32),
            self._above[start:stop].reshape(-1, 1),
            self._below[start:stop].reshape(-1, 1),
            *spans,
        )

    def device_bytes(self, start: int, stop: int) -> tuple[NDArray[Any], ...] | None:
        """The arrays of `kernelfit.device.protocol.ByteFilters` for filters start:stop, in its order; None where
        responses are not products of bytes, on a CPU either."""
        if not self.quantise or len(self.mean_) > LONGEST_PATCH:
            return None
        return (
            device_places(self.image_shape_, self.patch_shape_),
            device_filters(self._integers[start:stop], self.patch_shape_),
            self._units[start:stop].reshape(-1, 1),
        )

    def filter_pictures(self) -> list[Picture]:
        filters = self.filters_[:64].reshape(-1, *self.patch_shape_)
        return [(f"filter {index}", filter_) for index, filter_ in enumerate(filters)]

    @property
    def filter_count(self) -> int:
        return len(self.filters_)

    def map_pictures(self, row: NDArray[Any]) -> list[Picture]:
        few = min(self.n_filters, 32)
        maps = self.filter_block(self.validated(row), 0, few).reshape(few, 2, *self.windows_)
        return [
            (f"filter {f}, {sign}", maps[f, s])
            for f in range(few)
            for s, sign in enumerate(("above", "below"))
        ]

    @property
    def notes(self) -> tuple[str, ...]:
        """What `quantise` did, and which contrast was taken for rows that are not bytes."""
        rounded = (f"features rounded to 0 to 255 steps of {self.step_:g}",) if self.quantise else ()
        guessed = ("contrast unit: that of bytes, var10, is not for rows that are no bytes",)
        return rounded + (guessed if self.contrast is None and self.contrast_ == "unit" else ())

    @property
    def flops_per_image(self) -> float:
        """Floating point operations of the products of one image with all filters: 2 positions d n_filters."""
        height, width, _ = self.image_shape_
        down, across, _ = self.patch_shape_
        products = 2.0 * (height - down + 1) * (width - across + 1) * len(self.mean_) * self.n_filters
        return 2.0 * products if self.flips else products

    def _names(self) -> list[str]:
        return [
            f"random_conv_f{filter_}_{sign}_y{y}_x{x}"
            for filter_ in range(self.n_filters)
            for sign in ("above", "below")
            for y in range(self.windows_[0])
            for x in range(self.windows_[1])
        ]


def as_bytes(rows: NDArray[Any], white: float = 1.0) -> NDArray[np.uint8] | None:
    """Rows of integers from 0 to 255, or of such integers over 255 where none exceeds 1, as bytes; None for others.

    Where all are 0 and 1 they are either: `white`, 1 or 255, is what stands for 255.
    """
    if rows.dtype == np.uint8:
        return rows
    low, high = (float(rows.min()), float(rows.max())) if rows.size else (0.0, 0.0)
    if not (low >= 0 and high <= 255):
        return None
    levels_as_they_are = high > 1 or (white == 255 and bool(((rows == 0) | (rows == 1)).all()))
    factor = 1.0 if levels_as_they_are else 255.0
    pixels = np.empty(rows.shape, np.uint8)
    for start in range(0, len(rows), 1024):
        levels = rows[start : start + 1024] * factor
        part = np.rint(levels)
        # float32(k / 255) times 255 is off by a rounding of each, and 0 is not.
        moved = np.abs(levels - part)
        if moved.max(initial=0) > (1e-4 if factor > 1 else 0) or moved[part == 0].any():
            return None
        pixels[start : start + 1024] = part
    return pixels


def group_edges(n_filters: int) -> list[tuple[int, int]]:
    """The filters of each group: every 512 of them, and the rest, in as few equal groups of at most 256 as will do.

    It depends on nothing but the number of filters; blocks of 512 consist of whole groups.
    """
    edges: list[int] = [0]
    for start in range(0, n_filters, 2 * FILTERS_PER_GROUP):
        count = min(2 * FILTERS_PER_GROUP, n_filters - start)
        groups = -(-count // FILTERS_PER_GROUP)
        edges += [start + count * i // groups for i in range(1, groups + 1)]
    return list(pairwise(edges))


class _Part:
    """Filters start:stop of a fitted net, in the groups that they belong to.

    Where BLAS ends a product it may add up in another order than within it. So a group is always multiplied whole,
    whichever of its filters are asked for: features have the same bits in every block, and in `transform`.
    """

    def __init__(self, net: RandomConv, start: int, stop: int) -> None:
        self._net, self._start, self._stop = net, start, stop
        self._groups = [
            FilterGroup(
                a,
                b,
                np.ascontiguousarray(net._folded[:, a:b]),
                PackedFilters(net._integers[a:b], net._units[a:b]),
                net._above[a:b],
                net._below[a:b],
            )
            for a, b in group_edges(net.n_filters)
            if a < stop and b > start
        ]
        self._widest = max(group.packed.width for group in self._groups)
        self._words = patch_words(net.image_shape_, net.patch_shape_)
        # Next to steps of 1/256 and the like, what rounding a filter to 16 bits does is nothing.
        self._bytes = net.quantise and bytes_product.available() and len(net.mean_) <= LONGEST_PATCH

    def rows(self, rows: NDArray[Any], features: NDArray[Any], backend: Any) -> None:
        net = self._net
        responses: Responses
        shapes = (net.image_shape_, net.patch_shape_, net.contrast_terms)
        if self._bytes and rows.dtype == np.uint8:
            responses = ByteResponses(*shapes, *self._words, self._widest, backend)
        else:
            responses = FloatResponses(*shapes, self._widest, backend)
        across = net.image_shape_[1] - net.patch_shape_[1] + 1
        cuts = (net._row_cuts, net._column_cuts, net._row_windows, net._column_windows)
        sums = backend.scratch("window sums", 2 * (net.n_windows_ + 1), self._widest, np.float32).reshape(-1)
        pooled = backend.scratch("pooled", 1, 2 * net.n_windows_ * self._widest, np.float32)[0]
        mean = backend.scratch("features", 1, features.shape[1], np.float32)[0]
        for index, pixels in enumerate(rows):
            for side, image in enumerate(self._sides(pixels)):
                responses.take(image)
                for group in self._groups:
                    values = responses.to(group)
                    width = group.stop - group.start
                    cells = sums[: 2 * (net.n_windows_ + 1) * width].reshape(-1, width)
                    whole = pooled[: 2 * net.n_windows_ * width]
                    pool(values, across, cuts, (group.above, group.below), cells, whole)
                    if net.power != 1:
                        np.sqrt(whole, out=whole)
                    a, b = max(group.start, self._start), min(group.stop, self._stop)
                    part = whole[net.columns(a - group.start, b - group.start)]
                    target = mean[net.columns(a - self._start, b - self._start)]
                    target[...] = part if side == 0 else target + part
            if net.flips:
                mean *= np.float32(0.5)
            if net.step_ == 0:
                features[index] = mean
                continue
            unit = 1.0 if features.dtype == np.uint8 else net.step_
            round_to_steps(mean, np.float32(1 / net.step_), np.float32(unit), features[index])

    def _sides(self, pixels: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """An image, and with `flips` its mirror image."""
        if not self._net.flips:
            return (pixels,)
        return pixels, np.ascontiguousarray(pixels.reshape(self._net.image_shape_)[:, ::-1]).reshape(-1)
