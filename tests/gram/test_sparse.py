"""Sparse rows: the same K as dense ones, in every kernel that never asks for a whole row."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csc_matrix, csr_array, csr_matrix, random_array
from sklearn.kernel_ridge import KernelRidge

import kernelfit
from kernelfit import KernelClassifier, KernelInterpolator
from kernelfit.errors import DataError, InputError
from kernelfit.gram.points import Points
from kernelfit.gram.sparse import SparsePoints
from kernelfit.kernels import (
    ArcCosine,
    Cosine,
    Gaussian,
    Laplacian,
    Linear,
    Matern,
    NeuralTangent,
    Polynomial,
    RationalQuadratic,
)


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(6)
    x = random_array((90, 400), density=0.03, rng=rng, data_sampler=rng.standard_normal).tocsr()
    x = csr_array(np.vstack([x.toarray(), x[[3]].toarray() * (1 + 1e-9), np.zeros((1, 400))]))
    new = random_array((33, 400), density=0.03, rng=rng, data_sampler=rng.standard_normal).tocsr()
    return x, rng.standard_normal((92, 2)), new


@pytest.mark.parametrize(
    "kernel",
    [
        Gaussian(0.1),
        Matern(0.5, 2.0),
        RationalQuadratic(1.0, 2.0),
        Linear(),
        Polynomial(degree=2, gamma=0.3, coef0=1.0),
        Cosine(),
        ArcCosine(1, 2),
        NeuralTangent(2),
        Gaussian(0.1) * Linear() + Cosine(),
    ],
    ids=repr,
)
def test_k_is_that_of_dense_rows(problem, kernel):
    x, _, new = problem
    dense, sparse = Points(x.toarray()), SparsePoints(x)
    assert_allclose(kernel.diagonal(sparse), kernel.diagonal(dense), rtol=1e-13)
    solution = kernelfit.solve(x, np.eye(92), kernel=kernel, ridge=1.0, panel_width=32)
    reference = kernelfit.solve(x.toarray(), np.eye(92), kernel=kernel, ridge=1.0)
    assert solution.points.sparse
    assert not reference.points.sparse
    assert_allclose(solution.fitted, reference.fitted, rtol=1e-9, atol=1e-12)
    for rows in (new, csc_matrix(new), new.toarray()):
        assert_allclose(solution.predict(rows), reference.predict(new.toarray()), rtol=1e-9, atol=1e-12)
    # A dense solution takes sparse rows.
    assert_allclose(reference.predict(new), reference.predict(new.toarray()), rtol=1e-12)


def test_pairs_that_are_close_are_subtracted(problem):
    x, y, _ = problem
    solution = kernelfit.solve(x, y, kernel=Matern(0.5, 1.0), ridge=1e-3)
    near = np.linalg.norm((x[[3]] - x[[90]]).toarray())
    deviation = solution.predict(x[[90]], return_std=True)[1]
    dense = kernelfit.solve(x.toarray(), y, kernel=Matern(0.5, 1.0), ridge=1e-3)
    assert near < 1e-8
    assert_allclose(deviation, dense.predict(x[[90]].toarray(), return_std=True)[1], rtol=1e-10)


def test_rules_duplicates_and_weights(problem):
    x, y, _ = problem
    x, y = x[:90], y[:90]  # without the two that nearly are one
    stacked, targets = csr_array(np.vstack([x.toarray(), x[:2].toarray()])), np.vstack([y, y[:2]])
    solution = kernelfit.solve(stacked, targets)
    dense = kernelfit.solve(stacked.toarray(), targets)
    assert solution.duplicates == dense.duplicates == ((0, 90), (1, 91))
    assert_allclose(solution.kernel.gamma, dense.kernel.gamma, rtol=1e-12)
    assert_allclose(solution.leave_one_out(), dense.leave_one_out(), rtol=1e-6, atol=1e-9)
    weights = np.arange(90) % 3
    ours = kernelfit.solve(x, y, gamma=0.1, ridge=0.2, sample_weight=weights)
    theirs = KernelRidge(kernel="rbf", gamma=0.1, alpha=0.2).fit(x, y, sample_weight=weights)
    assert_allclose(ours.predict(x), theirs.predict(x), rtol=1e-9, atol=1e-11)
    assert_allclose(
        ours.leave_one_out(),
        kernelfit.solve(x.toarray(), y, gamma=0.1, ridge=0.2, sample_weight=weights).leave_one_out(),
        rtol=1e-8,
        atol=1e-11,
    )
    searched = kernelfit.solve(x, y, gamma="auto", ridge="auto")
    again = kernelfit.solve(x.toarray(), y, gamma="auto", ridge="auto")
    assert_allclose(searched.kernel.gamma, again.kernel.gamma, rtol=1e-4)


def test_files_runs_and_scale(problem, tmp_path):
    x, y, new = problem
    solution = kernelfit.solve(
        x,
        y,
        kernel=Gaussian(0.4),
        ridge=0.1,
        scale=0.5,
        sample_weight=np.arange(92) % 5,
        run_dir=tmp_path / "run",
    )
    assert_allclose(
        solution.predict(new),
        kernelfit.solve(x / 2, y, kernel=Gaussian(0.4), ridge=0.1, sample_weight=np.arange(92) % 5).predict(
            new / 2
        ),
        rtol=1e-12,
        atol=1e-14,
    )
    expected = solution.predict(new), solution.leave_one_out()
    solution.save(tmp_path / "solution.h5")
    assert_array_equal(kernelfit.load(tmp_path / "solution.h5").predict(new), expected[0])
    solution.close()
    opened = kernelfit.open(tmp_path / "run")
    assert_array_equal(opened.leave_one_out(), expected[1])
    opened.close()
    assert kernelfit.check(tmp_path / "run").ok


def test_what_is_made_dense_says_so(problem):
    x, y, _ = problem
    laplacian = kernelfit.solve(x, y, kernel=Laplacian(0.1), ridge=0.1)
    assert "X: sparse, was made an array of 294,400 bytes, as the laplacian kernel reads all of a row" in (
        laplacian.notes
    )
    assert_allclose(
        laplacian.alpha, kernelfit.solve(x.toarray(), y, kernel=Laplacian(0.1), ridge=0.1).alpha, rtol=1e-10
    )
    filled = csr_array(np.ones((5, 4)) + np.eye(5, 4))
    assert "100% of it is not zero" in kernelfit.solve(filled, np.arange(5.0), ridge=1.0).notes[0]
    huge = csr_array((np.ones(3), ([0, 1, 2], [5, 6, 7])), shape=(3, 2**31))
    with pytest.raises(
        InputError, match=r"X: sparse, takes 51,539,607,552 bytes as an array, got 1,000,000,000"
    ):
        kernelfit.solve(huge, np.arange(3.0), kernel=Laplacian(1.0), memory=10**9)
    # What a kernel of distances takes is what is not zero.
    wide = csr_array((np.ones(3), ([0, 1, 2], [5, 6, 7])), shape=(3, 2**20))
    plan = kernelfit.solve(wide, np.arange(3.0), kernel="gaussian").plan
    assert plan.bytes_points + plan.bytes_workspace < 2**20


def test_estimators_take_sparse_rows(problem):
    x, y, new = problem
    ours = KernelInterpolator(gamma=0.1, ridge=0.1).fit(csr_matrix(x), y)
    theirs = KernelRidge(kernel="rbf", gamma=0.1, alpha=0.1).fit(x, y)
    assert_allclose(ours.predict(csc_matrix(new)), theirs.predict(new), rtol=1e-9, atol=1e-11)
    labels = y[:, 0] > 0
    model = KernelClassifier(gamma=0.1, ridge=0.1).fit(x, labels)
    dense = KernelClassifier(gamma=0.1, ridge=0.1).fit(x.toarray(), labels)
    assert_array_equal(model.predict(new), dense.predict(new.toarray()))


def test_sparse_rows_that_are_none(problem, tmp_path):
    x, y, _ = problem
    bad = x.copy()
    bad.data[5] = np.nan
    with pytest.raises(InputError, match="X: got a value that is not finite in row 0, expected finite"):
        kernelfit.solve(bad, y)
    with pytest.raises(InputError, match="X: got 3 features, expected 400 as in training"):
        kernelfit.solve(x, y, ridge=0.1).predict(csr_array(np.eye(3)))
    with pytest.raises(InputError, match="X: sparse rows hold numbers from"):
        kernelfit.solve(x * 1e200, y, gamma=1.0)
    with pytest.raises(InputError, match="got dtype complex128"):
        kernelfit.solve(x * 1j, y, gamma=1.0)
    forged = kernelfit.solve(x, y, gamma=0.1, ridge=0.1)
    forged.problem.points.values.indices[3] = 400
    forged.save(tmp_path / "forged.h5")
    with pytest.raises(DataError, match="rows are no sparse rows of 400 columns"):
        kernelfit.load(tmp_path / "forged.h5")


def test_one_sparse_row_is_not_taken_for_rows():
    x = csr_array(np.eye(40))
    solution = kernelfit.solve(x, np.arange(40.0), ridge=0.1, gamma=1.0)
    for row in (x[0], np.zeros(40)):
        if row.ndim == 1:  # an older SciPy has no sparse arrays of one dimension
            with pytest.raises(InputError, match=r"X: got 1 dimension, expected rows \(n, d\); use reshape"):
                solution.predict(row)
    if x[0].ndim == 1:
        with pytest.raises(InputError, match="X: got 1 dimension"):
            kernelfit.solve(x[0], [1.0])
