"""The linear kernel of streamed features: Gram matrices from one pass over the filters, resumable.

K = Z Z^T / s and K_test = Z_test Z^T / s, where Z are the features of a random convolution net and s the mean
diagonal, so that K has mean diagonal 1 and a ridge is relative to it. Z itself never exists.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from kernelfit.errors import InputError
from kernelfit.features.accumulate import accumulate, filters_per_block
from kernelfit.features.random_conv import RandomConv
from kernelfit.gram.plan import PanelLayout
from kernelfit.gram.source import PanelGram
from kernelfit.progress import Progress, Silent
from kernelfit.storage import hdf5

_FORM = "kernelfit Gram of features, unfinished"
_VERSION = 1


@dataclass(frozen=True)
class FeatureGram:
    """K of the training rows as packed panels, and the test rows' kernel with them.

    Attributes
    ----------
    gram : K (n, n), for `kernelfit.solve(gram, Y, kernel="precomputed")`
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

    Raises
    ------
    InputError : sizes, or a checkpoint of other rows or another net
    DataError, StorageError : a checkpoint that cannot be read or written
    """
    progress = progress or Silent()
    train_rows = np.ascontiguousarray(net.validated(train))
    test_rows = np.asarray(test)
    if len(test_rows) > 0:  # none is allowed here
        test_rows = np.ascontiguousarray(net.validated(test_rows))
    layout = PanelLayout.of_order(len(train_rows))
    if panel_width is not None:
        layout = PanelLayout(len(train_rows), min(panel_width, len(train_rows)))
    kind = np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        raise InputError(f"dtype: got {kind}, expected float32 or float64")
    per_block = per_block or filters_per_block(net, len(train_rows) + len(test_rows))
    path = Path(checkpoint) if checkpoint is not None else None
    identity = _identity(net, train_rows, test_rows, layout, kind, per_block) if path is not None else {}
    if path is not None and path.exists():
        done, panels, cross = _load(path, identity, layout)
        progress.note(f"{path}: going on after {done} of {net.n_filters} filters")
    else:
        done = 0
        panels = [np.zeros(layout.shape(j), kind) for j in range(layout.count)]
        cross = np.zeros((len(test_rows), layout.n), kind)
    saved = time.monotonic()

    def save(filters: int) -> None:
        nonlocal saved
        if path is not None and (time.monotonic() - saved >= checkpoint_seconds or filters == net.n_filters):
            _save(path, identity, filters, panels, cross)
            saved = time.monotonic()

    accumulate(
        net,
        train_rows,
        test_rows,
        layout,
        panels,
        cross,
        first_filter=done,
        per_block=per_block,
        on_block=save,
        progress=progress,
    )
    mean = float(np.concatenate([np.diagonal(panel) for panel in panels]).mean(dtype=np.float64))
    if not mean > 0:
        raise InputError("features: all are zero on the training rows; lower the threshold")
    for array in (*panels, cross):
        array /= mean
    return FeatureGram(PanelGram(layout, panels), cross, mean, net.n_features_out_)


def _identity(
    net: RandomConv,
    train: NDArray[Any],
    test: NDArray[Any],
    layout: PanelLayout,
    kind: np.dtype[Any],
    per_block: int,
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
