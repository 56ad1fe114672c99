"""Tensors in, and tensors out where scikit-learn dispatches on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal

import kernelfit
from kernelfit import KernelClassifier, KernelInterpolator
from kernelfit.errors import InputError

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def rows() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((40, 3)), rng.standard_normal(40)


def test_a_tensor_is_an_array(rows: tuple[Any, Any]) -> None:
    X, y = rows
    expected = KernelInterpolator(gamma=0.5, ridge=0.1).fit(X, y).predict(X)
    model = KernelInterpolator(gamma=0.5, ridge=0.1).fit(torch.tensor(X), torch.tensor(y))
    predicted = model.predict(torch.tensor(X))
    assert isinstance(predicted, np.ndarray)
    assert_array_equal(predicted, expected)
    solution = kernelfit.solve(torch.tensor(X), torch.tensor(y), gamma=0.5, ridge=0.1)
    assert_array_equal(solution.predict(torch.tensor(X)), expected)


def test_tensors_come_back_where_scikit_learn_dispatches(
    rows: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = (torch.tensor(array) for array in rows)
    X.requires_grad_()
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    with sklearn.config_context(array_api_dispatch=True):
        model = KernelInterpolator(gamma=0.5, ridge=0.1, keep_factor=True).fit(X, y)
        mean, deviation = model.predict(X, return_std=True)
        classes = KernelClassifier(gamma=0.5, ridge=0.1, probability=True).fit(X, (y > 0).int())
        labels, p = classes.predict(X), classes.predict_proba(X)
    for made in (mean, deviation, labels, p):
        assert isinstance(made, torch.Tensor)
    expected = KernelInterpolator(gamma=0.5, ridge=0.1).fit(*rows).predict(rows[0])
    assert_allclose(mean.numpy(), expected)
    assert p.shape == (40, 2)


def test_tensors_that_numpy_does_not_see_are_named(rows: tuple[Any, Any]) -> None:
    X, y = rows
    cases = (
        (torch.tensor(X).requires_grad_(), "X: got a tensor that requires grad, .*use X.detach()"),
        (torch.tensor(X).to(torch.bfloat16), "X: got a tensor that holds torch.bfloat16, .*use X.float()"),
        (torch.empty((40, 3), device="meta"), "X: got a tensor that lies on meta, .*use X.cpu()"),
    )
    for tensor, message in cases:
        with pytest.raises(InputError, match=message):
            kernelfit.solve(tensor, y)
        with pytest.raises(InputError, match=message):
            KernelInterpolator().fit(tensor, y)
