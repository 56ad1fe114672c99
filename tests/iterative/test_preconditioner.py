"""Randomly pivoted Cholesky, and the preconditioner made of it."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.source import ArrayGram
from kernelfit.iterative.pivoted_cholesky import LowRank, pivoted_cholesky
from kernelfit.iterative.preconditioner import Preconditioner
from kernelfit.iterative.stored_gram import StoredGram
from kernelfit.progress import Silent
from kernelfit.typing import Float

from .conftest import gaussian_matrix


def low_rank(gram: Float, rank: int, backend: CpuBackend, seed: int = 0) -> LowRank:
    n = len(gram)
    stored = StoredGram.of(ArrayGram(gram), PanelLayout.of_order(n), backend, Silent())
    return pivoted_cholesky(
        lambda index: stored.columns(index, backend), np.diagonal(gram).copy(), rank, seed, backend, Silent()
    )


def written_out(factor: LowRank, n: int) -> Float:
    tiles = factor.tiles
    return tiles.transpose(1, 0, 2).reshape(tiles.shape[1], -1)[: factor.rank, :n].T.astype(float)


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


@pytest.mark.parametrize("ridge", [0.0, 0.1, "each"])
def test_the_inverse_is_woodburys(rng: np.random.Generator, backend: CpuBackend, ridge: float | str) -> None:
    n = 700
    gram = gaussian_matrix(rng, n)
    shift = rng.uniform(0.1, 1.0, n) if ridge == "each" else float(ridge)
    made = low_rank(gram, 60, backend)
    precondition = Preconditioner(made, np.diagonal(gram), shift, backend, Silent())
    F = written_out(made, n)
    M = F @ F.T + np.diag(np.broadcast_to(made.residual.mean() + shift, n))
    residual = rng.standard_normal((n, 4))
    np.testing.assert_allclose(M @ precondition(residual), residual, atol=1e-10)


def test_threads_do_not_change_it(rng: np.random.Generator) -> None:
    gram, residual = gaussian_matrix(rng, 1_100), rng.standard_normal((1_100, 2))
    results = []
    for threads in (1, 2):
        with CpuBackend(threads) as backend:
            made = low_rank(gram, 50, backend)
            results.append(
                Preconditioner(made, np.diagonal(gram), 0.0, backend, Silent())(residual).tobytes()
            )
    assert results[0] == results[1]
