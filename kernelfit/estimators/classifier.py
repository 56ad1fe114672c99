"""The classifier: of rows of one class each, or of several labels each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d

from kernelfit.arguments import OTHER_NAMES, flag, suggests_names
from kernelfit.errors import InputError
from kernelfit.estimators.array_api import as_given, on_host
from kernelfit.estimators.base import KernelEstimator, KernelLike
from kernelfit.estimators.calibration import Calibration, inverse_temperature, probabilities
from kernelfit.estimators.offered import offered_if
from kernelfit.gram.arrays import refuse_unclear_labels
from kernelfit.metrics import one_hot
from kernelfit.progress import ProgressLike
from kernelfit.typing import Float, GammaRule, PrecisionLike, RidgeLike, Singular, Tier


def _may_be_calibrated(model: KernelClassifier) -> str:
    """Why there are no probabilities, or nothing: a Gram matrix is not kept, and its factor is not made twice."""
    if not model._precomputed or model.probability or model.keep_factor:
        return ""
    return (
        "got a precomputed Gram matrix, whose factor was given back, expected probability=True or keep_factor=True "
        "before fit"
    )


class KernelClassifier(ClassifierMixin, KernelEstimator):
    """Interpolates one-hot labels and predicts the class of the largest score.

    Labels y are (n,) numbers or strings; or an indicator matrix (n, L) of 0 and 1, or of -1 and 1, dense or sparse,
    whose rows have any number of L labels: -1 and 1 are then interpolated, and a label is predicted where its score is
    above 0.

    Parameters
    ----------
    probability : whether `fit` calibrates `predict_proba`, while the factor is there. It is calibrated by leave-one-out
        scores of the training rows (see `kernelfit.estimators.calibration`), which cost as many flops as the factor,
        n^3/3. Else that is done when probabilities are first asked for, and the factor is made anew, unless
        keep_factor=True. Of ridges whose factors memory does not hold together each is made anew in turn, either way

    All other parameters are those of `KernelInterpolator`.

    Attributes
    ----------
    classes_ : the labels, sorted; 0 ... L-1 for an indicator matrix
    solution_ : `kernelfit.Solution`, one column of alpha for each class or label
    kernel_, gamma_, length_scale_, ridge_ : what was used, as for `KernelInterpolator`
    inverse_temperature_ : what scores are multiplied with before the softmax, (L,) for an indicator matrix
    n_features_in_, feature_names_in_ : as in scikit-learn
    """

    classes_: NDArray[Any]

    @suggests_names(OTHER_NAMES)
    def __init__(
        self,
        kernel: KernelLike = "gaussian",
        *,
        gamma: float | GammaRule | None = None,
        gamma_factor: float = 1.0,
        kernel_params: dict[str, Any] | None = None,
        ridge: RidgeLike = 0.0,
        jitter: float = 0.0,
        singular: Singular = "ridge",
        probability: bool = False,
        precision: PrecisionLike = "float64",
        tier: Tier = "auto",
        memory: int | str | None = None,
        device: str = "auto",
        threads: int | None = None,
        scale: float | None = None,
        keep_factor: bool = False,
        random_state: int | np.random.RandomState | None = 0,
        progress: ProgressLike = None,
    ) -> None:
        super().__init__(
            kernel,
            gamma=gamma,
            gamma_factor=gamma_factor,
            kernel_params=kernel_params,
            ridge=ridge,
            jitter=jitter,
            singular=singular,
            precision=precision,
            tier=tier,
            memory=memory,
            device=device,
            threads=threads,
            scale=scale,
            keep_factor=keep_factor,
            random_state=random_state,
            progress=progress,
        )
        self.probability = probability

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> KernelClassifier:
        """Solve for the one-hot labels, rows counting by `sample_weight` as for `KernelInterpolator`."""
        probability = flag("probability", self.probability)
        rows, labels = self._validated(X, y=_labels(y), multi_output=True, ensure_min_samples=2)
        self._check_square(rows)
        check_classification_targets(labels)
        self._multilabel = type_of_target(labels, input_name="y") == "multilabel-indicator"
        targets = self._indicated(labels) if self._multilabel else self._one_hot(labels)
        self._solve(rows, targets, sample_weight)
        self._calibration = Calibration()
        if probability:
            self._calibrate()
        self._let_go()
        return self

    def decision_function(self, X: ArrayLike) -> Any:
        """Scores (m, c); with two classes the second's score minus the first's, (m,); (m, L) for labels."""
        return as_given(self._decision(X), X)

    def predict(self, X: ArrayLike) -> Any:
        """The class of the largest score for every row of X (m,); an indicator matrix (m, L) as y was for labels."""
        scores = self._decision(X)
        if self._multilabel:
            return as_given(np.where(scores > 0, 1, self._absent), X)
        codes = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return as_given(self.classes_[codes], X)

    @offered_if(_may_be_calibrated)
    def predict_proba(self, X: ArrayLike) -> Any:
        """The probability of every class (m, c), which add up to 1; of every label (m, L), each for itself."""
        return as_given(self._probabilities(X), X)

    def _probabilities(self, X: ArrayLike) -> Float:
        scores = self._scores(X)
        if not self._multilabel:
            return probabilities(scores, self.inverse_temperature_)
        return np.column_stack(
            [
                probabilities(_both(column), a)[:, 1]
                for column, a in zip(scores.T, self.inverse_temperature_, strict=True)
            ]
        )

    @offered_if(_may_be_calibrated)
    def predict_log_proba(self, X: ArrayLike) -> Any:
        """The logarithm of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return as_given(np.log(self._probabilities(X)), X)

    def _decision(self, X: ArrayLike) -> Float:
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if self._is_binary else scores

    @property
    def _is_binary(self) -> bool:
        return not self._multilabel and len(self.classes_) == 2

    def _one_hot(self, labels: NDArray[Any]) -> Float:
        if np.ndim(labels) > 1 and labels.shape[1] > 1:
            raise _no_classes(labels)
        labels = column_or_1d(labels, warn=True)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(
                f"y: got one class only, {self.classes_.tolist()[0]!r}; expected rows of at least 2 classes, give more "
                "rows"
            )
        return one_hot(codes, len(self.classes_))

    def _indicated(self, labels: Any) -> Float:
        """-1 and 1 (n, L) for 0 and 1, or as they are; scikit-learn takes any two integers for an indicator matrix."""
        dense = np.asarray(labels.toarray() if hasattr(labels, "toarray") else labels, dtype=np.float64)
        values = set(np.unique(dense).tolist())
        if not (values <= {0.0, 1.0} or values <= {-1.0, 1.0}):
            raise _no_classes(labels)
        self._absent = -1 if -1.0 in values else 0
        self.classes_ = np.arange(dense.shape[1])
        return np.where(dense > 0, 1.0, -1.0)

    @property
    def inverse_temperature_(self) -> Any:
        """What scores are multiplied with before the softmax; found when it is first asked for, and kept."""
        check_is_fitted(self)
        if self._calibration.a is None:
            self._calibrate()
        return self._calibration.a

    def _calibrate(self) -> None:
        scores = self._left_out()
        weights, targets = self.solution_.problem.counts, self.solution_.targets
        if not self._multilabel:
            self._calibration.a = inverse_temperature(scores, targets.argmax(axis=1), weights)
            return
        self._calibration.a = np.array(
            [
                inverse_temperature(_both(column), (target > 0).astype(np.int64), weights)
                for column, target in zip(scores.T, targets.T, strict=True)
            ]
        )


def _labels(y: Any) -> Any:
    """y as it is, or the integers of a nullable column of pandas, which scikit-learn would make floats."""
    y = on_host(y, "y")
    refuse_unclear_labels(y)
    nullable = hasattr(getattr(y, "dtype", None), "numpy_dtype") and y.dtype.kind in "biu"
    return y.to_numpy(y.dtype.numpy_dtype) if nullable and not y.isna().any() else y


def _no_classes(labels: Any) -> InputError:
    return InputError(
        f"y: got classes of shape {labels.shape}, expected (n,), or an indicator matrix of 0 and 1, or of -1 and 1"
    )


def _both(scores: Float) -> Float:
    """Scores (m,) of a label as those of not having and having it (m, 2)."""
    return np.column_stack([-scores, scores])
