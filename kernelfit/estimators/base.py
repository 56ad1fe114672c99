"""What both estimators share: parameters, the solve, and scores of new rows."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import LinAlgWarning
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from kernelfit.arguments import OTHER_NAMES, flag, hint_for, suggests_names
from kernelfit.errors import InputError
from kernelfit.estimators.array_api import on_host
from kernelfit.gram.arrays import refuse_dates, refuse_objects, refuse_rounding, refuse_words
from kernelfit.kernels import Kernel
from kernelfit.progress import ProgressLike
from kernelfit.solver.least_ridge import SINGULAR
from kernelfit.solver.resources import Resources
from kernelfit.solver.solution import Solution
from kernelfit.solver.solve import KernelLike, left_out_again, solve
from kernelfit.typing import Float, GammaRule, PrecisionLike, RidgeLike, Singular, Tier

# Bytes stay bytes (their inner products are exact), float32 stays float32; anything else becomes float64.
DTYPES = (np.float64, np.float32, np.uint8)


class KernelEstimator(BaseEstimator):
    """What both estimators share: parameters, the solve, and scores of new rows."""

    solution_: Solution
    kernel_: Kernel | None
    gamma_: float
    length_scale_: float
    ridge_: Any
    n_features_in_: int

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

    def set_params(self, **params: Any) -> KernelEstimator:
        """As scikit-learn's; a name that this parameter has in other libraries is told its own."""
        known = self.get_params()
        for name in params:
            if name not in known and (hint := hint_for(name, OTHER_NAMES, known)):
                raise InputError(f"{name}: got a parameter of that name{hint}")
        super().set_params(**params)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self._precomputed
        tags.input_tags.sparse = not self._precomputed
        tags.array_api_support = True
        return tags

    def _validated(self, X: ArrayLike, **options: Any) -> Any:
        """What scikit-learn's `validate_data` makes of X, words in it named with what encodes them."""
        rows = on_host(X, "X")
        if self._is_plain(rows, **options):
            self.n_features_in_ = rows.shape[1]
            return (rows, options["y"]) if "y" in options else rows
        refuse_dates(rows, "X")
        refuse_rounding(rows, "X")
        try:
            return validate_data(self, rows, dtype=DTYPES, accept_sparse=self._sparse, **options)
        except (ValueError, TypeError) as error:
            refuse_words(rows, "X")
            if isinstance(error, TypeError):
                refuse_objects(rows, "X")
            raise

    def _is_plain(self, rows: Any, *, y: Any = None, reset: bool = True, **_: Any) -> bool:
        """Whether `validate_data` would give rows, and targets, back as they are: it takes as long as a small solve."""
        if type(rows) is not np.ndarray or rows.ndim != 2 or rows.dtype not in DTYPES or 0 in rows.shape:
            return False
        if hasattr(self, "feature_names_in_") or not _is_finite(rows):
            return False
        if y is None:
            return not reset and rows.shape[1] == self.n_features_in_
        plain = type(y) is np.ndarray and y.dtype == np.float64 and y.ndim in (1, 2)
        return plain and len(y) == len(rows) > 1 and y.shape[1:] != (1,) and _is_finite(y)

    def _solve(self, X: NDArray[Any], targets: Float, sample_weight: ArrayLike | None) -> None:
        """Fit `solution_` to targets (n,) or (n, c)."""
        flag("keep_factor", self.keep_factor)  # before the work: what it says counts after it
        self.solution_ = solve(
            X,
            targets,
            sample_weight=sample_weight,
            kernel=self.kernel,
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
            seed=_seed(self.random_state),
            # The certificate's condition number costs passes over the factor; ask kernelfit.solve for it.
            condition=False,
            progress=self.progress,
        )
        for note in self.solution_.notes:
            if note.startswith(SINGULAR):
                remedy = "set ridge > 0 or a narrower kernel, or singular='raise' to make this an error"
                warnings.warn(f"{note.removeprefix(SINGULAR)}; {remedy}", LinAlgWarning, stacklevel=3)
        self._tell(self.solution_)

    def _tell(self, solution: Solution) -> None:
        """The attributes that say what was used."""
        self.ridge_, self.kernel_ = solution.ridge, solution.kernel
        numbers = {} if solution.kernel is None else solution.kernel.parameters
        for name in ("gamma", "length_scale"):
            self.__dict__.pop(f"{name}_", None)  # of an earlier fit
            if name in numbers:
                setattr(self, f"{name}_", numbers[name])

    def _left_out(self) -> Float:
        """Leave-one-out scores (n, c) of the rows that were kept, by the factor that is there, or by factors that are
        made anew, one at a time, within what this estimator may use."""
        if not self.solution_.lacks_factor:
            return self.solution_.leave_one_out(self.progress, distinct=True)
        resources = Resources.of(memory=self.memory, tier=self.tier, threads=self.threads, device=self.device)
        return left_out_again(self.solution_, resources, self.progress)

    def _let_go(self) -> None:
        """Give the factor back, unless it is to be kept."""
        if not self.keep_factor:
            self.solution_.close()

    def _scores(self, X: ArrayLike) -> Float:
        check_is_fitted(self)
        rows = self._validated(X, reset=False)
        return self.solution_.predict(rows, self.progress)

    @property
    def _precomputed(self) -> bool:
        """Whether X is the Gram matrix; the kernel may be an array by mistake."""
        return isinstance(self.kernel, str) and self.kernel == "precomputed"

    @property
    def _sparse(self) -> Any:
        """What sparse X is accepted as."""
        return False if self._precomputed else "csr"

    def _check_square(self, X: NDArray[Any]) -> None:
        if self._precomputed and X.shape[0] != X.shape[1]:
            raise InputError(
                f"X: got shape {X.shape}, expected the square Gram matrix (n, n) of the training rows"
            )


def _is_finite(array: NDArray[Any]) -> bool:
    """Whether all numbers are; one that overflows a sum counts as none, and is looked at more closely."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(array.sum()))


def _seed(random_state: Any) -> int:
    """A seed drawn as scikit-learn draws from `random_state`."""
    if type(random_state) is int:
        return _seed_of_integer(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


@lru_cache(maxsize=8)
def _seed_of_integer(random_state: int) -> int:
    """The same for an integer, whose draw is always the same: to seed a generator takes longer than checks of rows."""
    return int(check_random_state(random_state).randint(2**31 - 1))
