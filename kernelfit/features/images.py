"""What all feature maps share: rows of pixels in, float32 features out, as scikit-learn transformers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from kernelfit.arguments import integer, positive
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.progress import Progress, ProgressLike, Silent, as_progress

Float32 = NDArray[np.float32]
ImageShape = tuple[int, int, int]
Picture = tuple[str, NDArray[Any]]
RowTask = Callable[[NDArray[Any], Float32, Any], None]

#: float64 stands first: what is neither bytes nor a float is converted to it
_DTYPES = [np.float64, np.float32, np.uint8]
# Of pixels, as they are and scaled: sums of them fit float32, and so do filtered ones with all of their digits.
_LARGEST, _SMALLEST = 1e30, 1e-30


def infer_shape(d: int) -> ImageShape:
    """A square grey image where d is a square number, else one row of d grey pixels."""
    side = math.isqrt(d)
    return (side, side, 1) if side * side == d else (1, d, 1)


def check_shape(image_shape: Any, d: int) -> ImageShape:
    """`image_shape` as (height, width, channels) with product d; None is inferred. Raises `InputError`."""
    if image_shape is None:
        return infer_shape(d)
    shape = tuple(image_shape) if isinstance(image_shape, Sequence) or np.ndim(image_shape) == 1 else ()
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3 or not all(isinstance(side, Integral) and int(side) >= 1 for side in shape):
        raise InputError(
            f"image_shape: got {image_shape!r}, expected (height, width, channels), integers >= 1"
        )
    if math.prod(shape) != d:
        raise InputError(
            f"image_shape: got {image_shape!r} with {math.prod(shape)} values, expected {d} as each row of X has; "
            "give the shape of the images in C order (height, width, channels)"
        )
    return int(shape[0]), int(shape[1]), int(shape[2])


def rows_within(bytes_per_row: int, bytes_in_all: int, max_rows: int) -> int:
    """Rows, `max_rows` at most and at least one, that take `bytes_in_all` or less."""
    return max(1, min(max_rows, bytes_in_all // max(bytes_per_row, 1)))


def channel_titles(channels: int) -> tuple[str, ...]:
    """What is added to the title of a picture of one channel: nothing for a grey image, else its colour."""
    if channels == 1:
        return ("",)
    if channels == 3:
        return (", red", ", green", ", blue")
    return tuple(f", channel {channel}" for channel in range(channels))


class ImageFeatures(TransformerMixin, BaseEstimator):
    """Base of the feature maps: X (n, height * width * channels) -> Z (n, n_features) float32.

    A subclass sets its options up in `_fit` and gives the computation of a few rows by `_task`. `X` is uint8,
    float32 or float64, its rows in C order (height, width, channel); the constructor's `scale` multiplies it.

    Attributes after `fit`
    ----------------------
    image_shape_ : (height, width, channels)
    n_features_out_ : columns of Z
    """

    image_shape: Any
    scale: float
    threads: int | None
    image_shape_: ImageShape
    n_features_out_: int

    #: the kernel that `Experiment` and the command line take where none is named
    default_kernel: ClassVar[str] = "gaussian"
    #: whether there may be too many features to hold at once, so that their Gram is summed over blocks of filters
    streams: ClassVar[bool] = False
    #: rows computed by one task; a subclass lowers it in `_fit` so that the blocks of large images stay small
    _rows_per_task = 64

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the features once they are fitted, such as that they were rounded."""
        return ()

    def fit(self, X: ArrayLike, y: Any = None, *, progress: ProgressLike = None) -> ImageFeatures:
        """Take the image shape from X and prepare the filters; `y` is ignored."""
        rows = validate_data(self, X, dtype=_DTYPES)
        self.image_shape_ = check_shape(self.image_shape, rows.shape[1])
        positive("scale", self.scale)
        self._require_range(rows)
        self._fit(rows, as_progress(progress))
        return self

    def transform(self, X: ArrayLike, *, progress: ProgressLike = None) -> Float32:
        """Z (n, n_features_out_) float32."""
        rows = self.validated(X)
        features = np.empty((len(rows), self.n_features_out_), np.float32)
        self._compute(self._task(), rows, features, as_progress(progress))
        return features

    def blocks(self, X: ArrayLike, rows_per_block: int = 1024) -> Iterator[tuple[slice, Float32]]:
        """The features of consecutive rows, `rows_per_block` at a time: pairs (rows, Z[rows])."""
        rows_per_block = integer("rows_per_block", rows_per_block, 1)
        rows = self.validated(X)
        for start in range(0, len(rows), rows_per_block):
            part = slice(start, min(start + rows_per_block, len(rows)))
            features = np.empty((part.stop - start, self.n_features_out_), np.float32)
            self._compute(self._task(), rows[part], features, Silent())
            yield part, features

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """One name for each column of Z."""
        check_is_fitted(self)
        return np.array(self._names(), dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # float32 out, whatever comes in
        return tags

    def validated(self, X: ArrayLike) -> NDArray[Any]:
        """The rows of X as `transform` reads them; InputError or ValueError where they are not like those of `fit`."""
        check_is_fitted(self)
        rows: NDArray[Any] = validate_data(self, X, dtype=_DTYPES, reset=False)
        self._require_range(rows, 0.0)
        return rows

    def _require_range(self, rows: NDArray[Any], smallest: float = _SMALLEST) -> None:
        """Raise `InputError` for pixels that float32 loses, but for zeros; dark rows may stand beside others."""
        if rows.dtype.kind != "f" or rows.size == 0:
            return
        largest = max(float(rows.max()), -float(rows.min()))
        for value, words in ((largest, ""), (largest * self.scale, f" times scale {self.scale:g}")):
            if value != 0 and not smallest <= value <= _LARGEST:
                raise InputError(
                    f"X: got numbers up to {largest:.3g}{words}, expected the largest between {_SMALLEST:g} and "
                    f"{_LARGEST:g}, as features are float32; divide X by a power of ten"
                )

    def _compute(self, compute: RowTask, rows: NDArray[Any], features: Float32, progress: Progress) -> None:
        """features <- Z of `rows`: `compute` on a few rows at a time, on one pool of threads."""
        starts = range(0, len(rows), self._rows_per_task)
        with CpuBackend(self.threads) as backend, progress.phase("features", len(rows), "rows") as advance:

            def task(start: int) -> None:
                part = slice(start, min(start + self._rows_per_task, len(rows)))
                compute(rows[part], features[part], backend)
                advance(part.stop - start)

            backend.run(task, starts)

    def filter_pictures(self) -> list[Picture]:
        """What the filters look like: pairs (label, (height, width) or (height, width, channels)).

        Raises `InputError` where a map has none to show.
        """
        raise InputError(
            f"features: {type(self).__name__} has no pictures of its filters; leave the pictures out"
        )

    @property
    def filter_count(self) -> int:
        """How many filters the map has, of which `filter_pictures` may show some."""
        return len(self.filter_pictures())

    def map_pictures(self, row: NDArray[Any]) -> list[Picture]:
        """The features of one image (1, d) laid out as maps: pairs (label, picture). Raises as `filter_pictures`."""
        raise InputError(
            f"features: {type(self).__name__} has no pictures of its maps; leave the pictures out"
        )

    def _images(self, rows: NDArray[Any]) -> Float32:
        """(n, height, width, channels) float32 in the working range."""
        images = np.multiply(rows, np.float32(self.scale), dtype=np.float32, casting="unsafe")
        return images.reshape(len(rows), *self.image_shape_)

    def _fit(self, rows: NDArray[Any], progress: Progress) -> None:
        raise NotImplementedError

    def _task(self) -> RowTask:
        """What computes some rows of Z on one thread: (rows, features, backend), features being written."""
        raise NotImplementedError

    def _names(self) -> list[str]:
        raise NotImplementedError
