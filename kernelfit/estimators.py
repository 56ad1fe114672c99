"""scikit-learn estimators on top of `kernelfit.solve`: a regressor and a classifier that interpolate.

They follow scikit-learn's conventions (`fit`, `predict`, `score`, `get_params`, attributes that end in `_`) and so
work in `Pipeline`, `GridSearchCV` and `cross_val_score`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import LinAlgWarning
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from kernelfit.errors import InputError
from kernelfit.kernels import Kernel, Pairwise
from kernelfit.metrics import one_hot
from kernelfit.progress import ProgressLike
from kernelfit.solver.least_ridge import SINGULAR
from kernelfit.solver.solution import Solution
from kernelfit.solver.solve import solve
from kernelfit.typing import Float, GammaRule, PrecisionName, RidgeLike, Singular, Tier

KernelLike = str | Kernel | Callable[[Any, Any], float]

# Bytes stay bytes (their inner products are exact), float32 stays float32; anything else becomes float64.
_DTYPES = (np.float64, np.float32, np.uint8)


class _KernelEstimator(BaseEstimator):
    """What both estimators share: parameters, the solve, and scores of new rows."""

    solution_: Solution
    ridge_: Any
    n_features_in_: int

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
        precision: PrecisionName = "float64",
        tier: Tier = "auto",
        memory: int | str | None = None,
        device: str = "auto",
        threads: int | None = None,
        scale: float | None = None,
        keep_factor: bool = False,
        random_state: int | np.random.RandomState | None = 0,
        progress: ProgressLike = None,
    ) -> None:
        self.kernel = kernel
        self.gamma = gamma
        self.gamma_factor = gamma_factor
        self.kernel_params = kernel_params
        self.ridge = ridge
        self.jitter = jitter
        self.singular = singular
        self.precision = precision
        self.tier = tier
        self.memory = memory
        self.device = device
        self.threads = threads
        self.scale = scale
        self.keep_factor = keep_factor
        self.random_state = random_state
        self.progress = progress

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.kernel == "precomputed"
        return tags

    def _solve(self, X: NDArray[Any], targets: Float, sample_weight: ArrayLike | None) -> None:
        """Fit `solution_` to targets (n,) or (n, c)."""
        kernel = self.kernel
        if not isinstance(kernel, (str, Kernel)):
            kernel = Pairwise(kernel)
        self.solution_ = solve(
            X,
            targets,
            sample_weight=sample_weight,
            kernel=kernel,
            gamma=self.gamma,
            gamma_factor=self.gamma_factor,
            kernel_params=self.kernel_params,
            ridge=self.ridge,
            jitter=self.jitter,
            singular=self.singular,
            precision=self.precision,
            tier=self.tier,
            memory=self.memory,
            device=self.device,
            threads=self.threads,
            scale=self.scale,
            seed=int(check_random_state(self.random_state).randint(2**31 - 1)),
            # The certificate's condition number costs passes over the factor; ask kernelfit.solve for it.
            condition=False,
            progress=self.progress,
        )
        for note in self.solution_.notes:
            if note.startswith(SINGULAR):
                remedy = "set ridge > 0 or a narrower kernel, or singular='raise' to make this an error"
                warnings.warn(f"{note.removeprefix(SINGULAR)}; {remedy}", LinAlgWarning, stacklevel=3)
        self.ridge_ = self.solution_.ridge
        if not self.keep_factor:
            self.solution_.close()

    def _scores(self, X: ArrayLike) -> Float:
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=_DTYPES, reset=False)
        return self.solution_.predict(rows, self.progress)

    def _check_square(self, X: NDArray[Any]) -> None:
        if self.kernel == "precomputed" and X.shape[0] != X.shape[1]:
            raise InputError(
                f"X: got shape {X.shape}, expected the square Gram matrix (n, n) of the training rows"
            )


class KernelInterpolator(RegressorMixin, MultiOutputMixin, _KernelEstimator):
    """The function of least RKHS norm through the training points: f(x) = sum_i k(x, x_i) alpha_i, K alpha = y.

    With `ridge` > 0 kernel ridge regression, (K + ridge I) alpha = y: the same as
    `sklearn.kernel_ridge.KernelRidge(alpha=ridge)`, from a blocked factorisation that never stores K.

    Parameters
    ----------
    kernel : a name of `kernelfit.kernels.KERNELS`, a `Kernel`, a Python function of two 1-d arrays (compiled by
        Numba), or "precomputed" (X is then the Gram matrix)
    gamma : a number, "median" (gamma_factor / median distance; the default) or "auto" (least leave-one-out error
        on training rows), for the kernels that have a gamma
    kernel_params : other parameters of a kernel given by name; `length_scale` may be "median" or "auto" as gamma may
    ridge : >= 0, or one for each target (c,); 0 interpolates; "auto" takes the one of least leave-one-out error on the
        training rows, and together with an "auto" gamma or length scale the best pair of both
        (`solution_.gamma_choice`, `solution_.ridge_choice`)
    singular : what to do where ridge = 0 and K is not positive definite in floating point, as a smooth kernel on
        crowded rows is, or equal rows carry different targets: "ridge" takes the smallest of 1e-12, 1e-10, 1e-8, 1e-6
        times the mean diagonal of K that helps, with a `LinAlgWarning`, and records it in `ridge_`; "raise" raises
        `NotPositiveDefiniteError` or `DuplicateRowsError`
    jitter : see `kernelfit.solve`
    precision, tier, memory, device, threads, scale : see `kernelfit.solve`
    keep_factor : keep n^2/2 numbers, for `predict(X, return_std=True)`, `solution_.leave_one_out()` and
        `solution_.solve(Y)`
    random_state : for gamma="auto" and ridge="auto", which may draw a subsample
    progress : True shows bars and notes, in a notebook or on standard error; or a `kernelfit.progress.Progress`

    Attributes
    ----------
    solution_ : `kernelfit.Solution` with alpha, norms, certificate and notes
    ridge_ : the ridge that was used
    n_features_in_, feature_names_in_ : as in scikit-learn

    Examples
    --------
    >>> import numpy as np
    >>> from kernelfit import KernelInterpolator
    >>> X = np.linspace(0, 1, 5).reshape(-1, 1)
    >>> model = KernelInterpolator(gamma=10.0).fit(X, np.sin(X).ravel())
    >>> bool(np.allclose(model.predict(X), np.sin(X).ravel()))
    True
    """

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> KernelInterpolator:
        """Solve for y (n,) or (n, c), rows counting by `sample_weight` (n,) >= 0, or one number for all.

        Without a ridge every target is met whatever its weight, but for rows of weight 0, which are left out.
        """
        rows, targets = validate_data(
            self, X, y, dtype=_DTYPES, multi_output=True, y_numeric=True, ensure_min_samples=2
        )
        self._check_square(rows)
        self._solve(rows, np.asarray(targets, dtype=np.float64), sample_weight)
        return self

    def predict(self, X: ArrayLike, return_std: bool = False, return_cov: bool = False) -> Any:
        """f at the rows of X: (m,) or (m, c), as y was.

        With `return_std` also the standard deviation of the Gaussian process whose mean f is, of the shape of f; with
        `return_cov` its covariance (m, m) or (m, m, c). They need the factor: keep_factor=True. They are those of
        `sklearn.gaussian_process.GaussianProcessRegressor(alpha=ridge, optimizer=None)`.
        """
        if not (return_std or return_cov):
            return self._scores(X)
        check_is_fitted(self)
        if self.solution_.factor is None:
            what = "return_std" if return_std else "return_cov"
            raise InputError(f"{what}: needs the factor, which was not kept; fit with keep_factor=True")
        rows = validate_data(self, X, dtype=_DTYPES, reset=False)
        return self.solution_.predict(rows, self.progress, return_std=return_std, return_cov=return_cov)


class KernelClassifier(ClassifierMixin, _KernelEstimator):
    """Interpolates one-hot labels and predicts the class of the largest score.

    Parameters and `solution_` are those of `KernelInterpolator`. Labels may be numbers or strings.

    Attributes
    ----------
    classes_ : the labels, sorted
    solution_ : `kernelfit.Solution`, one column of alpha for each class
    ridge_ : the ridge that was used
    n_features_in_, feature_names_in_ : as in scikit-learn
    """

    classes_: NDArray[Any]

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> KernelClassifier:
        """Solve for the one-hot labels, rows counting by `sample_weight` as for `KernelInterpolator`."""
        rows, labels = validate_data(self, X, y, dtype=_DTYPES, ensure_min_samples=2)
        self._check_square(rows)
        labels = column_or_1d(labels, warn=True)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(
                f"y: got one class only, {self.classes_[0]!r}; expected rows of at least 2 classes, give more rows"
            )
        self._solve(rows, one_hot(codes, len(self.classes_)), sample_weight)
        return self

    def decision_function(self, X: ArrayLike) -> Float:
        """Scores (m, c); with two classes the second's score minus the first's, (m,)."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The class of the largest score for every row of X (m,)."""
        scores = self.decision_function(X)
        codes = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return self.classes_[codes]
