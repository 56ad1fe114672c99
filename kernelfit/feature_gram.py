"""The linear kernel of streamed features: Gram matrices from one pass over the filters, resumable.

K = Z Z^T / s and K_test = Z_test Z^T / s, where Z are the features of a random convolution net and s the mean
diagonal, so that K has mean diagonal 1 and a ridge is relative to it. Z itself never exists.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from kernelfit.backends.choose import open_device
from kernelfit.backends.device import Device
from kernelfit.errors import InputError
from kernelfit.features.accumulate import accumulate, filters_per_block
from kernelfit.features.device_random_conv import DeviceNet
from kernelfit.features.random_conv import RandomConv
from kernelfit.gram.device_gram import fetch, put
from kernelfit.gram.device_panel_gram import DevicePanelGram
from kernelfit.gram.plan import PanelLayout
from kernelfit.gram.source import PanelGram
from kernelfit.progress import Progress, Silent
from kernelfit.storage import hdf5

_FORM = "kernelfit Gram of features, unfinished"
_VERSION = 1
# Panels of a Gram on a device, as wide as products want them there.
_DEVICE_WIDTH = 2_048


@dataclass(frozen=True)
class FeatureGram:
    """K of the training rows as packed panels, and the test rows' kernel with them.

    Attributes
    ----------
    gram : K (n, n), for `kernelfit.solve(gram, Y, kernel="precomputed")`; summed up on a device it stays there, is
        solved there by device="auto", and keeps the device until `gram.close()`; one solution at a time may be open
    cross : (m, n), for `Solution.predict`
    mean_diagonal : s, the mean of |z_i|^2 that both were divided by
    n_features : columns of Z
    """

    gram: PanelGram
    cross: NDArray[Any]
    mean_diagonal: float
    n_features: int


def feature_gram(
    net: RandomConv,
    train: ArrayLike,
    test: ArrayLike,
    *,
    dtype: DTypeLike = np.float64,
    per_block: int | None = None,
    panel_width: int | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 600.0,
    device: str | Device = "cpu",
    progress: Progress | None = None,
) -> FeatureGram:
    """K and K_test of the fitted `net`, block of filters by block.

    Peak memory is the packed Gram (n^2 / 2 numbers), `cross` and one block of features (1 GB at most by default).

    Parameters
    ----------
    net : fitted
    train, test : (n, d), (m, d) rows; m may be 0
    dtype : float64, or float32 for half the memory; products are float32 either way (see `accumulate`)
    per_block : filters at a time
    panel_width : of the packed panels; by default what the solver takes for this n
    checkpoint : a file to keep the sums in, at most every `checkpoint_seconds` after a block. Where it is there
        already, the work goes on from it, if it is of the same rows, net and sizes. Deleted by whoever made it
    device : "cpu", "cuda", "cuda:1", ..., "auto", or an open device, which the result then owns

    Raises
    ------
    InputError : sizes, or a checkpoint of other rows or another net
    DeviceError : a device that cannot be had, is lost or is too small; a checkpoint stays
    DataError, StorageError : a checkpoint that cannot be read or written
    """
    progress = progress or Silent()
    train_rows = np.ascontiguousarray(net.validated(train))
    test_rows = np.asarray(test)
    if len(test_rows) > 0:  # none is allowed here
        test_rows = np.ascontiguousarray(net.validated(test_rows))
    n = len(train_rows)
    kind = np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        raise InputError(f"dtype: got {kind}, expected float32 or float64")
    opened = open_device(device, n, progress.note)
    try:
        layout = PanelLayout.of_order(n) if opened is None else PanelLayout(n, min(_DEVICE_WIDTH, n))
        if panel_width is not None:
            layout = PanelLayout(n, min(panel_width, n))
        per_block = per_block or (filters_per_block(net, n + len(test_rows)) if opened is None else None)
        sums: _Sums | _DeviceSums
        if opened is None:
            sums = _Sums(layout, len(test_rows), kind)
        else:
            sums = _DeviceSums(opened, layout, len(test_rows), kind)
        path = Path(checkpoint) if checkpoint is not None else None
        identity = _identity(net, train_rows, test_rows, layout, kind, per_block) if path is not None else {}
        done = 0
        if path is not None and path.exists():
            done, panels, cross = _load(path, identity, layout)
            sums.restore(panels, cross)
            progress.note(f"{path}: going on after {done} of {net.n_filters} filters")
        saved = time.monotonic()

        def save(filters: int) -> None:
            nonlocal saved
            if path is not None and (
                time.monotonic() - saved >= checkpoint_seconds or filters == net.n_filters
            ):
                _save(path, identity, filters, *sums.state())
                saved = time.monotonic()

        sums.accumulate(net, train_rows, test_rows, done, per_block, None if path is None else save, progress)
        return sums.result(net.n_features_out_)
    except BaseException:
        if opened is not None:
            opened.close()
        raise


class _Sums:
    """Sums in host memory."""

    def __init__(self, layout: PanelLayout, tests: int, kind: np.dtype[Any]) -> None:
        self._layout = layout
        self._panels = [np.zeros(layout.shape(j), kind) for j in range(layout.count)]
        self._cross = np.zeros((tests, layout.n), kind)

    def restore(self, panels: list[NDArray[Any]], cross: NDArray[Any]) -> None:
        self._panels, self._cross = panels, cross

    def state(self) -> tuple[list[NDArray[Any]], NDArray[Any]]:
        return self._panels, self._cross

    def accumulate(
        self,
        net: RandomConv,
        train: NDArray[Any],
        test: NDArray[Any],
        first_filter: int,
        per_block: int | None,
        on_block: Callable[[int], None] | None,
        progress: Progress,
    ) -> None:
        accumulate(
            net,
            train,
            test,
            self._layout,
            self._panels,
            self._cross,
            first_filter=first_filter,
            per_block=per_block,
            on_block=on_block,
            progress=progress,
        )

    def result(self, n_features: int) -> FeatureGram:
        mean = _mean_diagonal([np.diagonal(panel) for panel in self._panels])
        for array in (*self._panels, self._cross):
            array /= mean
        return FeatureGram(PanelGram(self._layout, self._panels), self._cross, mean, n_features)


class _DeviceSums:
    """Sums in the slab of a device, where those of the training rows stay."""

    def __init__(self, device: Device, layout: PanelLayout, tests: int, kind: np.dtype[Any]) -> None:
        self._device, self._layout = device, layout
        self._stream = device.stream("sums")
        self._panels = [device.slab.take(*layout.shape(j), kind) for j in range(layout.count)]
        self._cross = device.slab.take(tests, layout.n, kind)
        for block in (*self._panels, self._cross):
            device.zero(self._stream, block)
        device.synchronise(device.record(self._stream))

    def restore(self, panels: list[NDArray[Any]], cross: NDArray[Any]) -> None:
        for array, block in zip((*panels, cross), (*self._panels, self._cross), strict=True):
            put(self._device, self._stream, array, block)

    def state(self) -> tuple[list[NDArray[Any]], NDArray[Any]]:
        return [fetch(self._device, self._stream, block) for block in self._panels], self._fetched_cross()

    def accumulate(
        self,
        net: RandomConv,
        train: NDArray[Any],
        test: NDArray[Any],
        first_filter: int,
        per_block: int | None,
        on_block: Callable[[int], None] | None,
        progress: Progress,
    ) -> None:
        DeviceNet(self._device, net, train.dtype).accumulate(
            train,
            test,
            self._layout,
            self._panels,
            self._cross,
            first_filter=first_filter,
            per_block=per_block,
            on_block=on_block,
            progress=progress,
        )

    def result(self, n_features: int) -> FeatureGram:
        mean = _mean_diagonal([fetch(self._device, self._stream, block.diagonal()) for block in self._panels])
        cross = self._fetched_cross()
        cross /= mean
        gram = DevicePanelGram(self._device, self._layout, self._panels, 1.0 / mean)
        return FeatureGram(gram, cross, mean, n_features)

    def _fetched_cross(self) -> NDArray[Any]:
        return fetch(self._device, self._stream, self._cross)


def _mean_diagonal(diagonals: list[NDArray[Any]]) -> float:
    mean = float(np.concatenate([diagonal.ravel() for diagonal in diagonals]).mean(dtype=np.float64))
    if not mean > 0:
        raise InputError("features: all are zero on the training rows; lower the threshold")
    return mean


def _identity(
    net: RandomConv,
    train: NDArray[Any],
    test: NDArray[Any],
    layout: PanelLayout,
    kind: np.dtype[Any],
    per_block: int | None,
) -> dict[str, Any]:
    """What must agree for sums to be continued."""
    parameters = {key: value for key, value in net.get_params().items() if key != "threads"}
    return {
        "train": _digest(train),
        "test": _digest(test),
        "filters": _digest(net.filters_, net.mean_, net.whitening_),
        "net": {key: list(value) if isinstance(value, tuple) else value for key, value in parameters.items()},
        "layout": [layout.n, layout.width],
        "dtype": kind.name,
        "per_block": per_block,
    }


def _digest(*arrays: NDArray[Any]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _save(
    path: Path, identity: dict[str, Any], done: int, panels: list[NDArray[Any]], cross: NDArray[Any]
) -> None:
    arrays = {f"panel{j}": panel for j, panel in enumerate(panels)} | {"cross": cross}
    hdf5.write(path, form=_FORM, version=_VERSION, meta={**identity, "done": done}, arrays=arrays)


def _load(
    path: Path, identity: dict[str, Any], layout: PanelLayout
) -> tuple[int, list[NDArray[Any]], NDArray[Any]]:
    def build(
        meta: dict[str, Any], arrays: dict[str, NDArray[Any]]
    ) -> tuple[int, list[NDArray[Any]], NDArray[Any]]:
        different = [key for key, value in identity.items() if meta.get(key) != value]
        if different:
            raise InputError(
                f"{path}: the sums there differ in {', '.join(different)}; name another checkpoint, or delete it"
            )
        return int(meta["done"]), [arrays[f"panel{j}"] for j in range(layout.count)], arrays["cross"]

    return hdf5.read(path, build, form=_FORM, version=_VERSION, remedy="delete it to begin again")
