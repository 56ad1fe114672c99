"""Randomly pivoted Cholesky, and the preconditioner made of it."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import scipy.linalg

from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.source import ArrayGram
from kernelfit.iterative.pivoted_cholesky import LowRank, pivoted_cholesky
from kernelfit.iterative.preconditioner import Preconditioner, residual_inverse
from kernelfit.iterative.stored_gram import StoredGram
from kernelfit.progress import Silent
from kernelfit.typing import Float

from .conftest import gaussian_matrix


def low_rank(gram: Float, rank: int, backend: CpuBackend) -> LowRank:
    stored = stored_of(gram, backend)
    columns = partial(stored.columns, backend=backend)
    return pivoted_cholesky(columns, np.diagonal(gram).copy(), rank, 0, backend, Silent())


def stored_of(gram: Float, backend: CpuBackend) -> StoredGram:
    return StoredGram.of(ArrayGram(gram), PanelLayout.of_order(len(gram)), backend, Silent())


def made_of(gram: Float, rank: int, backend: CpuBackend, ridge: float | Float = 0.0) -> Preconditioner:
    made = low_rank(gram, rank, backend)
    inverse = residual_inverse(stored_of(gram, backend), made, np.diagonal(gram), ridge, 20, backend)
    return Preconditioner(made, inverse, backend, Silent())


def written_out(factor: LowRank, n: int) -> Float:
    return factor.rows(np.arange(n))[:, : factor.rank].astype(float)


@pytest.mark.parametrize(("n", "rank"), [(9, 9), (600, 40), (1_100, 300)])
def test_what_is_left_is_positive_and_near_the_best(
    rng: np.random.Generator, backend: CpuBackend, n: int, rank: int
) -> None:
    gram = gaussian_matrix(rng, n)
    made = low_rank(gram, rank, backend)
    F = written_out(made, n)
    left = gram - F @ F.T
    assert made.rank == rank
    np.testing.assert_allclose(np.diagonal(left), made.residual, atol=1e-5)
    assert np.linalg.eigvalsh(left)[0] > -1e-5
    # The trace that no matrix of this rank leaves less of; random pivots come near it (arXiv 2207.06503, theorem 2.3).
    best = np.sort(np.linalg.eigvalsh(gram))[: n - rank].sum()
    assert np.trace(left) <= 6.0 * best + 1e-4


def test_a_k_of_small_rank_gives_no_more_columns(rng: np.random.Generator, backend: CpuBackend) -> None:
    X = rng.standard_normal((300, 6))
    made = low_rank(X @ X.T, 100, backend)
    assert made.rank == 6
    np.testing.assert_allclose(written_out(made, 300) @ written_out(made, 300).T, X @ X.T, atol=1e-4)


def test_equal_rows_are_taken_once(rng: np.random.Generator, backend: CpuBackend) -> None:
    gram = np.kron(gaussian_matrix(rng, 40), np.ones((5, 5)))
    assert low_rank(gram, 200, backend).rank == 40


@pytest.mark.parametrize("ridge", [0.1, "each"])
def test_a_ridge_beside_what_has_a_low_rank(
    rng: np.random.Generator, backend: CpuBackend, ridge: float | str
) -> None:
    """M is A then, also where pivots are few: with the ridge in F it was off by n / rank times the ridge."""
    X = rng.standard_normal((700, 6))
    shift = rng.uniform(0.1, 1.0, 700) if ridge == "each" else np.full(700, float(ridge))
    residual = rng.standard_normal((700, 4))
    solved = made_of(X @ X.T, 50, backend, shift)(residual)
    np.testing.assert_allclose(X @ (X.T @ solved) + shift[:, None] * solved, residual, atol=1e-2)


@pytest.mark.parametrize("rank", [0, 60])
def test_what_it_says_of_itself(rng: np.random.Generator, backend: CpuBackend, rank: int) -> None:
    """M from its inverse: symmetric, with the log det, the diagonal and the covariance that are said."""
    n, ridge = 600, 0.01
    gram = gaussian_matrix(rng, n)
    made = made_of(gram, rank, backend, ridge)
    inverse = made(np.eye(n))
    np.testing.assert_allclose(inverse, inverse.T, atol=1e-9 * np.abs(inverse).max())
    assert made.log_det == pytest.approx(-np.linalg.slogdet(inverse)[1], rel=1e-9)
    np.testing.assert_allclose(made.inverse_diagonal(), np.diagonal(inverse), rtol=1e-6)
    samples = made.sample(rng, 4_000)
    whitened = np.linalg.cholesky(inverse).T @ samples
    assert np.linalg.norm(whitened @ whitened.T / 4_000 - np.eye(n), 2) < 1.0
    # As many neighbours as rows that are left would make it A itself.
    sizes = np.linalg.eigvals(inverse @ (gram + ridge * np.eye(n))).real
    alone = np.linalg.eigvalsh(gram + ridge * np.eye(n))
    assert sizes.max() / sizes.min() < 0.1 * alone[-1] / alone[0]


def test_rows_that_few_neighbours_explain_are_solved_at_once(
    rng: np.random.Generator, backend: CpuBackend
) -> None:
    """Clusters of 20 rows that have nothing in common with one another: S^-1 has the pattern of G."""
    clusters = [gaussian_matrix(rng, 20, gamma=0.05) + 1e-3 * np.eye(20) for _ in range(30)]
    gram = scipy.linalg.block_diag(*clusters)
    order = rng.permutation(600)
    gram = gram[np.ix_(order, order)]
    vectors = rng.standard_normal((600, 3))
    np.testing.assert_allclose(gram @ made_of(gram, 25, backend)(vectors), vectors, atol=0.1)


def test_threads_do_not_change_it(rng: np.random.Generator) -> None:
    gram, residual = gaussian_matrix(rng, 1_100), rng.standard_normal((1_100, 2))
    results = []
    for threads in (1, 2):
        with CpuBackend(threads) as backend:
            results.append(made_of(gram, 50, backend)(residual).tobytes())
    assert results[0] == results[1]
