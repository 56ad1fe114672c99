"""Contrast normalisation and ZCA whitening, for whole images and for patches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.arguments import non_negative, suggests_names
from kernelfit.cpu.pool import CpuBackend
from kernelfit.features.images import Float32, ImageFeatures, Picture, RowTask, channel_titles, rows_within
from kernelfit.features.patches import FLAT
from kernelfit.progress import Progress

Float64 = NDArray[np.float64]


def contrast_normalise(rows: NDArray[Any], root: float = 1.0, offset: float = 0.0) -> Float64:
    """root (x - mean x) / sqrt(|x - mean x|^2 + offset) for each row x; zeros for a row that is flat to rounding."""
    values = rows.astype(np.float64)
    before = np.sqrt(np.einsum("ij,ij->i", values, values))
    values -= values.mean(axis=1, keepdims=True)
    after = np.sqrt(np.einsum("ij,ij->i", values, values))
    lengths = np.sqrt(after**2 + offset) if offset else after
    values *= np.where(after > FLAT * before, root / np.where(lengths > 0, lengths, 1.0), 0.0)[:, None]
    return values


def zca(covariance: Float64, epsilon: float) -> Float64:
    """W = V (Lambda + epsilon)^(-1/2) V^T for covariance = V Lambda V^T: symmetric, so that images stay images.

    Bell & Sejnowski (1997). A negative eigenvalue (rounding) counts as zero; with epsilon 0 the directions whose
    eigenvalue is below d eps times the largest are dropped, as in a pseudo-inverse.
    """
    eigenvalues, vectors = np.linalg.eigh(covariance)
    eigenvalues = np.maximum(eigenvalues, 0.0)
    shifted = eigenvalues + epsilon
    smallest = len(eigenvalues) * np.finfo(np.float64).eps * eigenvalues[-1]
    used = shifted > smallest
    inverse_roots = np.where(used, 1.0 / np.sqrt(np.where(used, shifted, 1.0)), 0.0)
    whitening: Float64 = (vectors * inverse_roots) @ vectors.T
    return whitening


class Whitening(ImageFeatures):
    """Z = (c(x) - mean) W: each image contrast-normalised by c, then whitened (ZCA) over the training images.

    c(x) = (x - mean x) / |x - mean x|; W as in `zca`. Contrast and whitening can each be turned off.

    Parameters
    ----------
    image_shape, scale, threads : as in every feature map; contrast normalisation makes the result independent
        of `scale`
    contrast : remove each image's mean and divide by its length
    whiten : apply W
    epsilon : added to the eigenvalues of the covariance of the normalised images (whose trace is at most 1)

    Attributes
    ----------
    mean_ : (d,) ; whitening_ : (d, d), both float32; where `whiten` is on
    """

    default_gamma_factor = 1.0

    @suggests_names({})
    def __init__(
        self,
        image_shape: tuple[int, ...] | None = None,
        scale: float = 1.0,
        contrast: bool = True,
        whiten: bool = True,
        epsilon: float = 1e-3,
        threads: int | None = None,
    ) -> None:
        self.image_shape = image_shape
        self.scale = scale
        self.contrast = contrast
        self.whiten = whiten
        self.epsilon = epsilon
        self.threads = threads

    def _fit(self, rows: NDArray[Any], progress: Progress) -> None:
        non_negative("epsilon", self.epsilon)
        d = rows.shape[1]
        self.n_features_out_ = d
        self._rows_per_task = rows_within(8 * d, 2**21, max_rows=256)
        if not self.whiten:
            return
        moments, starts = np.zeros((d, d)), range(0, len(rows), 2048)
        # Taken off first: of moments about 0 an offset of the pixels leaves its own rounding as variance.
        mean = sum(self._normalised(rows[start : start + 2048]).sum(axis=0) for start in starts) / len(rows)
        # One-threaded products, strips of columns on all threads: the bits do not depend on their number.
        with CpuBackend(self.threads) as backend, progress.phase("covariance", len(rows), "rows") as advance:
            for start in starts:
                block = self._normalised(rows[start : start + 2048]) - mean

                def add(left: int, block: Float64 = block) -> None:
                    columns = slice(left, min(left + 512, d))
                    # A copy keeps NumPy on GEMM: its SYRK crashes for large d on some processors.
                    moments[:, columns] += block.T @ block[:, columns].copy()

                backend.run(add, range(0, d, 512))
                advance(len(block))
            self.mean_ = mean.astype(np.float32)
            self.whitening_ = zca(moments / len(rows), self.epsilon).astype(np.float32)
            self._mean, self._whitening = mean, self.whitening_.astype(np.float64)

    def _normalised(self, rows: NDArray[Any]) -> Float64:
        values = rows * np.float64(self.scale)
        return contrast_normalise(values) if self.contrast else values

    def _task(self) -> RowTask:
        return self._transform_rows

    def _transform_rows(self, rows: NDArray[Any], features: Float32, backend: Any) -> None:
        values = self._normalised(rows)
        if self.whiten:
            # In float32 BLAS would give equal images features that differ, by where each stands among the others.
            features[...] = (values - self._mean) @ self._whitening
        else:
            features[...] = values

    def filter_pictures(self) -> list[Picture]:
        """Rows of W for pixels on a coarse grid: each a bump with a surround of the other sign."""
        height, width, channels = self.image_shape_
        if not self.whiten:
            alone = np.zeros(self.image_shape_, np.float32)
            alone[height // 2, width // 2] = 1
            return [("no whitening", alone)]
        positions = [
            (y, x, channel)
            for y in np.unique(np.linspace(0, height - 1, 4).astype(int))
            for x in np.unique(np.linspace(0, width - 1, 4).astype(int))
            for channel in range(channels)
        ]
        rows = self.whitening_.reshape(height, width, channels, height, width, channels)
        titles = channel_titles(channels)
        return [(f"pixel {y}, {x}{titles[channel]}", rows[y, x, channel]) for y, x, channel in positions]

    @property
    def filter_count(self) -> int:
        """One for each value of an image."""
        return len(self.whitening_) if self.whiten else 1

    def map_pictures(self, row: NDArray[Any]) -> list[Picture]:
        return [("whitened", self.transform(row).reshape(self.image_shape_))]

    def _names(self) -> list[str]:
        height, width, channels = self.image_shape_
        positions = [(y, x) for y in range(height) for x in range(width)]
        return [f"whitening_y{y}_x{x}_c{channel}" for y, x in positions for channel in range(channels)]
