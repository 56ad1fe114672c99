"""The estimators as scikit-learn sees them, and in agreement with KernelRidge."""

from __future__ import annotations

import pickle
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import LinAlgWarning
from scipy.sparse import csr_array
from scipy.spatial.distance import pdist
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits, load_iris, make_friedman1
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import kernelfit
from kernelfit import KernelClassifier, KernelInterpolator
from kernelfit.errors import DuplicateRowsError, InputError, NotPositiveDefiniteError
from kernelfit.kernels import Gaussian


@pytest.mark.filterwarnings("ignore::scipy.linalg.LinAlgWarning")
@parametrize_with_checks([KernelInterpolator(), KernelClassifier(probability=True)])
def test_scikit_learn_conventions(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def friedman() -> tuple[np.ndarray, np.ndarray]:
    X, y = make_friedman1(n_samples=300, noise=0.1, random_state=0)
    return X, y


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 1.0])
def test_agreement_with_kernel_ridge(friedman: tuple[np.ndarray, np.ndarray], ridge: float) -> None:
    X, y = friedman
    targets = np.column_stack([y, np.cos(y)])
    ours = KernelInterpolator(gamma=0.5, ridge=ridge, singular="raise").fit(X[:200], targets[:200])
    theirs = KernelRidge(alpha=ridge, kernel="rbf", gamma=0.5).fit(X[:200], targets[:200])
    assert_allclose(ours.predict(X[200:]), theirs.predict(X[200:]), rtol=1e-7, atol=1e-7)
    assert_allclose(ours.score(X[200:], targets[200:]), theirs.score(X[200:], targets[200:]), rtol=1e-7)


@pytest.mark.parametrize(
    ("kernel", "params", "theirs"),
    [
        ("laplacian", {}, {"kernel": "laplacian"}),
        ("polynomial", {"degree": 2, "coef0": 1.0}, {"kernel": "poly", "degree": 2, "coef0": 1.0}),
        ("linear", {}, {"kernel": "linear"}),
    ],
)
def test_agreement_for_other_kernels(
    friedman: tuple[np.ndarray, np.ndarray], kernel: str, params: dict[str, Any], theirs: dict[str, Any]
) -> None:
    X, y = friedman
    gamma = None if kernel == "linear" else 0.3
    ours = KernelInterpolator(kernel, gamma=gamma, kernel_params=params, ridge=0.1).fit(X[:200], y[:200])
    reference = KernelRidge(alpha=0.1, gamma=gamma, **theirs).fit(X[:200], y[:200])
    assert_allclose(ours.predict(X[200:]), reference.predict(X[200:]), rtol=1e-7)


def test_it_interpolates(friedman: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = friedman
    model = KernelInterpolator().fit(X, y)
    assert_allclose(model.predict(X), y, atol=1e-9)
    assert model.ridge_ == 0
    assert model.solution_.certificate.interpolates


def test_a_precomputed_gram_is_sliced_on_both_sides(friedman: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = friedman
    gram = rbf_kernel(X, gamma=0.5)
    given = cross_val_score(KernelInterpolator("precomputed", ridge=0.01), gram, y, cv=3)
    computed = cross_val_score(KernelInterpolator(gamma=0.5, ridge=0.01), X, y, cv=3)
    assert_allclose(given, computed, rtol=1e-6)
    with pytest.raises(InputError, match="square"):
        KernelInterpolator("precomputed").fit(X, y)


def test_a_kernel_object_and_a_function_of_the_users() -> None:
    X = np.random.default_rng(0).standard_normal((40, 3))
    y = X[:, 0]
    named = KernelInterpolator(gamma=0.3).fit(X, y).predict(X)
    assert_allclose(KernelInterpolator(Gaussian(0.3)).fit(X, y).predict(X), named, rtol=1e-9)

    def gaussian(a: Any, b: Any) -> float:
        total = 0.0
        for k in range(a.shape[0]):
            total += (a[k] - b[k]) ** 2
        return np.exp(-0.3 * total)

    assert_allclose(KernelInterpolator(gaussian).fit(X, y).predict(X), named, rtol=1e-9)


def test_digits_by_cross_validation() -> None:
    X, y = load_digits(return_X_y=True)
    scores = cross_val_score(KernelClassifier(scale=1 / 16), X, y, cv=3)
    assert scores.mean() > 0.95


def test_pipeline_and_grid_search_over_kernels() -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X[:300], y[:300]
    search = GridSearchCV(
        make_pipeline(StandardScaler(), KernelClassifier(ridge=1e-6)),
        [
            {"kernelclassifier__kernel": ["gaussian"], "kernelclassifier__gamma_factor": [0.3, 1.0]},
            {
                "kernelclassifier__kernel": ["matern"],
                "kernelclassifier__kernel_params": [{"length_scale": 10.0}],
            },
        ],
        cv=3,
        error_score="raise",
    ).fit(X, y)
    assert search.best_score_ > 0.9
    assert len(search.cv_results_["params"]) == 3


def test_data_frames_and_string_classes() -> None:
    X, y = load_digits(return_X_y=True, as_frame=True)
    names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    labels = pd.Series(names[y])
    model = KernelClassifier(scale=1 / 16).fit(X[:500], labels[:500])
    assert_array_equal(model.classes_, np.sort(names))
    assert_array_equal(model.feature_names_in_, X.columns)
    assert model.n_features_in_ == 64
    assert model.score(X[500:800], labels[500:800]) > 0.9
    assert model.decision_function(X[:3]).shape == (3, 10)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(X[:3].rename(columns={"pixel_0_0": "other"}))


def test_two_classes_have_one_decision() -> None:
    X, y = load_digits(n_class=2, return_X_y=True)
    model = KernelClassifier(scale=1 / 16).fit(X, y == 1)
    decision = model.decision_function(X)
    assert decision.shape == (len(X),)
    assert_array_equal(model.predict(X), decision > 0)
    assert_array_equal(model.predict(X), y == 1)


def test_pickling_keeps_predictions_and_drops_the_factor(friedman: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = friedman
    model = KernelInterpolator(keep_factor=True).fit(X, y)
    assert model.solution_.leave_one_out().shape == y.shape
    copy = pickle.loads(pickle.dumps(model))
    assert_array_equal(copy.predict(X), model.predict(X))
    assert copy.solution_.factor is None
    assert model.solution_.factor is not None


def test_the_factor_is_given_back_unless_asked_for(friedman: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = friedman
    model = KernelInterpolator().fit(X, y)
    with pytest.raises(
        InputError, match=r"^leave_one_out: got a solution without its factor.* keep_factor=True"
    ):
        model.solution_.leave_one_out()


def test_the_numbers_that_were_used_are_attributes(friedman: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = friedman
    model = KernelInterpolator(gamma="auto", ridge="auto").fit(X[:60], y[:60])
    assert model.gamma_ == model.kernel_.gamma == model.solution_.gamma_choice.value
    assert model.ridge_ == model.solution_.ridge_choice.ridge
    model.set_params(kernel="matern", gamma=None, ridge=0.1).fit(X[:60], y[:60])
    # The default is the median rule's, as for gamma.
    assert model.length_scale_ == pytest.approx(np.median(pdist(X[:60])), rel=1e-12)
    assert not hasattr(model, "gamma_")
    assert f"length_scale={model.length_scale_}" in repr(model.solution_)
    assert KernelInterpolator("precomputed", ridge=1.0).fit(X[:10] @ X[:10].T, y[:10]).kernel_ is None
    with pytest.raises(InputError, match=r"^gamma_factor: got 2.0, but the matern kernel has no gamma"):
        KernelInterpolator("matern", gamma_factor=2).fit(X, y)


def test_the_ridge_that_helps_is_in_units_of_the_diagonal_and_its_norm_is_right() -> None:
    """An absolute ridge of 1e-12 gave a norm of 478,326, or 0, and predictions that were noise.

    Of K with ten eigenvalues above its rounding no form of float64 has the norm at such a ridge: it is said to be
    unresolved, or it is right.
    """
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((300, 2)), rng.standard_normal(300)
    with pytest.warns(LinAlgWarning, match="ridge = "):
        model = KernelInterpolator(kernel="polynomial").fit(X, y)
    kernel = model.solution_.kernel
    K = (kernel.gamma * X @ X.T + kernel.coef0) ** kernel.degree
    values, vectors = np.linalg.eigh(K)
    values, vectors = values[-10:], vectors[:, -10:]  # polynomials of degree 3 in two variables
    coordinates = vectors.T @ y / (values + model.ridge_)
    norm = float(np.sqrt(np.sum(values * coordinates**2)))
    assert model.ridge_ >= 1e-13 * np.mean(np.diag(K))
    if np.isnan(model.solution_.rkhs_norm):
        assert any("norm is not resolved" in note for note in model.solution_.notes)
        assert model.ridge_ == 1e-8 * np.mean(np.diag(K))  # the largest that is tried
    else:
        assert_allclose(model.solution_.rkhs_norm, norm, rtol=1e-4)
    assert_allclose(model.predict(X), vectors @ (values * coordinates), atol=5e-2)


def test_conflicting_duplicates_are_an_error_that_lists_them() -> None:
    X = np.array([[0.0], [1.0], [2.0], [1.0]])
    with pytest.raises(DuplicateRowsError, match="1, 3"):
        KernelInterpolator(singular="raise").fit(X, [0.0, 1.0, 2.0, 3.0])
    with pytest.raises(DuplicateRowsError, match="1, 3"):
        KernelClassifier(singular="raise").fit(X, ["a", "b", "b", "a"])
    with pytest.warns(LinAlgWarning, match=r"rows 1, 3; ridge = "):
        model = KernelInterpolator().fit(X, [0.0, 1.0, 2.0, 3.0])
    assert_allclose(model.predict(X), [0.0, 2.0, 2.0, 2.0], atol=1e-6)
    # With equal labels, or with a ridge, there is a solution.
    assert_array_equal(KernelClassifier().fit(X, ["a", "b", "b", "b"]).predict(X), ["a", "b", "b", "b"])
    assert_allclose(
        KernelInterpolator(ridge=1e-6).fit(X, [0.0, 1.0, 2.0, 3.0]).predict([[1.0]]), [2.0], atol=1e-3
    )


def test_a_ridge_that_was_not_asked_for_is_never_silent() -> None:
    # 60 points on a line under a wide gaussian: K is positive definite, but not in floating point.
    X = np.linspace(0, 1, 60).reshape(-1, 1)
    y = np.sin(5 * X).ravel()
    with pytest.warns(LinAlgWarning, match="ridge = "):
        model = KernelInterpolator(gamma=1.0).fit(X, y)
    assert 0 < model.ridge_ <= 1e-8
    assert_allclose(model.predict(X), y, atol=1e-5)
    with pytest.raises(NotPositiveDefiniteError):
        KernelInterpolator(gamma=1.0, singular="raise").fit(X, y)
    with pytest.raises(InputError, match="singular"):
        KernelInterpolator(singular="ignore").fit(X, y)


def test_ridge_auto_is_the_best_of_its_path(friedman: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = friedman
    noisy = y + np.random.default_rng(0).normal(scale=2.0, size=len(y))
    model = KernelInterpolator(gamma=0.1, ridge="auto").fit(X, noisy)
    assert model.ridge_ > 0
    choice = model.solution_.ridge_choice
    assert choice is not None
    # An error for each ridge that was tried, from n models of n - 1 rows for the one that was taken.
    errors = {trial.ridge: trial.loo_rmse for trial in choice.trials if trial.loo_rmse is not None}
    assert errors[model.ridge_] == min(errors.values())
    left_out = [
        KernelInterpolator(gamma=0.1, ridge=model.ridge_)
        .fit(np.delete(X, i, axis=0), np.delete(noisy, i))
        .predict(X[i : i + 1])[0]
        - noisy[i]
        for i in range(0, 300, 10)
    ]
    closed = KernelInterpolator(gamma=0.1, ridge=model.ridge_, keep_factor=True).fit(X, noisy)
    found = closed.solution_.leave_one_out()[::10] - noisy[::10]
    assert_allclose(found, left_out, rtol=1e-6, atol=1e-8)
    assert np.sqrt(np.mean((closed.solution_.leave_one_out() - noisy) ** 2)) == pytest.approx(
        errors[model.ridge_], rel=1e-6
    )
    assert_array_equal(clone(model).fit(X, noisy).predict(X[:5]), model.predict(X[:5]))


def test_ridge_auto_of_classes_that_are_partly_wrong() -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X[:400] / 16, y[:400].copy()
    y[::5] = np.random.default_rng(0).integers(0, 10, 80)
    plain = KernelClassifier(gamma=0.05).fit(X[:300], y[:300])
    model = KernelClassifier(gamma=0.05, ridge="auto").fit(X[:300], y[:300])
    assert model.ridge_ > 0
    assert plain.ridge_ == 0
    truth = load_digits().target[300:400]
    assert (model.predict(X[300:]) == truth).mean() > (plain.predict(X[300:]) == truth).mean()


def test_ridge_auto_where_nothing_interpolates() -> None:
    # Equal rows with different targets, and a kernel too wide for float64.
    model = KernelInterpolator(gamma=0.1, ridge="auto").fit([[0.0], [0.0], [1.0]], [0.0, 1.0, 2.0])
    assert model.ridge_ > 0
    with pytest.raises(InputError, match="ridge: got 'some'"):
        KernelInterpolator(ridge="some").fit([[0.0], [1.0]], [0.0, 1.0])


def test_one_class_is_refused() -> None:
    with pytest.raises(InputError, match="one class"):
        KernelClassifier().fit([[0.0], [1.0]], ["a", "a"])


def test_parameters_are_cloned_and_repeated_fits_agree(friedman: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = friedman
    model = KernelInterpolator(gamma="auto", random_state=3)
    first = model.fit(X, y).predict(X[:5])
    assert_array_equal(clone(model).fit(X, y).predict(X[:5]), first)


def test_the_estimators_are_on_the_packages_face() -> None:
    assert kernelfit.KernelInterpolator is KernelInterpolator
    assert kernelfit.KernelClassifier is KernelClassifier


def test_folds_of_rounded_iris_hold_equal_flowers_of_two_species() -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.warns(LinAlgWarning, match="equal rows carry different targets"):
        scores = cross_val_score(KernelClassifier(), X.round(0), y, cv=5, error_score="raise")
    assert scores.mean() > 0.85


def test_a_polynomial_of_large_rows_gets_a_ridge_of_its_own_size() -> None:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 500, (120, 4)).astype(float)
    y = X[:, 0] * X[:, 1] - X[:, 2]
    with pytest.warns(LinAlgWarning, match="ridge = "):
        model = KernelInterpolator("polynomial").fit(X, y)
    assert model.score(X, y) > 1 - 1e-6


def test_sample_weights_are_those_of_kernel_ridge(friedman: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = friedman
    weights = np.random.default_rng(1).integers(0, 4, len(y))
    ours = KernelInterpolator(gamma=0.5, ridge=0.1).fit(X, y, sample_weight=weights)
    theirs = KernelRidge(kernel="rbf", gamma=0.5, alpha=0.1).fit(X, y, sample_weight=weights)
    assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-9)
    classes = y > np.median(y)
    model = KernelClassifier(gamma=0.5, ridge=0.1).fit(X, classes, sample_weight=weights)
    repeated = np.repeat(np.arange(len(y)), weights)
    again = KernelClassifier(gamma=0.5, ridge=0.1).fit(X[repeated], classes[repeated])
    assert_allclose(model.decision_function(X), again.decision_function(X), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_words_in_a_frame_are_named_with_what_encodes_them(dtype: Any) -> None:
    frame = pd.DataFrame({"km": [1.5, 2.5, 3.5, 0.5], "fuel": pd.Series(["a", "b", "b", "a"], dtype=dtype)})
    y = np.array([0.5, 1.5, 1.0, 0.0])
    message = r"^X: got words such as 'a' in column 'fuel', expected numbers; encode them, by make_column_transformer"
    for model in (KernelInterpolator(), KernelClassifier()):
        with pytest.raises(InputError, match=message):
            model.fit(frame, y > 0.7)
    for call in (kernelfit.solve, partial(kernelfit.leaderboard, baselines=False)):
        with pytest.raises(InputError, match=message):
            call(frame, y)
    model = KernelInterpolator().fit(frame[["km"]], y)
    with pytest.raises(InputError, match=message):
        model.predict(frame[["fuel"]].set_axis(["km"], axis=1).rename(columns={"km": "fuel"}))
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = make_column_transformer((encoder, ["fuel"]), remainder="passthrough")
    assert_allclose(make_pipeline(columns, KernelInterpolator()).fit(frame, y).predict(frame), y, atol=1e-9)


_INTERVALS = pd.Series(pd.cut(np.arange(4.0), 2))
_PERIODS = pd.Series(pd.period_range("2020-01", periods=4, freq="M"))


@pytest.mark.parametrize("column", [_INTERVALS, _PERIODS], ids=["intervals", "periods"])
def test_objects_of_pandas_are_named(column: Any) -> None:
    """They were a TypeError of float(), without the column, and as classes of an unknown type."""
    X, y = np.arange(4.0)[:, None], np.array([0.5, 1.5, 1.0, 0.0])
    frame = pd.DataFrame({"a": X[:, 0], "bin": column})
    message = (
        r"^X: got dtype object, as column 'bin' holds (Interval|Period)\(.*, expected integers or floats"
    )
    for call in (KernelInterpolator().fit, kernelfit.solve, partial(kernelfit.leaderboard, baselines=False)):
        with pytest.raises(InputError, match=message):
            call(frame, y)
    with pytest.raises(InputError, match=r"^y: got (Interval|Period)\(.*takes y\.astype\(str\)"):
        KernelInterpolator().fit(X, column)
    with pytest.raises(
        InputError, match=r"^y: got labels such as (Interval|Period)\(.*; use y\.astype\(str\)"
    ):
        KernelClassifier().fit(X, column)
    assert_array_equal(KernelClassifier().fit(X, column.astype(str)).predict(X), column.astype(str))


class PolarsSeries:
    """What a column of polars has: a type that is not NumPy's, a shape, and no ndim."""

    dtype = "String"

    def __init__(self, values: Any) -> None:
        self._values = np.asarray(values)
        self.shape = self._values.shape

    def __len__(self) -> int:
        return len(self._values)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self._values.astype(dtype or self._values.dtype)


def test_a_column_of_polars_is_taken_for_its_values() -> None:
    """It was an AttributeError: no ndim."""
    X, y = np.arange(4.0)[:, None], np.array([0.5, 1.5, 1.0, 0.0])
    assert_array_equal(
        KernelInterpolator().fit(X, PolarsSeries(y)).predict(X), KernelInterpolator().fit(X, y).predict(X)
    )
    words = PolarsSeries(np.array(["a", "b", "a", "b"], dtype=object))
    assert_array_equal(KernelClassifier().fit(X, words).predict(X), ["a", "b", "a", "b"])
    with pytest.raises(
        InputError, match=r"^y: got words such as 'a', expected numbers; KernelClassifier takes"
    ):
        KernelInterpolator().fit(X, words)
    with pytest.raises(InputError, match=r"^y: got a missing label, None, at row 1"):
        KernelClassifier().fit(X, PolarsSeries(np.array(["a", None, "a", "b"], dtype=object)))


def test_columns_of_an_arrow_table_have_names() -> None:
    """Words were a TypeError, dates numbers, and columns in another order were taken as they stood."""
    pa = pytest.importorskip("pyarrow")
    a, b, y = np.arange(4.0), np.array([3.0, 1.0, 0.0, 7.0]), np.array([0.5, 1.5, 1.0, 0.0])
    solution = kernelfit.solve(pa.table({"a": a, "b": b}), y)
    assert_array_equal(
        solution.predict(pa.table({"b": b + 1, "z": y, "a": a})),
        solution.predict(np.column_stack([a, b + 1])),
    )
    twice = pa.Table.from_arrays([pa.array(a), pa.array(b)], names=["a", "a"])
    assert_array_equal(kernelfit.solve(twice, y).alpha, kernelfit.solve(np.column_stack([a, b]), y).alpha)
    table = pa.table({"a": a, "fuel": ["x", "y", "x", "y"]})
    message = r"^X: got words such as 'x' in column 'fuel', expected numbers; encode them, after X.to_pandas\(\), by"
    for call in (KernelInterpolator().fit, kernelfit.solve):
        with pytest.raises(InputError, match=message):
            call(table, y)
        with pytest.raises(InputError, match=r"days since the first: \(X.to_pandas\(\)\['d'\] - "):
            call(pa.table({"a": a, "d": a.astype("datetime64[s]")}), y)


_LARGE = 2**60 + np.arange(1, 5)


@pytest.mark.parametrize(
    "X",
    [
        _LARGE[:, None],
        _LARGE[:, None].tolist(),
        _LARGE[:, None].astype(object),
        pd.DataFrame({"a": np.arange(4.0), "t": _LARGE}),
        csr_array(_LARGE[:, None]),
        pytest.param(
            np.arange(1, 5)[:, None] / np.longdouble(3),
            marks=pytest.mark.skipif(
                np.finfo(np.longdouble).bits == 64, reason="long double is float64 here"
            ),
        ),
    ],
)
def test_numbers_that_float64_does_not_hold_are_refused(X: Any) -> None:
    """scikit-learn rounds them without a word."""
    y = np.array([0, 1, 0, 1])
    for model in (KernelInterpolator(ridge=1.0), KernelClassifier(ridge=1.0)):
        with pytest.raises(InputError, match=r"^X(|\.data|\['t'\]): got .* float64 "):
            model.fit(X, y)
    if np.shape(X)[1] == 1 and not hasattr(X, "toarray"):
        for targets in (np.array(X), np.ravel(X).tolist()):
            with pytest.raises(InputError, match=r"^y: got .* float64 "):
                KernelInterpolator(gamma=1.0).fit(np.arange(4.0)[:, None], targets)

    labels = KernelClassifier(gamma=1.0).fit(np.arange(4.0)[:, None], _LARGE).predict([[2.0]])
    assert_array_equal(labels, _LARGE[2:3])


def test_dates_in_a_frame_are_named() -> None:
    frame = pd.DataFrame({"day": pd.date_range("2020-01-01", periods=5), "a": range(5)})
    message = r"^X: got dates in column 'day', expected numbers; make them such, as days since the first"
    for call in (KernelInterpolator().fit, kernelfit.solve):
        with pytest.raises(InputError, match=message):
            call(frame, range(5))
    days = frame.assign(day=(frame["day"] - frame["day"].min()) / np.timedelta64(1, "D"))
    assert_allclose(KernelInterpolator().fit(days, range(5)).predict(days), range(5), atol=1e-9)


_DAYS = np.arange("2020-01-01", "2020-01-06", dtype="datetime64[D]")


@pytest.mark.parametrize(
    "dates",
    [
        _DAYS,
        _DAYS - _DAYS[0],
        _DAYS.astype(object),
        np.array(list(_DAYS), object),
        np.array(list(_DAYS - _DAYS[0]), object),
    ],
    ids=["dates", "spans", "dates of Python", "objects of NumPy", "spans as objects"],
)
def test_dates_in_arrays_are_refused(dates: np.ndarray) -> None:
    """Days became numbers in silence, and nanoseconds other ones: predictions of the same dates were 0."""
    numbers, message = (
        np.arange(5.0)[:, None],
        r"^{}: got dates, expected numbers; make them such, as days since",
    )
    for model in (KernelInterpolator(), KernelClassifier()):
        with pytest.raises(InputError, match=message.format("X")):
            model.fit(dates[:, None], [0, 1, 0, 1, 0])
    fitted = KernelInterpolator().fit(numbers, numbers)
    with pytest.raises(InputError, match=message.format("X")):
        fitted.predict(dates[:, None])
    for y in (
        dates,
        dates[:, None],
        dates.tolist(),
        pd.Series(dates),
        pd.Series(_DAYS).dt.tz_localize("UTC"),
    ):
        with pytest.raises(InputError, match=message.format("y")):
            KernelInterpolator().fit(numbers, y)
    with pytest.raises(InputError, match=r"^y: got dates in column 'day', expected"):
        KernelInterpolator().fit(numbers, pd.DataFrame({"day": dates}))
    for X, Y, name in ((dates[:, None], numbers, "X"), (numbers, dates, "Y")):
        with pytest.raises(InputError, match=message.format(name)):
            kernelfit.solve(X, Y)


def test_sparse_targets_are_named() -> None:
    X = np.eye(3)
    with pytest.raises(InputError, match=r"^y: got a sparse matrix, expected an array; use y.toarray\(\)$"):
        KernelInterpolator().fit(X, csr_array(X))


@pytest.mark.parametrize("model", [KernelInterpolator(gamma=1.0), KernelClassifier(gamma=1.0)])
def test_masked_entries_and_targets_of_no_rows_are_refused(model: Any, rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((6, 2)), np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    hidden = np.ma.masked_greater(X, X.max() - 1e-9)
    with pytest.raises(InputError, match="X: got masked entries"):
        model.fit(hidden, y)
    with pytest.raises(InputError, match="y: got masked entries"):
        model.fit(X, np.ma.masked_equal(y, 1.0))
    model.fit(np.ma.asarray(X), y)  # of a mask that hides nothing
    with pytest.raises(InputError, match="X: got masked entries"):
        model.predict(hidden)
    with pytest.raises(TypeError, match=r"at least 1 dimension|Singleton array"):
        model.fit(X, np.array(1.0))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array(["a", None, "b", "a"], object), "a missing label, None, at row 1"),
        (pd.Series(["a", "b", None, "a"], dtype="string"), "a missing label, <NA>, at row 2"),
        (np.array(["a", np.nan, "b", "a"], object), "a missing label, nan, at row 1"),
        (np.array(["a", 1, "b", 2.5], object), "labels of several types, a number, str"),
    ],
)
def test_labels_that_are_missing_or_of_several_types_are_named(y: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^y: got {message}, expected"):
        KernelClassifier().fit(np.arange(4.0)[:, None], y)


@pytest.mark.parametrize(
    "y", [["a", "b", "a", "b"], np.array(["a", "b", "a", "b"]), np.array([1, "b", 2, 3], object)]
)
def test_targets_that_are_words_are_for_the_classifier(y: Any) -> None:
    with pytest.raises(
        InputError, match=r"^y: got words such as '[ab]', expected numbers; KernelClassifier takes"
    ):
        KernelInterpolator().fit(np.arange(4.0)[:, None], y)


@pytest.mark.parametrize(
    ("keep", "why"), [(True, "which copies and pickles lack"), (False, "which was not kept")]
)
def test_deviations_without_a_factor_say_where_it_went(keep: bool, why: str) -> None:
    X = np.arange(4.0)[:, None]
    model = pickle.loads(pickle.dumps(KernelInterpolator(keep_factor=keep).fit(X, X[:, 0])))
    with pytest.raises(InputError, match=f"^return_std: needs the factor, {why}; fit with keep_factor=True$"):
        model.predict(X, return_std=True)
