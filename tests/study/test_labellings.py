"""Labellings by their independent columns, against every column solved by itself."""

import numpy as np
import pytest

import kernelfit
from kernelfit.metrics import one_hot
from kernelfit.study.labellings import Columns, fit_each, fit_probed


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    return rng.normal(size=(180, 5)), [rng.integers(0, 3, 180) for _ in range(4)]


def solved(data, **options):
    X, codes = data
    return kernelfit.solve(X, one_hot(codes[0], 3), gamma=0.3, panel_width=64, threads=1, **options)


@pytest.mark.parametrize("ridge", [0.0, 0.5])
def test_fits_equal_those_of_every_column(data, ridge):
    solution = solved(data, ridge=ridge)
    probed, each = fit_probed(solution, data[1], 3), fit_each(solution, data[1], 3)
    scores, expected = probed.predict(data[0][:20] + 0.1), each.predict(data[0][:20] + 0.1)
    for index in range(4):
        mine, theirs = probed.fit(index), each.fit(index)
        scale = np.abs(theirs.alpha).max()
        np.testing.assert_allclose(mine.alpha, theirs.alpha, atol=1e-9 * scale)
        np.testing.assert_allclose(mine.fitted, theirs.fitted, atol=1e-10)
        assert mine.rkhs_norm == pytest.approx(theirs.rkhs_norm, rel=1e-10)
        assert mine.backward_error < 1e-14
        own = Columns.of(probed.columns, scores, index)
        np.testing.assert_allclose(own, each.columns.of(expected, index), atol=1e-9 * scale)
    solution.close()


@pytest.mark.parametrize(
    "options", [{"precision": "mixed"}, {"precision": "float32", "ridge": 0.1}, {"jitter": 1e-8}]
)
def test_a_factor_that_is_not_that_of_a_leaves_it_to_the_full_certificate(data, options):
    solution = solved(data, **options)
    assert fit_probed(solution, data[1], 3) is None
    solution.close()


def test_residuals_that_are_no_rounding_leave_it_to_the_full_certificate(data, monkeypatch):
    solution = solved(data)
    whole = solution.factor.apply_inverse
    monkeypatch.setattr(solution.factor, "apply_inverse", lambda vectors: whole(vectors) * (1 + 1e-7))
    assert fit_probed(solution, data[1], 3) is None
    solution.close()
