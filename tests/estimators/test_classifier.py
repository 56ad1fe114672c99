"""Several labels a row, and probabilities."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.datasets import load_digits, make_multilabel_classification
from sklearn.metrics import log_loss
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline

import kernelfit
from kernelfit import KernelClassifier, KernelInterpolator
from kernelfit.errors import InputError
from kernelfit.features.gabor import Gabor
from kernelfit.kernels import Gaussian


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(y))[:700]
    return X[rows] / 16, y[rows]


@pytest.fixture(scope="module")
def tagged() -> tuple[np.ndarray, np.ndarray]:
    X, Y = make_multilabel_classification(150, 8, n_classes=3, random_state=1)
    return X / 10, Y


def test_labels_are_interpolated_each_for_itself(tagged: tuple[np.ndarray, np.ndarray]) -> None:
    X, Y = tagged
    model = KernelClassifier(gamma=0.5, ridge=0.1).fit(X[:100], Y[:100])
    signs = KernelInterpolator(gamma=0.5, ridge=0.1).fit(X[:100], 2.0 * Y[:100] - 1.0)
    assert_array_equal(model.decision_function(X), signs.predict(X))
    assert_array_equal(model.predict(X), signs.predict(X) > 0)
    assert_array_equal(model.classes_, [0, 1, 2])
    assert model.score(X[100:], Y[100:]) > 0.3  # all three right
    sparse = KernelClassifier(gamma=0.5, ridge=0.1).fit(X[:100], csr_array(Y[:100]))
    assert_array_equal(sparse.predict(X), model.predict(X))
    # An interpolant meets every label.
    assert_array_equal(KernelClassifier(gamma=5.0).fit(X, Y).predict(X), Y)
    with pytest.raises(ValueError, match=r"y: got classes of shape \(150, 3\)"):
        KernelClassifier().fit(X, Y + np.arange(3))


@pytest.mark.parametrize("shift", [1, -2, 5])
def test_two_numbers_that_indicate_nothing_are_refused(shift: int) -> None:
    """scikit-learn calls them an indicator matrix; all labels were then predicted, or none."""
    X, Y = np.arange(8.0).reshape(4, 2), np.array([[0, 1], [1, 0], [1, 1], [0, 0]])
    for labels in (Y + shift, Y * 2, csr_array(Y * 2)):
        with pytest.raises(InputError, match=r"^y: got classes of shape \(4, 2\), .*, or of -1 and 1$"):
            KernelClassifier().fit(X, labels)


@pytest.mark.parametrize("make", [lambda Y: Y, lambda Y: 2 * Y - 1, lambda Y: 2.0 * Y - 1, lambda Y: Y > 0])
def test_labels_are_predicted_as_they_were_given(make: Any) -> None:
    """-1 and 1 were predicted as 0 and 1, of which a score counted each as wrong."""
    X, Y = np.arange(8.0).reshape(4, 2), make(np.array([[0, 1], [1, 0], [1, 1], [0, 0]]))
    model = KernelClassifier().fit(X, Y)
    assert_array_equal(model.predict(X), Y)
    assert model.score(X, Y) == 1


def test_probabilities_of_digits(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    model = KernelClassifier(probability=True).fit(X[:500], y[:500])
    p = model.predict_proba(X[500:])
    assert p.shape == (200, 10)
    assert_allclose(p.sum(axis=1), 1.0, rtol=1e-14)
    assert_array_equal(model.classes_[p.argmax(axis=1)], model.predict(X[500:]))
    assert log_loss(y[500:], p) < 0.15
    # Neither half nor twice the temperature would have been better by much.
    scores = model.decision_function(X[500:])
    for factor in (0.5, 2.0):
        other = np.exp(factor * model.inverse_temperature_ * scores)
        assert log_loss(y[500:], p) < log_loss(y[500:], other / other.sum(axis=1, keepdims=True)) + 0.01
    assert_allclose(model.predict_log_proba(X[500:]), np.log(p))
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X[500:]), p)
    assert model.solution_.factor is None


def test_probabilities_of_two_classes_and_of_labels(tagged: tuple[np.ndarray, np.ndarray]) -> None:
    X, Y = tagged
    model = KernelClassifier(gamma=0.5, ridge=0.1, probability=True).fit(X, Y)
    p = model.predict_proba(X)
    assert p.shape == Y.shape
    assert ((p > 0) & (p < 1)).all()
    assert_array_equal(p > 0.5, model.predict(X) == 1)
    one = KernelClassifier(gamma=0.5, ridge=0.1, probability=True).fit(X, Y[:, 1])
    assert one.predict_proba(X).shape == (150, 2)
    # -1 and 1 are twice as far apart as the two one-hot scores of a class.
    assert_allclose(one.predict_proba(X)[:, 1], p[:, 1], rtol=1e-3)


def test_probabilities_count_rows_by_their_weights(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    weights = np.random.default_rng(0).integers(0, 3, 300)
    options = {"ridge": 0.1, "gamma": 0.05, "probability": True}
    weighted = KernelClassifier(**options).fit(X[:300], y[:300], sample_weight=weights)
    plain = KernelClassifier(**options).fit(X[:300][weights > 0], y[:300][weights > 0])
    assert weighted.inverse_temperature_ != plain.inverse_temperature_
    assert_allclose(weighted.inverse_temperature_, plain.inverse_temperature_, rtol=0.3)


def test_probabilities_in_cross_validation(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    p = cross_val_predict(KernelClassifier(probability=True), X[:300], y[:300], method="predict_proba", cv=3)
    assert log_loss(y[:300], p) < 0.4


@pytest.mark.parametrize("options", [{}, {"keep_factor": True}, {"ridge": [0.1] * 5 + [0.2] * 5}])
def test_probabilities_are_calibrated_when_they_are_asked_for(
    digits: tuple[np.ndarray, np.ndarray], options: dict[str, Any]
) -> None:
    X, y = digits
    weights = np.linspace(0.5, 1.5, 80)
    early = KernelClassifier(probability=True, **options).fit(X[:80], y[:80], weights)
    late = KernelClassifier(**options).fit(X[:80], y[:80], weights)
    before = dict(vars(late))
    assert hasattr(late, "predict_proba")
    late = pickle.loads(pickle.dumps(late))
    assert_array_equal(late.predict_proba(X[80:]), early.predict_proba(X[80:]))
    assert_array_equal(late.predict_log_proba(X[80:]), np.log(early.predict_proba(X[80:])))
    assert late.inverse_temperature_ == early.inverse_temperature_
    assert vars(late).keys() == before.keys()


def test_probabilities_of_a_gram_matrix_need_its_factor(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    K = rbf_kernel(X[:60], gamma=0.1)
    model = KernelClassifier("precomputed").fit(K, y[:60])
    assert not hasattr(model, "predict_proba")
    with pytest.raises(
        AttributeError, match=r"^predict_proba: got a precomputed .* expected probability=True"
    ):
        model.predict_proba(K)
    expected = KernelClassifier(gamma=0.1).fit(X[:60], y[:60]).predict_proba(X[:60])
    for options in ({"probability": True}, {"keep_factor": True}):
        model = KernelClassifier("precomputed", **options).fit(K, y[:60])
        assert_allclose(model.predict_proba(K), expected, rtol=1e-6)


def test_probabilities_of_the_linear_kernel_with_few_features(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    model = KernelClassifier("linear").fit(X[:150, 20:40], y[:150])
    assert log_loss(y[150:], model.predict_proba(X[150:, 20:40])) < np.log(10)


@pytest.mark.parametrize("dtype", ["Int64", "boolean", "category", "string"])
def test_classes_are_what_was_brought(digits: tuple[np.ndarray, np.ndarray], dtype: str) -> None:
    X, y = digits
    labels = pd.Series(y[:60] > 4).astype(dtype)
    if dtype == "Int64":
        assert KernelClassifier().fit(X[:60], labels).predict(X[:2]).dtype.kind == "i"
    assert_array_equal(KernelClassifier().fit(X[:60], labels).predict(X[:60]), labels.to_numpy())


@pytest.mark.parametrize("model", [KernelInterpolator(), KernelClassifier()])
def test_names_of_others_are_explained_to_a_grid_search(model: Any, digits: Any) -> None:
    X, y = digits
    others = {"alpha": "here it is called ridge", "class_weight": "here it is called sample_weight, of fit"}
    for name, remedy in {**others, "rigde": "did you mean 'ridge'"}.items():
        with pytest.raises(InputError, match=rf"^{name}: got a parameter of that name; {remedy}"):
            model.set_params(**{name: 1.0})
        search = GridSearchCV(make_pipeline(model), {f"{type(model).__name__.lower()}__{name}": [0.1, 1.0]})
        with pytest.raises(InputError, match=remedy):
            search.fit(X, y)
    with pytest.raises(ValueError, match="Invalid parameter 'xyz'"):
        model.set_params(xyz=1)


def test_names_of_others_are_explained() -> None:
    with pytest.raises(TypeError, match="alpha: got an argument of that name; here it is called ridge"):
        KernelInterpolator(alpha=1.0)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="did you mean 'precision'"):
        KernelClassifier(precison="mixed")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="expected one of kernel, gamma"):
        KernelClassifier(xyz=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="strid: got an argument of that name; did you mean 'stride'"):
        Gabor(strid=2)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="gama: got an argument of that name; did you mean 'gamma'"):
        Gaussian(gama=2)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="alpha: got an argument of that name; here it is called ridge"):
        kernelfit.solve(np.eye(2), np.ones(2), alpha=1.0)  # type: ignore[call-arg]
    with pytest.raises(AttributeError, match="did you mean 'solve'"):
        kernelfit.solev  # noqa: B018
    with pytest.raises(InputError, match="did you mean 'degree'"):
        kernelfit.solve(np.eye(2), np.ones(2), kernel="polynomial", kernel_params={"degre": 2})
