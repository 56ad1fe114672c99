"""The regressor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from kernelfit.arguments import flag
from kernelfit.errors import InputError
from kernelfit.estimators.array_api import as_given, on_host
from kernelfit.estimators.base import KernelEstimator
from kernelfit.gram.arrays import refuse_classes, refuse_dates, refuse_rounding, refuse_sparse


class KernelInterpolator(RegressorMixin, MultiOutputMixin, KernelEstimator):
    """The function of least RKHS norm through the training points: f(x) = sum_i k(x, x_i) alpha_i, K alpha = y.

    With `ridge` > 0 kernel ridge regression, (K + ridge I) alpha = y: the same as
    `sklearn.kernel_ridge.KernelRidge(alpha=ridge)`, from a blocked factorisation that never stores K.

    Parameters
    ----------
    kernel : a name of `kernelfit.kernels.KERNELS`, a `Kernel`, a function k(x, y, **kernel_params) of two 1-d arrays,
        partial, method or callable object, a kernel object of `sklearn.gaussian_process.kernels`, or "precomputed" (X
        is then the Gram matrix)
    gamma : a number, "median" (gamma_factor / median of |x - x'|^2 for gaussian, of |x - x'|_1 for laplacian, of |x|^2
        for polynomial; the default) or "auto" (least leave-one-out error on training rows), for the kernels that have a
        gamma
    kernel_params : other parameters of a kernel given by name; `length_scale` is a number, "median" (the median
        distance; the default) or "auto", as gamma is
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
    kernel_ : the `Kernel` with every parameter a number; None for a precomputed Gram matrix
    gamma_, length_scale_ : what the kernel was given or found; each is there where the kernel has it
    ridge_ : the ridge that was used, (c,) where targets have their own
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
        y = on_host(y, "y")
        refuse_sparse(y, "y")
        refuse_dates(y, "y")
        refuse_classes(y)
        refuse_rounding(y, "y")
        rows, targets = self._validated(X, y=y, multi_output=True, y_numeric=True, ensure_min_samples=2)
        self._check_square(rows)
        self._solve(rows, np.asarray(targets, dtype=np.float64), sample_weight)
        self._let_go()
        return self

    def predict(self, X: ArrayLike, return_std: bool = False, return_cov: bool = False) -> Any:
        """f at the rows of X: (m,) or (m, c), as y was.

        With `return_std` also the standard deviation of the Gaussian process whose mean f is, of the shape of f; with
        `return_cov` its covariance (m, m) or (m, m, c). They need the factor: keep_factor=True. They are those of
        `sklearn.gaussian_process.GaussianProcessRegressor(alpha=ridge, optimizer=None)`.
        Raises `InputError` for rows that do not fit, and without a factor.
        """
        if not flag("return_std", return_std) | flag("return_cov", return_cov):
            return as_given(self._scores(X), X)
        check_is_fitted(self)
        if self.solution_.lacks_factor:
            what = "return_std" if return_std else "return_cov"
            lacking = "which copies and pickles lack" if self.keep_factor else "which was not kept"
            if self.keep_factor and np.ndim(self.ridge_):
                lacking += ", and ridges whose factors memory does not hold together"
            raise InputError(f"{what}: needs the factor, {lacking}; fit with keep_factor=True")
        rows = self._validated(X, reset=False)
        made = self.solution_.predict(rows, self.progress, return_std=return_std, return_cov=return_cov)
        return as_given(made, X)
