"""The rows and labels of a solved experiment, as every study takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernelfit.arguments import integer
from kernelfit.datasets.corruptions import OF_LABELS
from kernelfit.errors import InputError
from kernelfit.experiments.experiment import Experiment, Solved
from kernelfit.gram.points import Points
from kernelfit.kernels.base import Kernel
from kernelfit.solver.solution import Solution


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """Class codes 0..c-1 of the training rows (n,), and test rows with theirs.

    `X_test` is what `Solution.predict` takes: rows (m, d), or for a precomputed Gram k(test, training) (m, n).
    """

    y_train: NDArray[np.int64]
    X_test: ArrayLike
    y_test: NDArray[np.int64]
    n_classes: int

    def checked(self) -> LabelledRows:
        """The same with labels as int64 codes. Raises `InputError` for labels that are none."""
        n_classes = integer("n_classes", self.n_classes, 2)
        y_train, y_test = (_codes(name, getattr(self, name), n_classes) for name in ("y_train", "y_test"))
        if np.shape(self.X_test)[:1] != y_test.shape:
            raise InputError(
                f"X_test: got shape {np.shape(self.X_test)}, expected {len(y_test)} rows as y_test has labels"
            )
        return LabelledRows(y_train, self.X_test, y_test, n_classes)


def labelled_rows(solved: Solved) -> LabelledRows:
    """Labels and test rows of an experiment. Raises `InputError` for regression and where nothing is held out."""
    dataset, prepared = solved.dataset, solved.prepared
    if dataset.classes is None:
        raise InputError(
            f"dataset: {dataset.name} has numeric targets, expected classes, whose labels are drawn anew; take other "
            "data, or task='classification' for labels that are codes"
        )
    if dataset.n_test == 0:
        raise InputError("n_test: got 0, expected test rows, on which the labellings are compared")
    y_train = dataset.y_train if prepared.kept is None else dataset.y_train[prepared.kept]
    return LabelledRows(y_train, prepared.X_test, dataset.y_test, len(dataset.classes))


@dataclass(frozen=True, eq=False)
class KernelRows:
    """The kernel, and the rows between which it is asked for: those of the solution, and the test rows.

    `every` has the n training rows first, then the test rows; labels are class codes.
    """

    kernel: Kernel
    every: Points
    y_train: NDArray[np.int64]
    y_test: NDArray[np.int64]
    n_classes: int

    @property
    def n(self) -> int:
        return len(self.y_train)

    def rows(self, index: NDArray[np.int64] | slice) -> Points:
        """Some of `every`, about the same origin."""
        return Points(self.every.values[index], self.every.scale, like=self.every)


def kernel_rows(solved: Solved) -> KernelRows:
    """The rows of a solved experiment whose kernel can be asked for between any two.

    Raises `InputError` for features that stream, whose K is summed up between training rows alone, for a linear kernel
    of rank below n, and for what `labelled_rows` refuses.
    """
    rows, solution = labelled_rows(solved).checked(), solved.solution
    if solution.kernel is None or solution.points is None:
        raise InputError(
            "features: this study asks for k between any two rows, which features that stream do not give; take others"
        )
    require_full_rank(solution)
    prepared = solved.prepared
    train = np.asarray(prepared.X_train)[solution.kept]
    every = Points(np.concatenate([train, np.asarray(prepared.X_test)]), prepared.scale)
    return KernelRows(solution.kernel, every, rows.y_train[solution.kept], rows.y_test, rows.n_classes)


def require_true_labels(experiment: Experiment) -> None:
    """Raise `InputError` for labels that are drawn anew: a draw of a study beside them may be the very same."""
    corruption = experiment.inputs.corruption.name
    if corruption in OF_LABELS:
        raise InputError(
            f"corruption: got {corruption}, expected the true labels: this study draws others beside them; leave it out"
        )


def require_full_rank(solution: Solution) -> None:
    """Raise `InputError` for a linear kernel with fewer features than rows: K has no factor, and f does not meet any
    labels."""
    if solution.weights is not None:
        raise InputError(
            f"kernel: linear has rank {solution.certificate.rank} below n = {len(solution.kept)}, expected one that "
            "interpolates any labels; take gaussian, or fewer rows"
        )


def _codes(name: str, labels: ArrayLike, n_classes: int) -> NDArray[np.int64]:
    array = np.asarray(labels)
    if array.ndim != 1 or array.dtype.kind not in "iu" or array.size == 0:
        raise InputError(
            f"{name}: got shape {array.shape}, {array.dtype}, expected class codes (n,), integers from 0; "
            "take numpy.unique(labels, return_inverse=True)[1]"
        )
    if array.min() < 0 or array.max() >= n_classes:
        raise InputError(
            f"{name}: got codes from {array.min()} to {array.max()}, expected 0 to {n_classes - 1}"
        )
    return array.astype(np.int64)
