"""scikit-learn's own tests of KernelRidge, its import swapped for a few lines that call KernelInterpolator."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from sklearn.base import BaseEstimator, RegressorMixin

from kernelfit import KernelInterpolator

_OF_THE_KERNEL = {"poly": ("degree", "coef0")}
_WITH_GAMMA = ("rbf", "poly", "laplacian")


class KernelRidge(RegressorMixin, BaseEstimator):
    """Its arguments under our names: alpha is ridge, gamma 1 / d by default, degree and coef0 are kernel_params."""

    def __init__(
        self,
        alpha: Any = 1,
        *,
        kernel: Any = "linear",
        gamma: float | None = None,
        degree: float = 3,
        coef0: float = 1,
        kernel_params: dict[str, Any] | None = None,
    ) -> None:
        self.alpha, self.kernel, self.gamma = alpha, kernel, gamma
        self.degree, self.coef0, self.kernel_params = degree, coef0, kernel_params

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> KernelRidge:
        names = _OF_THE_KERNEL.get(self.kernel, ())
        gamma = self.gamma or 1 / X.shape[1] if self.kernel in _WITH_GAMMA else None
        params = {name: getattr(self, name) for name in names} or self.kernel_params
        self.model_ = KernelInterpolator(self.kernel, gamma=gamma, kernel_params=params, ridge=self.alpha)
        self.model_.fit(X, y, sample_weight=sample_weight)
        return self

    def predict(self, X: Any) -> Any:
        return self.model_.predict(X)


_SPEC = find_spec("sklearn.tests.test_kernel_ridge")
if _SPEC is None or _SPEC.origin is None:
    pytest.skip("this scikit-learn comes without its tests", allow_module_level=True)
_SWAPPED = "from sklearn.kernel_ridge import KernelRidge\n"
_SOURCE = Path(_SPEC.origin).read_text()
assert _SWAPPED in _SOURCE
exec(compile(_SOURCE.replace(_SWAPPED, ""), _SPEC.origin, "exec"))


def test_all_of_them_are_here() -> None:
    assert sum(name.startswith("test_kernel_ridge") for name in globals()) == 7
