"""A kernel object of scikit-learn, such as RBF() + WhiteKernel(), as a kernel of ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kernelfit.errors import InputError, shown
from kernelfit.kernels.base import Kernel, Needs, Rows, Tile
from kernelfit.kernels.fingerprint import DIGEST, fingerprint, require_digest
from kernelfit.typing import Float

# By how much k(x, x) may be larger than k(x, another copy of x): rounding, and what a steep kernel loses.
_ROUNDING, _STEEP = 1e-12, 1e-6
# Rows whose noise is looked at.
_ASKED = 16


class FromSklearn(Kernel):
    """k(x, x') of a `sklearn.gaussian_process.kernels.Kernel`, which forms a tile at a time from the rows themselves.

    Noise (`WhiteKernel`) stands on the diagonal of K and nowhere else, as in `GaussianProcessRegressor`: predictions do
    without it. Its entries are as exact as scikit-learn's: ours of the same name lose fewer digits, and are faster.
    """

    name = "sklearn"
    of_numbers = False
    of_code = True
    needs = Needs.FUNCTION

    def __init__(self, kernel: Any) -> None:
        if not is_sklearn_kernel(kernel):
            raise InputError(
                f"kernel: got {shown(kernel)}, expected a kernel of sklearn.gaussian_process.kernels"
            )
        if hasattr(kernel, "kernels"):
            raise InputError(
                f"kernel: got {kernel!r}, which has several values for a pair of rows, expected one; join its parts by "
                "+ or *"
            )
        self.kernel = kernel

    @property
    def parameters(self) -> dict[str, Any]:
        # Of a metric of the user's own the text tells where it lies in memory.
        text = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(self.kernel))
        return {"kernel": text, DIGEST: fingerprint(self.kernel)}

    @classmethod
    def from_parameters(
        cls, parameters: dict[str, Any], build: Callable[..., Kernel], function: Any
    ) -> Kernel:
        if function is None:
            raise InputError(
                f"function: the saved kernel is scikit-learn's {parameters.get('kernel')}, which is not saved as an "
                "object; give it again as function="
            )
        require_digest(parameters, str(parameters.get("kernel")))
        if not is_sklearn_kernel(function) or cls(function).parameters[DIGEST] != parameters[DIGEST]:
            raise InputError(
                f"function: got {shown(function)}, expected the saved kernel {parameters.get('kernel')}"
            )
        return cls(function)

    def evaluate(self, tile: Tile, out: Float) -> None:
        rows, columns = tile.coordinates()
        values = np.asarray(self.kernel(rows, columns))
        if values.shape != out.shape or values.dtype.kind not in "buif":
            raise InputError(
                f"kernel: {self.kernel!r} gives {values.dtype} {values.shape} for {out.shape[0]} rows and "
                f"{out.shape[1]}, expected real numbers {out.shape}"
            )
        out[...] = values

    def diagonal(self, points: Rows) -> Float:
        n = points.shape[0]
        parts = [self.kernel.diag(points.scaled(start, min(start + 1024, n))) for start in range(0, n, 1024)]
        return np.asarray(np.concatenate(parts), dtype=np.float64)

    def has_noise(self, points: Rows) -> bool:
        spread = np.linspace(0, points.shape[0] - 1, _ASKED).astype(np.intp)
        asked = np.unique(np.append(spread, np.argmax(points.lengths)))  # noise may grow with the row
        rows = np.concatenate([points.scaled(i, i + 1) for i in asked])
        noisy, plain = self.kernel.diag(rows), np.diagonal(self.kernel(rows, rows.copy()))
        if not (noisy > plain * (1 + _ROUNDING)).any():
            return False
        # A Matern kernel of little nu takes equal rows for rows that are 2^-52 apart, and falls off steeply there: by
        # 9e-7 with nu = 0.19, 1.3e-6 with 0.185. One that has lost more predicts less than it was given.
        parts = (self.kernel, *self.kernel.get_params().values())
        return bool((noisy > plain * (1 + _STEEP)).any()) or any(map(_may_be_noise, parts))

    def remarks(self) -> Iterator[str]:
        yield f"kernel: {self.kernel!r} is formed by scikit-learn, from the rows themselves"


def is_sklearn_kernel(kernel: Any) -> bool:
    """Whether it has what scikit-learn's kernels of Gaussian processes have."""
    return not isinstance(kernel, type) and all(
        callable(getattr(kernel, name, None)) for name in ("diag", "is_stationary", "get_params", "__call__")
    )


def _may_be_noise(part: Any) -> bool:
    """Whether a part of a kernel is scikit-learn's noise, or of a class that is not scikit-learn's."""
    return is_sklearn_kernel(part) and (
        type(part).__name__ == "WhiteKernel" or not type(part).__module__.startswith("sklearn.")
    )
