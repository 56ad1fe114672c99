"""The rows that the kernel sees: those of the data set, or their features."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from kernelfit.datasets import Dataset
from kernelfit.errors import InputError
from kernelfit.features.images import ImageFeatures
from kernelfit.features.options import make, options, pairs
from kernelfit.progress import Progress

NONE = "none"


@dataclass(frozen=True)
class Transformed:
    """Training and test rows in the kernel's units once multiplied by `scale`.

    `settings` holds every option of the features, `gamma_factor` the one that suits them, `seconds` what fitting and
    transforming took.
    """

    X_train: NDArray[Any]
    X_test: NDArray[Any]
    scale: float
    name: str
    settings: dict[str, Any]
    gamma_factor: float
    seconds: float

    @property
    def n_features(self) -> int:
        return int(self.X_train.shape[1])


def transform(
    dataset: Dataset, name: str, given: dict[str, Any], threads: int | None, progress: Progress
) -> Transformed:
    """Fit the features `name` on the training rows and apply them to both parts; `none` passes rows through."""
    if name == NONE:
        if given:
            raise InputError(
                f"--option: got {', '.join(given)}, but --features none has no options; name features"
            )
        return Transformed(dataset.X_train, dataset.X_test, dataset.scale, NONE, {}, 1.0, 0.0)
    started = time.perf_counter()
    feature = fitted(dataset, name, given, threads, progress)
    train = feature.transform(dataset.X_train, progress=progress)
    test = feature.transform(dataset.X_test, progress=progress)
    settings = {key: getattr(feature, key) for key in options(name)}
    factor = float(feature.default_gamma_factor)
    return Transformed(train, test, 1.0, name, settings, factor, time.perf_counter() - started)


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
        given["n_filters"] = filters
    return given
