"""A model that was chosen, as scikit-learn's estimator and as the lines of Python that make it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Model:
    """A kernel as `Kernel.describe` gives it, its ridge, and what is done to rows: standardised, or times `scale`.

    Targets of a regression are centred. `words` are the columns of X that hold words, which is then a frame.
    """

    kernel: dict[str, Any]
    ridge: float
    standardise: bool
    classification: bool
    scale: float | None = None
    words: tuple[str, ...] = ()

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
        from sklearn.compose import TransformedTargetRegressor, make_column_transformer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        from kernelfit.estimators import KernelClassifier, KernelInterpolator

        family = KernelClassifier if self.classification else KernelInterpolator
        model: Any = family(str(self.kernel["name"]), **self.arguments())
        if self.words:
            encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
            rest: Any = StandardScaler() if self.standardise else "passthrough"
            model = make_pipeline(make_column_transformer((encoder, list(self.words)), remainder=rest), model)
        elif self.standardise:
            model = make_pipeline(StandardScaler(), model)
        if self.classification:
            return model
        return TransformedTargetRegressor(model, transformer=StandardScaler(with_std=False))

    def code(self) -> list[str]:
        """Lines that fit it to X_train and y_train."""
        family = "KernelClassifier" if self.classification else "KernelInterpolator"
        given = "".join(f", {name}={value!r}" for name, value in self.arguments().items())
        model = f"{family}({self.kernel['name']!r}{given})"
        compose, preprocessing = [], []
        if self.words:
            rest = "StandardScaler()" if self.standardise else "'passthrough'"
            encoder = "OneHotEncoder(handle_unknown='ignore', sparse_output=False)"
            columns = f"make_column_transformer(({encoder}, {list(self.words)!r}), remainder={rest})"
            compose, preprocessing = ["make_column_transformer"], ["OneHotEncoder"]
            model = f"make_pipeline({columns}, {model})"
        elif self.standardise:
            model = f"make_pipeline(StandardScaler(), {model})"
        if not self.classification:
            compose.insert(0, "TransformedTargetRegressor")
            model = f"TransformedTargetRegressor({model}, transformer=StandardScaler(with_std=False))"
        if self.standardise or not self.classification:
            preprocessing.append("StandardScaler")
        imports = {
            "sklearn.compose": compose,
            "sklearn.pipeline": ["make_pipeline"] if self.words or self.standardise else [],
            "sklearn.preprocessing": preprocessing,
            "kernelfit": [family],
        }
        lines = [f"from {module} import {', '.join(names)}" for module, names in imports.items() if names]
        return [*lines, f"model = {model}.fit(X_train, y_train)"]
