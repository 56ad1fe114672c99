"""Gabor energies: moduli of complex band-pass filters, pooled, compressed and laid on a coarse grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.arguments import finite, integer, positive, suggests_names
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError, shown
from kernelfit.features.images import Float32, ImageFeatures, Picture, RowTask, channel_titles, rows_within
from kernelfit.features.pooling import gaussian_pooling, grid, pool_maps
from kernelfit.progress import Progress

# A filter is cut off where its envelope has fallen to exp(-3^2 / 2) = 1.1 % of its peak.
_CUT_OFF = 3.0

# Standard deviations in pixels: beside the peak of a narrower envelope nothing but rounding is left, and of narrower
# pooling nothing at all at a position between two pixels.
_NARROWEST, _NARROWEST_POOLING = 0.2, 0.1

# Training rows that the maps' root mean squares are taken over: with 2,000 the sampling error is some 1 %.
_ROWS_FOR_SCALES = 2000


def gabor_filter(wavelength: float, angle: float, bandwidth: float) -> NDArray[np.complex128]:
    """g(u) = e(u) (exp(2 pi i u_theta / wavelength) - beta) / sum |g|, on a square grid of pixels.

    e is the Gaussian of standard deviation sigma = bandwidth * wavelength (pixels), u_theta = x cos(angle) +
    y sin(angle) the coordinate along the wave, and beta the number that makes the sum of g zero on the grid: a
    constant image gives exactly no response. Divided by the sum of |g|, an edge answers alike at every scale.
    Daugman (1985); the zero-mean carrier as in Lee (1996), "Image representation using 2D Gabor wavelets".
    """
    sigma = bandwidth * wavelength
    reach = max(1, int(np.ceil(_CUT_OFF * sigma)))
    steps = np.arange(-reach, reach + 1)
    y, x = np.meshgrid(steps, steps, indexing="ij")
    envelope = np.exp(-(x * x + y * y) / (2 * sigma * sigma))
    wave = np.exp(2j * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / wavelength)
    beta = (envelope * wave).sum() / envelope.sum()
    psi = envelope * (wave - beta)
    scaled: NDArray[np.complex128] = psi / np.abs(psi).sum()
    return scaled


class Gabor(ImageFeatures):
    r"""Z = for each filter, (pooled |x * g|)^power on a grid, each map divided by its root mean square.

    1. Response: x * g for every wavelength (pixels) and every orientation pi k / n_orientations; the image is
       surrounded by zeros. Filters: see `gabor_filter`.
    2. Modulus |x * g|: forgets the phase, so that an edge may move within its wavelength.
    3. Pooling: Gaussian of standard deviation `pool_sigma` (pixels), read every `stride` pixels on a centred grid.
    4. Each map is divided by its root mean square over (at most 2,000) training rows, then raised to `power` (1/2:
       the square root, which makes the distance of two images one of Hellinger type, less ruled by the strongest
       strokes). The low-pass map keeps its sign.
    5. The image itself, pooled in the same way (`low_pass`), is one more map.
    6. `normalize`: each row of Z is divided by its Euclidean length.

    The defaults are those of the smallest leave-one-out error on training rows of MNIST (docs/features.md).

    Parameters
    ----------
    image_shape : (height, width[, channels]); None: a square grey image, or one row of pixels
    scale : factor from X to the working range (1/255 for bytes)
    wavelengths : of the filters, in pixels; at least 2
    n_orientations : filters of each wavelength, evenly turned over half a circle
    bandwidth : standard deviation of a filter's envelope / its wavelength
    pool_sigma : standard deviation of the pooling, in pixels
    stride : pixels between the positions at which pooled maps are read
    power : exponent of the pooled maps, in (0, 1]; 1 leaves them as they are
    low_pass : add the pooled image itself as a map
    normalize : divide each row of features by its length
    threads : threads; None for those available to this process

    Attributes
    ----------
    filters_ : list of complex arrays, one for each wavelength and orientation, in this order
    scales_ : (channels, maps) root mean squares that divide the pooled maps
    default_gamma_factor : c of the recommended gamma = c / (median squared distance of rows of Z)
    """

    default_gamma_factor = 0.5  # smallest leave-one-out error with the default bank: docs/features.md

    @suggests_names({})
    def __init__(
        self,
        image_shape: tuple[int, ...] | None = None,
        scale: float = 1.0,
        wavelengths: Sequence[float] = (3.0, 4.0, 6.0, 8.0),
        n_orientations: int = 8,
        bandwidth: float = 0.56,
        pool_sigma: float = 2.0,
        stride: int = 4,
        power: float = 0.5,
        low_pass: bool = True,
        normalize: bool = True,
        threads: int | None = None,
    ) -> None:
        self.image_shape = image_shape
        self.scale = scale
        self.wavelengths = wavelengths
        self.n_orientations = n_orientations
        self.bandwidth = bandwidth
        self.pool_sigma = pool_sigma
        self.stride = stride
        self.power = power
        self.low_pass = low_pass
        self.normalize = normalize
        self.threads = threads

    def _fit(self, rows: NDArray[Any], progress: Progress) -> None:
        import scipy.fft

        self._check()
        height, width, channels = self.image_shape_
        self.filters_ = [
            gabor_filter(wavelength, np.pi * k / self.n_orientations, self.bandwidth)
            for wavelength in self.wavelengths
            for k in range(self.n_orientations)
        ]
        # Filters that reach further than the image see nothing there; wrap-around must not reach the image.
        reach = max(psi.shape[0] // 2 for psi in self.filters_)
        self._padded = tuple(scipy.fft.next_fast_len(side + min(reach, side - 1)) for side in (height, width))
        down, across = self._padded
        self._rows_per_task = rows_within(8 * down * across, 2**20, max_rows=64)
        self._spectra = [self._spectrum(psi) for psi in self.filters_]
        self._pool = [gaussian_pooling(side, self.pool_sigma, self.stride) for side in (height, width)]
        self._cells = self._pool[0].shape[0] * self._pool[1].shape[0]
        self._maps = len(self.filters_) + bool(self.low_pass)
        self.n_features_out_ = channels * self._maps * self._cells
        self.scales_ = np.ones((channels, self._maps), np.float32)
        self.scales_ = self._root_mean_squares(rows, progress)

    def _check(self) -> None:
        integer("n_orientations", self.n_orientations, 1)
        integer("stride", self.stride, 1)
        positive("bandwidth", self.bandwidth)
        positive("pool_sigma", self.pool_sigma)
        positive("power", self.power)
        if self.power > 1:
            raise InputError(
                f"power: got {self.power}, expected a number in (0, 1]; 1 leaves the maps as they are"
            )
        if np.ndim(self.wavelengths) != 1:
            raise InputError(f"wavelengths: got {shown(self.wavelengths)}, expected lengths in pixels")
        if len(self.wavelengths) == 0:
            raise InputError("wavelengths: got none, expected at least one length in pixels")
        for wavelength in self.wavelengths:
            if finite("wavelengths", wavelength) < 2:
                raise InputError(
                    f"wavelengths: got {wavelength}, expected at least 2 pixels, the shortest wave that pixels hold"
                )
        shortest = float(min(self.wavelengths))
        if self.bandwidth * shortest < _NARROWEST:
            raise InputError(
                f"bandwidth: got {self.bandwidth}, an envelope of {self.bandwidth * shortest:.3g} pixels at the "
                f"wavelength {shortest:g}, expected at least {_NARROWEST} pixels; give "
                f"{_NARROWEST / shortest:.3g} or more"
            )
        between = any(grid(side, self.stride)[0] % 1 for side in self.image_shape_[:2])
        if between and self.pool_sigma < _NARROWEST_POOLING:
            raise InputError(
                f"pool_sigma: got {self.pool_sigma}, expected at least {_NARROWEST_POOLING} pixels, as maps are read "
                "between pixels; give more, or a stride of 1"
            )

    def _spectrum(self, psi: NDArray[np.complex128]) -> NDArray[np.complex64]:
        """The filter's transform on the padded grid, its centre at the origin, with an axis for the images."""
        import scipy.fft

        height, width = self.image_shape_[:2]
        reach = psi.shape[0] // 2
        down, across = min(reach, height - 1), min(reach, width - 1)
        psi = psi[reach - down : reach + down + 1, reach - across : reach + across + 1]
        placed = np.zeros(self._padded, complex)
        rows = np.arange(-down, down + 1) % self._padded[0]
        columns = np.arange(-across, across + 1) % self._padded[1]
        placed[rows[:, None], columns] = psi
        spectrum: NDArray[np.complex64] = scipy.fft.fft2(placed).astype(np.complex64)[:, :, None]
        return spectrum

    def _root_mean_squares(self, rows: NDArray[Any], progress: Progress) -> Float32:
        """Root mean square of each map over training rows spread evenly; 1 for a map that is zero."""
        rows = rows[:: -(-len(rows) // _ROWS_FOR_SCALES)]
        starts = range(0, len(rows), self._rows_per_task)
        sums = np.zeros((len(starts), *self.scales_.shape))
        with (
            CpuBackend(self.threads) as backend,
            progress.phase("feature scales", len(rows), "rows") as advance,
        ):

            def task(index: int) -> None:
                part = rows[starts[index] : starts[index] + self._rows_per_task]
                maps = self._pooled(part)
                sums[index] = np.square(maps, dtype=np.float64).sum(axis=(2, 3))
                advance(len(part))

            backend.run(task, range(len(starts)))
        means = sums.sum(axis=0) / (len(rows) * self._cells)
        return np.where(means > 0, np.sqrt(means), 1.0).astype(np.float32)

    def _pooled(self, rows: NDArray[Any]) -> Float32:
        """Pooled moduli (channels, maps, cells, n), the images last: long vectors for FFT and GEMM alike."""
        import scipy.fft

        height, width, channels = self.image_shape_
        images = np.ascontiguousarray(self._images(rows).transpose(3, 1, 2, 0))
        maps = np.empty((channels, self._maps, self._cells, len(rows)), np.float32)
        for channel in range(channels):
            image = images[channel]
            spectrum = scipy.fft.fft2(image, self._padded, axes=(0, 1), workers=1)
            for index, psi in enumerate(self._spectra):
                # Rows outside the image are dropped before the second axis is transformed.
                half = scipy.fft.ifft(spectrum * psi, axis=0, workers=1, overwrite_x=True)[:height]
                response = scipy.fft.ifft(half, axis=1, workers=1)[:, :width]
                pool_maps(np.abs(response), *self._pool, maps[channel, index])
            if self.low_pass:
                pool_maps(image, *self._pool, maps[channel, -1])
        return maps

    def _task(self) -> RowTask:
        return self._transform_rows

    def _transform_rows(self, rows: NDArray[Any], features: Float32, backend: Any) -> None:
        maps = self._pooled(rows)
        maps /= self.scales_[:, :, None, None]
        if self.power != 1:
            # Only the low-pass of an image with negative values has a sign, which stays.
            size = np.abs(maps)
            compressed = np.sqrt(size) if self.power == 0.5 else np.power(size, np.float32(self.power))
            maps = np.copysign(compressed, maps)
        features[...] = maps.reshape(-1, len(rows)).T
        if self.normalize:
            lengths = np.sqrt(np.einsum("ij,ij->i", features, features, dtype=np.float64))
            features /= np.where(lengths > 0, lengths, 1.0).astype(np.float32)[:, None]

    def filter_pictures(self) -> list[Picture]:
        return [(title, psi.real) for title, psi in zip(self._titles(), self.filters_, strict=False)]

    def map_pictures(self, row: NDArray[Any]) -> list[Picture]:
        down, across = (len(pool) for pool in self._pool)
        maps = self.transform(row).reshape(-1, down, across)
        titles = [
            f"{title}{colour}" for colour in channel_titles(self.image_shape_[2]) for title in self._titles()
        ]
        return list(zip(titles, maps, strict=True))

    def _titles(self) -> list[str]:
        """The labels in words: wavelength in pixels, direction of the wave in degrees."""
        turns = [f"{180 * k / self.n_orientations:g}°" for k in range(self.n_orientations)]
        titles = [f"{w:g} px, {turn}" for w in self.wavelengths for turn in turns]
        return titles + ["smoothed"] * bool(self.low_pass)

    def _labels(self) -> list[str]:
        labels = [f"w{w:g}_o{k}" for w in self.wavelengths for k in range(self.n_orientations)]
        return labels + ["low"] * bool(self.low_pass)

    def _names(self) -> list[str]:
        down, across = (len(pool) for pool in self._pool)
        return [
            f"gabor_c{channel}_{label}_y{y}_x{x}"
            for channel in range(self.image_shape_[2])
            for label in self._labels()
            for y in range(down)
            for x in range(across)
        ]
