"""From a data set to what the kernel sees: its rows, or features of them that are held."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.arguments import bytes_of
from kernelfit.datasets import Dataset, training_targets
from kernelfit.errors import InputError
from kernelfit.experiments.specs import FeatureSpec, KernelSpec, SolverSettings
from kernelfit.experiments.standardisation import Standardisation
from kernelfit.experiments.streamed_kernel import mean_diagonal
from kernelfit.gram.source import Source
from kernelfit.progress import Progress
from kernelfit.solver.solution import Solution
from kernelfit.streaming.gram import FeatureGram
from kernelfit.typing import Array, Float

if TYPE_CHECKING:  # scikit-learn comes with it
    from kernelfit.features.images import ImageFeatures


@dataclass(frozen=True)
class Prepared:
    """Training and test rows in the kernel's units once multiplied by `scale`; of `streamed` features the Grams of the
    kernel.

    Attributes
    ----------
    X_train, X_test : what `solve` and `predict` take
    rows : the training rows of the data set that K is of, before features
    feature : the fitted feature map, where there is one
    standardisation : what was done to the rows or features, where that was asked for
    target_mean : (c,) subtracted from the targets, where that was asked for
    mean_diagonal : of K, where a ridge counts in units of it: of features that may stream, held or not
    kept : indices of `rows` in the data set, where equal rows were left out of a Gram
    notes : what was done to the rows
    seconds : for fitting and transforming
    """

    X_train: Array | Source
    X_test: Array
    rows: Array
    scale: float | None
    n_features: int
    feature: ImageFeatures | None = None
    streamed: FeatureGram | None = None
    standardisation: Standardisation | None = None
    target_mean: Float | None = None
    mean_diagonal: float | None = None
    kept: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def gamma_factor(self) -> float:
        """c of the gamma = c / median squared distance that suits these features."""
        return float(getattr(self.feature, "default_gamma_factor", 1.0)) if self.streamed is None else 1.0

    def targets(self, dataset: Dataset) -> Float:
        """Y (n, c) of the rows that the kernel sees."""
        targets = training_targets(dataset)
        targets = targets if self.kept is None else targets[self.kept]
        if self.target_mean is None:
            return targets
        return targets - (self.target_mean if targets.ndim == 2 else self.target_mean[0])

    def restored(self, values: Float) -> Float:
        """Values of f (m, c) in the units of the data set's targets."""
        return values if self.target_mean is None else values + self.target_mean

    def solver_arguments(self, solver: SolverSettings) -> dict[str, Any]:
        """What `kernelfit.solve` takes of the settings, beside Grams that are in memory, on the device they lie on."""
        arguments: dict[str, Any] = {**solver.arguments(), "scale": self.scale}
        if self.mean_diagonal is not None and not solver.chooses_ridge:
            arguments["ridge"] = float(solver.ridge) * self.mean_diagonal
        if self.streamed is None:
            return arguments
        memory = bytes_of(solver.memory)
        if memory is not None:
            arguments["memory"] = max(1, memory - self.streamed.plan.held)
        device = self.streamed.gram.device
        if device is not None:
            # By "auto" it is taken all the same, and left where the factor does not fit beside K.
            given = "auto" if solver.device == "auto" else device
            arguments |= {"device": given, "device_memory": None}
        return arguments

    def predict(self, solution: Solution, progress: Progress) -> Float:
        """f at the test rows (m, c)."""
        if len(self.X_test) == 0:
            return np.zeros((0, solution.alpha.shape[1]))
        streamed = self.streamed
        scores = (
            solution.predict_prepared(self.X_test, progress)
            if streamed is None
            else streamed.predict(solution)
        )
        return self.restored(scores.reshape(len(scores), -1))

    def counted(self, kernel: KernelSpec, solver: SolverSettings) -> Prepared:
        """With what a ridge counts in, where these are features that may stream and a ridge was given."""
        streams = self.feature is not None and self.feature.streams
        if not streams or self.streamed is not None or solver.chooses_ridge or float(solver.ridge) == 0:
            return self
        assert isinstance(self.X_train, np.ndarray)
        return replace(self, mean_diagonal=mean_diagonal(kernel, self.X_train, solver.threads))

    def centred(self, dataset: Dataset) -> Prepared:
        """With the targets less their mean over the training rows."""
        if dataset.classes is not None:
            raise InputError(f"centre: {dataset.name} has classes, which have no mean, expected False")
        return replace(self, target_mean=np.atleast_1d(dataset.y_train.mean(axis=0)))

    def standardised(self, indicators: NDArray[np.bool_] | None = None) -> Prepared:
        """Each column of what the kernel sees at mean 0 and standard deviation 1 over the training rows, but the
        `indicators` (d,) of words."""
        assert isinstance(self.X_train, np.ndarray)
        standardisation = Standardisation.of(self.X_train, indicators)
        return replace(
            self,
            X_train=standardisation.apply(self.X_train),
            X_test=standardisation.apply(self.X_test),
            scale=1.0,
            standardisation=standardisation,
        )

    def close(self) -> None:
        """Give back a device or a file that holds a Gram."""
        if self.streamed is not None:
            self.streamed.close()


def prepare(dataset: Dataset, features: FeatureSpec, threads: int | None, progress: Progress) -> Prepared:
    """Fit the features on the training rows and apply them to both parts; `none` passes rows through."""
    if not features:
        return Prepared(dataset.X_train, dataset.X_test, dataset.X_train, dataset.scale, dataset.n_features)
    started = time.perf_counter()
    feature = features.fit(dataset, threads, progress)
    return transformed(dataset, feature, started, progress)


def transformed(dataset: Dataset, feature: ImageFeatures, started: float, progress: Progress) -> Prepared:
    """Both parts under a map that is fitted; the seconds are those since `started`."""
    train = feature.transform(dataset.X_train, progress=progress)
    test = np.empty((0, train.shape[1]), train.dtype)
    if dataset.n_test > 0:
        test = feature.transform(dataset.X_test, progress=progress)
    seconds = time.perf_counter() - started
    for text in feature.notes:
        progress.note(text)
    return Prepared(
        train,
        test,
        dataset.X_train,
        1.0,
        feature.n_features_out_,
        feature=feature,
        notes=feature.notes,
        seconds=seconds,
    )
