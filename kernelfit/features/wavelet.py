"""Wavelet energies: moduli of a 2-D wavelet transform's coefficients, pooled on the transform's own grids."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from kernelfit.arguments import integer, suggests_names
from kernelfit.errors import InputError
from kernelfit.features.images import Float32, ImageFeatures, Picture, RowTask, rows_within
from kernelfit.features.pooling import averaging, pool_maps
from kernelfit.progress import Progress
from kernelfit.typing import WaveletTransform

TRANSFORMS: tuple[WaveletTransform, ...] = get_args(WaveletTransform)
_BANDS = ("horizontal", "vertical", "diagonal")


class Wavelet(ImageFeatures):
    r"""Z = averages over `pool` x `pool` coefficients of |w|, for every band and level, and of the approximation.

    w are the coefficients of PyWavelets' 2-D transform of each channel: `discrete` (`pywt.wavedec2`, halved at
    each level; levels past `pywt.dwtn_max_level` see mostly the border, and are allowed) or `stationary`
    (`pywt.swt2`, every level at full size: not changed by a shift). `modulus` False keeps the signs, and with
    `pool` 1 the features are then the coefficients themselves.

    Differences from PyWavelets: for `stationary` the image is padded on the right and below, in `mode`, to the
    next multiple of 2^levels that the transform needs; the bands follow one another from the coarsest to the
    finest, each as (horizontal, vertical, diagonal), after the approximation.

    Parameters
    ----------
    image_shape : (height, width[, channels]); None: a square grey image, or one row of pixels
    scale : factor from X to the working range (1/255 for bytes)
    transform_kind : `discrete` or `stationary`
    wavelet : any discrete wavelet of `pywt.wavelist(kind="discrete")`
    levels : 0 takes the image alone; None the most that the image allows (`pywt.dwtn_max_level`), at least 1
    mode : how the image continues past its border (`pywt.Modes`)
    modulus : take the absolute values of the coefficients, the approximation's excepted
    pool : side of the squares of coefficients that are averaged; 1 keeps every coefficient
    threads : threads; None for those available to this process

    Attributes
    ----------
    levels_ : the number of levels used
    default_gamma_factor : c of the recommended gamma = c / (median squared distance of rows of Z)
    """

    default_gamma_factor = 1.0

    @suggests_names({})
    def __init__(
        self,
        image_shape: tuple[int, ...] | None = None,
        scale: float = 1.0,
        transform_kind: WaveletTransform = "discrete",
        wavelet: str = "db2",
        levels: int | None = 2,
        mode: str = "zero",
        modulus: bool = True,
        pool: int = 1,
        threads: int | None = None,
    ) -> None:
        self.image_shape = image_shape
        self.scale = scale
        self.transform_kind = transform_kind
        self.wavelet = wavelet
        self.levels = levels
        self.mode = mode
        self.modulus = modulus
        self.pool = pool
        self.threads = threads

    def _fit(self, rows: NDArray[Any], progress: Progress) -> None:
        import pywt

        integer("pool", self.pool, 1)
        if self.transform_kind not in TRANSFORMS:
            raise InputError(
                f"transform_kind: got {self.transform_kind!r}, expected one of {', '.join(TRANSFORMS)}"
            )
        if self.mode not in pywt.Modes.modes:
            raise InputError(f"mode: got {self.mode!r}, expected one of {', '.join(pywt.Modes.modes)}")
        if self.wavelet not in pywt.wavelist(kind="discrete"):
            raise InputError(
                f"wavelet: got {self.wavelet!r}, expected a discrete wavelet such as haar, db2, sym4, coif1, bior2.2"
            )
        height, width, channels = self.image_shape_
        if self.levels is None:
            self.levels_ = max(1, pywt.dwtn_max_level((height, width), self.wavelet))
        else:
            integer("levels", self.levels, 0)
            self.levels_ = int(self.levels)
        if 2**self.levels_ > 2 * max(height, width):
            raise InputError(
                f"levels: got {self.levels_}, expected 2^levels <= 2 x {max(height, width)} pixels; lower it"
            )
        try:
            bands = self._bands(np.zeros((1, height, width, channels), np.float32))
        except ValueError:  # PyWavelets' only one here: a line of one pixel has no reflection
            raise InputError(
                f"mode: got {self.mode!r}, which continues no line of one pixel, as there is at a level of images of "
                f"{height} x {width}; take symmetric, or fewer levels"
            ) from None
        per_row = 4 * sum(band[0].size for _, band in bands)
        self._rows_per_task = rows_within(per_row, 2**21, max_rows=128)
        self._grids = [(-(-band.shape[1] // self.pool), -(-band.shape[2] // self.pool)) for _, band in bands]
        self._labels = [label for label, _ in bands]
        self.n_features_out_ = channels * sum(down * across for down, across in self._grids)

    def _bands(self, images: Float32) -> list[tuple[str, Float32]]:
        """Pairs (label, coefficients (n, rows, columns, channels))."""
        import pywt

        axes = (1, 2)
        no_details: list[tuple[Float32, ...]] = []
        if self.transform_kind == "discrete":
            approximation, details = images, no_details
            for _ in range(self.levels_):
                approximation, triple = pywt.dwt2(approximation, self.wavelet, mode=self.mode, axes=axes)
                details.insert(0, triple)
        elif self.levels_ == 0:
            approximation, details = images, no_details
        else:
            multiple = 2**self.levels_
            padded = images
            for axis in axes:
                padded = _continued(padded, axis, -images.shape[axis] % multiple, self.mode)
            coefficients = pywt.swt2(padded, self.wavelet, level=self.levels_, trim_approx=True, axes=axes)
            approximation, details = coefficients[0], coefficients[1:]
        bands = [("approximation", approximation)]
        for index, triple in enumerate(details):
            level = self.levels_ - index
            bands += [(f"{name}{level}", band) for name, band in zip(_BANDS, triple, strict=True)]
        return bands

    def _task(self) -> RowTask:
        return self._transform_rows

    def _transform_rows(self, rows: NDArray[Any], features: Float32, backend: Any) -> None:
        start = 0
        for label, band in self._bands(self._images(rows)):
            if self.modulus and label != "approximation":
                band = np.abs(band)
            # Images and channels last: each of them has its sums in the same order, wherever it stands.
            maps = np.ascontiguousarray(np.moveaxis(band, 0, 2), np.float32)
            down, across = averaging(maps.shape[0], self.pool), averaging(maps.shape[1], self.pool)
            pooled = np.empty((len(down) * len(across), *maps.shape[2:]), np.float32)
            pool_maps(
                maps.reshape(*maps.shape[:2], -1), down, across, pooled.reshape(len(down) * len(across), -1)
            )
            stop = start + pooled[:, 0].size
            features[:, start:stop] = np.moveaxis(pooled, 1, 0).reshape(len(rows), -1)
            start = stop

    def filter_pictures(self) -> list[Picture]:
        import pywt

        low, high = pywt.Wavelet(self.wavelet).filter_bank[:2]
        products = {"approximation": (low, low), "horizontal": (high, low), "vertical": (low, high)}
        products["diagonal"] = (high, high)
        return [(f"{self.wavelet} {label}", np.outer(y, x)) for label, (y, x) in products.items()]

    def map_pictures(self, row: NDArray[Any]) -> list[Picture]:
        features = self.transform(row)[0]
        pictures, start = [], 0
        for label, grid in zip(self._labels, self._grids, strict=True):
            shape = (*grid, self.image_shape_[2])
            stop = start + int(np.prod(shape))
            pictures.append((_title(label), features[start:stop].reshape(shape)))
            start = stop
        return pictures

    def _names(self) -> list[str]:
        return [
            f"wavelet_{label}_y{y}_x{x}_c{channel}"
            for label, (down, across) in zip(self._labels, self._grids, strict=True)
            for y in range(down)
            for x in range(across)
            for channel in range(self.image_shape_[2])
        ]


def _continued(images: Float32, axis: int, padding: int, mode: str) -> Float32:
    """The images with `padding` more pixels at the end of an axis, as `pywt.pad` gives them to one line of pixels.

    Of several axes it cannot pad some by nothing in `smooth` and `antisymmetric`, and evens out all in `periodization`.
    """
    import pywt

    if padding == 0:
        return images
    if mode not in ("smooth", "antisymmetric", "periodization"):
        widths = [(0, padding if other == axis else 0) for other in range(images.ndim)]
        padded: Float32 = pywt.pad(images, widths, mode)
        return padded
    lines = np.moveaxis(images, axis, -1)
    side = lines.shape[-1]
    if mode == "smooth":
        last = lines[..., -1:]
        slope = last - lines[..., [max(side - 2, 0)]]
        lines = np.concatenate([lines, last + np.arange(1, padding + 1, dtype=np.float32) * slope], -1)
    else:
        # Pixels from within, perhaps with the other sign. `pywt.pad` makes an odd side even by itself.
        own = side % 2 if mode == "periodization" else 0
        source = pywt.pad(np.arange(1, side + 1, dtype=np.float32), (0, padding - own), mode)
        lines = lines[..., np.abs(source).astype(np.intp) - 1] * np.sign(source)
    return np.moveaxis(lines, -1, axis)


def _title(label: str) -> str:
    """horizontal2 -> horizontal, level 2."""
    name = label.rstrip("0123456789")
    return f"{name}, level {label.removeprefix(name)}" if label != name else label
