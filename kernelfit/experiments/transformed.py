"""What the kernel sees: the rows of the data set, their features, or the Gram matrix of features that are streamed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.datasets import Dataset
from kernelfit.errors import InputError
from kernelfit.features.images import ImageFeatures
from kernelfit.features.options import make, options, pairs
from kernelfit.gram.source import PanelGram
from kernelfit.progress import Progress
from kernelfit.solver.solution import Solution
from kernelfit.streaming.gram import FeatureGram

NONE = "none"


@dataclass(frozen=True)
class Transformed:
    """Training and test rows in the kernel's units once multiplied by `scale`; of `streamed` features their Grams.

    `settings` holds every option of the features, `gamma_factor` the one that suits them, `seconds` what fitting and
    transforming took, `kept` the training rows that a Gram is of, where equal ones were left out. `notes` say so, and
    what else was done to the rows.
    """

    X_train: NDArray[Any] | PanelGram
    X_test: NDArray[Any]
    scale: float | None
    name: str
    settings: dict[str, Any]
    gamma_factor: float
    seconds: float
    n_features: int
    streamed: FeatureGram | None = None
    kept: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()

    def predict(self, solution: Solution, progress: Progress) -> NDArray[np.float64]:
        """f at the test rows."""
        return (
            solution.predict(self.X_test, progress)
            if self.streamed is None
            else self.streamed.predict(solution)
        )


def transform(
    dataset: Dataset, name: str, given: dict[str, Any], threads: int | None, progress: Progress
) -> Transformed:
    """Fit the features `name` on the training rows and apply them to both parts; `none` passes rows through."""
    if name == NONE:
        if given:
            raise InputError(
                f"--option: got {', '.join(given)}, but --features none has no options; name features"
            )
        return Transformed(
            dataset.X_train, dataset.X_test, dataset.scale, NONE, {}, 1.0, 0.0, dataset.n_features
        )
    started = time.perf_counter()
    feature = fitted(dataset, name, given, threads, progress)
    train = feature.transform(dataset.X_train, progress=progress)
    test = feature.transform(dataset.X_test, progress=progress)
    factor = float(feature.default_gamma_factor)
    seconds = time.perf_counter() - started
    notes = feature.notes
    for text in notes:
        progress.note(text)
    return Transformed(
        train,
        test,
        1.0,
        name,
        settings_of(feature, name),
        factor,
        seconds,
        feature.n_features_out_,
        notes=notes,
    )


def settings_of(feature: ImageFeatures, name: str) -> dict[str, Any]:
    """Every option of the features `name`, by default or given."""
    return {key: getattr(feature, key) for key in options(name)}


def fitted(
    dataset: Dataset, name: str, given: dict[str, Any], threads: int | None, progress: Progress
) -> ImageFeatures:
    """The features `name`, fitted on the training rows; the same rows and options always give the same features."""
    if dataset.image_shape is None:
        raise InputError(
            f"--features: {name} needs images, and {dataset.name} has none; take --features none"
        )
    feature = make(name, image_shape=dataset.image_shape, scale=dataset.scale, threads=threads, given=given)
    return feature.fit(dataset.X_train, progress=progress)


def given_options(name: str, texts: tuple[str, ...], filters: int | None) -> dict[str, Any]:
    """`--option NAME=VALUE` and `--filters COUNT` as one mapping for the features `name`."""
    given: dict[str, Any] = dict(pairs(texts))
    if filters is not None:
        known = options(name) if name != NONE else {}
        if "n_filters" not in known:
            raise InputError(
                f"--filters: the features {name!r} do not count filters; take --features random-conv"
            )
        if "n_filters" in given:
            raise InputError(
                f"--filters: got {filters} beside --option n_filters={given['n_filters']}; leave one out"
            )
        given["n_filters"] = filters
    return given
