"""Other libraries on the same system: the same answer, honest backward errors, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest

import kernelfit
from kernelfit.experiments.peers import MAX_ROWS, PEERS, System, backward_error, rows_of_gram, why_not


@pytest.fixture
def system(rng: np.random.Generator) -> System:
    X = rng.standard_normal((90, 5))
    return System(X, np.stack([np.sin(X[:, 0]), X[:, 1] ** 2], axis=1), gamma=0.3)


@pytest.mark.parametrize("ridge", [0.0, 0.5])
@pytest.mark.parametrize("name", PEERS)
def test_every_one_solves_the_same_system(name: str, ridge: float, system: System) -> None:
    system = System(system.X, system.Y, system.gamma, ridge)
    alpha, seconds = PEERS[name](system)
    ours = kernelfit.solve(system.X, system.Y, gamma=system.gamma, ridge=ridge, device="cpu").alpha
    np.testing.assert_allclose(alpha, ours, rtol=1e-8, atol=1e-8 * np.abs(ours).max())
    assert all(taken >= 0 for taken in seconds.values())
    assert backward_error(system, alpha) < 1e-14


def test_the_backward_error_is_its_definition(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernelfit.experiments.peers._ROWS_AT_ONCE", 40)
    system = System(system.X, system.Y, system.gamma, 0.1)
    gram = np.exp(-0.3 * ((system.X[:, None] - system.X) ** 2).sum(-1))
    np.testing.assert_allclose(rows_of_gram(system, 0, 90), gram, rtol=1e-12)
    alpha = np.linalg.solve(gram + 0.1 * np.eye(90), system.Y) + 1e-3
    residual = np.linalg.norm(system.Y - gram @ alpha - 0.1 * alpha)
    scale = np.linalg.norm(gram) * np.linalg.norm(alpha) + np.linalg.norm(system.Y)
    assert backward_error(system, alpha) == pytest.approx(residual / scale, rel=1e-9)


def test_what_is_left_out() -> None:
    assert why_not(10_000, 10**10) is None
    assert "2,800,000,000 bytes for K and its copies, 2,000,000,000 available" in str(
        why_not(10_000, 2 * 10**9)
    )
    assert "has been seen to crash" in str(why_not(MAX_ROWS, 10**12))
