"""precision="auto" takes mixed where refinement succeeds, says why, and is never the reason of a wrong answer."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

import kernelfit
from kernelfit.cli import root
from kernelfit.errors import InputError
from kernelfit.gram.points import Points
from kernelfit.gram.source import ArrayGram, KernelGram
from kernelfit.kernels import Gaussian
from kernelfit.progress import Notes
from kernelfit.solver import precision
from kernelfit.solver.problem import Problem


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Orders that a test has time for."""
    monkeypatch.setattr(precision, "MIN_ORDER", 300)
    monkeypatch.setattr(precision, "_SAMPLE", 100)


def line(solution: kernelfit.Solution) -> str:
    return next(note for note in solution.notes if note.startswith("precision auto"))


def test_well_conditioned_rows_are_solved_in_mixed_precision(rng):
    X, y = rng.standard_normal((400, 20)), rng.standard_normal(400)
    solution = kernelfit.solve(X, y, gamma=0.1, precision="auto")
    assert solution.precision == "mixed"
    assert line(solution).startswith("precision auto: mixed, as the condition number is estimated at")
    np.testing.assert_array_equal(solution.alpha, kernelfit.solve(X, y, gamma=0.1, precision="mixed").alpha)


def test_a_ridge_is_a_promise(rng):
    X, y = rng.standard_normal((400, 2)), rng.standard_normal(400)
    assert kernelfit.solve(X, y, gamma=0.1, ridge=0.1, precision="auto").precision == "mixed"
    solution = kernelfit.solve(X, y, gamma=0.1, ridge=1e-9, precision="auto")
    assert solution.precision == "float64"
    assert "not below 1e+07" in line(solution)


def test_a_bound_of_a_ridge_lies_above_the_condition_number(rng, backend):
    X = rng.standard_normal((300, 3))
    problem = Problem(
        KernelGram(Gaussian(0.3), Points(X)), np.ones((300, 1)), 1e-2, 0.0, "float64", np.arange(300), 300
    )
    matrix = np.exp(-0.3 * ((X[:, None] - X) ** 2).sum(axis=2)) + 1e-2 * np.eye(300)
    assert np.linalg.cond(matrix) <= precision._bound(problem)
    assert precision._continued(problem, backend) > 1e3


def test_few_rows_stay_in_float64(rng):
    X, y = rng.standard_normal((200, 20)), rng.standard_normal(200)
    solution = kernelfit.solve(X, y, gamma=0.1, precision="auto")
    assert solution.precision == "float64"
    assert line(solution) == "precision auto: float64, as 200 rows take no longer so"


def test_a_singular_sample_promises_nothing(backend):
    problem = Problem(
        ArrayGram(np.ones((300, 300))), np.ones((300, 1)), 0.0, 0.0, "float64", np.arange(300), 300
    )
    notes = Notes()
    assert precision.with_precision(problem, "auto", backend, notes).precision == "float64"
    assert "estimated at inf" in notes.lines[0]


def test_a_wrong_promise_ends_in_float64(rng, monkeypatch):
    monkeypatch.setattr(precision, "LARGEST", 1e300)
    X, y = rng.standard_normal((300, 2)), rng.standard_normal(300)
    solution = kernelfit.solve(X, y, gamma=1.0, ridge=1e-10, precision="auto")
    assert any("fell back to float64" in note for note in solution.notes)
    assert solution.certificate.backward_error < 1e-15


def test_weights_have_their_own_ridges(rng):
    X, y = rng.standard_normal((300, 20)), rng.standard_normal(300)
    weights = rng.uniform(0.5, 2.0, 300)
    solution = kernelfit.solve(X, y, gamma=0.1, ridge=0.1, sample_weight=weights, precision="auto")
    assert solution.precision == "mixed"


def test_another_name_is_refused():
    with pytest.raises(
        InputError, match="precision: got 'double', expected one of float64, float32, mixed, tf32, auto"
    ):
        kernelfit.solve(np.eye(3), np.ones(3), precision="double")


def test_the_command_takes_it(tmp_path, rng):
    path = tmp_path / "rows.npz"
    X, y = rng.standard_normal((60, 3)), np.arange(60) % 2
    np.savez(path, X_train=X[:40], y_train=y[:40], X_test=X[40:], y_test=y[40:])
    words = ["solve", "--train", str(path), "--precision", "auto", "--json", "-"]
    done = CliRunner().invoke(root, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "precision auto: float64, as 40 rows take no longer so" in json.loads(done.stdout)["notes"]


@pytest.mark.parametrize("size", [1e60, 1e-60])
def test_a_k_beyond_single_precision_stays_in_float64(rng, size):
    X, y = rng.standard_normal((300, 20)), rng.standard_normal(300)
    gram = size * np.exp(-0.1 * ((X[:, None] - X) ** 2).sum(axis=2))
    solution = kernelfit.solve(gram, y, kernel="precomputed", precision="auto")
    assert solution.precision == "float64"
    assert any("which float32 holds from" in note for note in solution.notes)
