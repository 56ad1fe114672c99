"""A toy feature map that streams: absolute values of random projections of the pixels, one column for each filter."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.arguments import integer
from kernelfit.features.images import Float32, RowTask
from kernelfit.features.streaming import StreamingImageFeatures
from kernelfit.progress import Progress


class RandomProjections(StreamingImageFeatures):
    """Z = |X w_f| for directions w_f drawn for each filter.

    Parameters
    ----------
    image_shape, scale, threads : as in every feature map
    n_filters : directions
    random_state : seed of the draws
    """

    default_gamma_factor = 1.0
    features_per_filter = 1

    def __init__(
        self,
        image_shape: tuple[int, ...] | None = None,
        scale: float = 1.0,
        n_filters: int = 100,
        random_state: int = 0,
        threads: int | None = None,
    ) -> None:
        self.image_shape, self.scale, self.threads = image_shape, scale, threads
        self.n_filters, self.random_state = n_filters, random_state

    def _fit(self, rows: NDArray[Any], progress: Progress) -> None:
        self.n_features_out_ = integer("n_filters", self.n_filters, 1)
        rng = np.random.default_rng(self.random_state)
        self.directions_ = rng.standard_normal((self.n_filters, rows.shape[1])) / np.sqrt(rows.shape[1])

    def _block_task(self, start: int, stop: int) -> RowTask:
        def task(rows: NDArray[Any], features: Float32, backend: Any) -> None:
            pixels = rows.astype(np.float64) * self.scale
            for column, direction in enumerate(self.directions_[start:stop]):
                features[:, column] = np.abs((pixels * direction).sum(axis=1))

        return task

    def _names(self) -> list[str]:
        return [f"projection{f}" for f in range(self.n_filters)]
