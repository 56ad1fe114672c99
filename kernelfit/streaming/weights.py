"""The linear kernel's solution at new rows: f(x) = z(x)^T w with w = Z^T alpha, block of filters by block.

One pass over the training rows' features gives w; new rows then need their own features only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernelfit.errors import DataError, InputError
from kernelfit.progress import ProgressLike, as_progress
from kernelfit.storage import hdf5
from kernelfit.streaming.plan import filters_per_block
from kernelfit.streaming.protocol import StreamingFeatures
from kernelfit.typing import Float

_FORM = "kernelfit weights of features"
_VERSION = 1
# Bytes of a block in float64 that are multiplied at a time.
_STRIP_BYTES = 2**26


def weights(net: StreamingFeatures, train: ArrayLike, alpha: Float, progress: ProgressLike = None) -> Float:
    """w = Z^T alpha (n_features, c) for the rows `train` (n, d) of the fitted net and alpha (n, c)."""
    rows = np.ascontiguousarray(net.validated(train))
    if len(rows) != len(alpha):
        raise InputError(f"alpha: got {len(alpha)} rows, expected {len(rows)} as there are training rows")
    w = np.zeros((net.n_features_out_, alpha.shape[1]))

    def add(columns: slice, strip: slice, z: Float) -> None:
        w[columns] += z.T @ alpha[strip]

    _pass(net, rows, add, "weights", progress)
    return w


def predict(net: StreamingFeatures, X: ArrayLike, w: Float, progress: ProgressLike = None) -> Float:
    """f (m, c) at the rows X (m, d)."""
    rows = np.ascontiguousarray(net.validated(X))
    values = np.zeros((len(rows), w.shape[1]))

    def add(columns: slice, strip: slice, z: Float) -> None:
        values[strip] += z @ w[columns]

    _pass(net, rows, add, "predict", progress)
    return values


def norms(w: Float, alpha: Float, mean_diagonal: float) -> tuple[Float, Float]:
    """|f_c| = |w_c| (c,), and a bound of its relative error, where alpha^T K alpha is noise: of |w|, not of its square.

    Each entry of w is a sum over n rows, so that w is off by about (8 + sqrt(n)) u sum_i |z_i| |alpha_i|, at most
    (8 + sqrt(n)) u (n mean_diagonal)^1/2 |alpha|, mean_diagonal that of K.
    """
    n = len(alpha)
    unit = (8.0 + np.sqrt(n)) * 0.5 * np.finfo(np.float64).eps
    lengths: Float = np.linalg.norm(w, axis=0)
    lost = unit * np.sqrt(n * mean_diagonal) * np.linalg.norm(alpha, axis=0)
    return lengths, np.divide(lost, lengths, out=np.full_like(lengths, np.inf), where=lengths > 0)


def _pass(
    net: StreamingFeatures,
    rows: NDArray[Any],
    add: Callable[[slice, slice, Float], None],
    name: str,
    progress: ProgressLike,
) -> None:
    """Call `add` with every block of features, cut into strips of rows, in float64."""
    per_block = filters_per_block(net, len(rows), 0)
    block = np.empty((len(rows), per_block * net.features_per_filter), np.float32)
    height = max(1, _STRIP_BYTES // (8 * block.shape[1]))
    with as_progress(progress).phase(name, float(net.n_filters) * len(rows), "filters x rows") as advance:
        for start in range(0, net.n_filters, per_block):
            stop = min(start + per_block, net.n_filters)
            columns = net.columns(start, stop)
            width = columns.stop - columns.start
            z = block.reshape(-1)[: len(rows) * width].reshape(len(rows), width)
            net.filter_block(rows, start, stop, out=z)
            for top in range(0, len(rows), height):
                strip = slice(top, min(top + height, len(rows)))
                add(columns, strip, z[strip].astype(np.float64))
            advance(float(stop - start) * len(rows))


def write(path: Path, w: Float, solution: str) -> None:
    """Store weights beside the solution of this digest. Raises `StorageError`."""
    hdf5.write(path, form=_FORM, version=_VERSION, meta={"solution": solution}, arrays={"weights": w})


def read(path: Path, solution: str, n_features: int) -> Float | None:
    """The weights in a file; None where there is none, or where it is damaged or of another solution."""
    if not path.exists():
        return None

    def build(meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Float | None:
        w = arrays["weights"]
        fitting = meta["solution"] == solution and w.ndim == 2 and len(w) == n_features
        return np.ascontiguousarray(w, np.float64) if fitting else None

    try:
        return hdf5.read(path, build, form=_FORM, version=_VERSION, remedy="remove it")
    except DataError:
        return None


def belong(path: Path, solution: Path) -> bool:
    """Whether weights in a file are those of the solution in another one. Raises `DataError` where they are damaged."""
    digest = hdf5.file_digest(solution)
    same = lambda meta, arrays: bool(meta["solution"] == digest)  # noqa: E731
    return hdf5.read(path, same, form=_FORM, version=_VERSION, remedy="remove it")
