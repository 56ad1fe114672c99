"""A model that was chosen, as scikit-learn's estimator and as the lines of Python that make it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Model:
    """A kernel as `Kernel.describe` gives it, its ridge, and what is done to rows: standardised, or times `scale`.

    Targets of a regression are centred.
    """

    kernel: dict[str, Any]
    ridge: float
    standardise: bool
    classification: bool
    scale: float | None = None

    @property
    def gamma(self) -> float | None:
        """The kernel's gamma, where it has one."""
        gamma = self.kernel.get("gamma")
        return None if gamma is None else float(gamma)

    @property
    def kernel_params(self) -> dict[str, Any]:
        """Its other parameters."""
        return {name: value for name, value in self.kernel.items() if name not in ("name", "gamma")}

    def arguments(self) -> dict[str, Any]:
        """As the estimators take them, what stands at its default left out."""
        given = {
            "gamma": self.gamma,
            "kernel_params": self.kernel_params or None,
            "ridge": self.ridge or None,
        }
        return {name: value for name, value in {**given, "scale": self.scale}.items() if value is not None}

    def estimator(self) -> Any:
        """Not fitted yet."""
        from sklearn.compose import TransformedTargetRegressor
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        from kernelfit.estimators import KernelClassifier, KernelInterpolator

        family = KernelClassifier if self.classification else KernelInterpolator
        model: Any = family(str(self.kernel["name"]), **self.arguments())
        if self.standardise:
            model = make_pipeline(StandardScaler(), model)
        if self.classification:
            return model
        return TransformedTargetRegressor(model, transformer=StandardScaler(with_std=False))

    def code(self) -> list[str]:
        """Lines that fit it to X_train and y_train."""
        family = "KernelClassifier" if self.classification else "KernelInterpolator"
        given = "".join(f", {name}={value!r}" for name, value in self.arguments().items())
        model = f"{family}({self.kernel['name']!r}{given})"
        imports = [f"from kernelfit import {family}"]
        if self.standardise:
            imports.insert(0, "from sklearn.pipeline import make_pipeline")
            model = f"make_pipeline(StandardScaler(), {model})"
        if self.standardise or not self.classification:
            imports.insert(-1, "from sklearn.preprocessing import StandardScaler")
        if not self.classification:
            imports.insert(0, "from sklearn.compose import TransformedTargetRegressor")
            model = f"TransformedTargetRegressor({model}, transformer=StandardScaler(with_std=False))"
        return [*imports, f"model = {model}.fit(X_train, y_train)"]
