"""`solve(solver="askotch")`: the answers of a factor, with rows of K formed where they are used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernelfit
from kernelfit.errors import InputError, NotPositiveDefiniteError, PlanError
from kernelfit.iterative import sketch_project
from kernelfit.kernels import Kernel
from kernelfit.solver import checkpoints, iterative_system
from kernelfit.solver.solution import Solution


def test_every_kernel(rng: np.random.Generator, any_kernel: Kernel) -> None:
    X, Y = rng.random((90, 6)) + 0.1, rng.standard_normal((90, 2))
    if any_kernel.has_noise(kernelfit.solve(X, Y, ridge=1.0).points):  # type: ignore[arg-type]
        with pytest.raises(InputError, match="a kernel with noise"):
            kernelfit.solve(X, Y, kernel=any_kernel, ridge=9.0, solver="askotch")
        return
    exact = kernelfit.solve(X, Y, kernel=any_kernel, ridge=9.0)
    found = kernelfit.solve(X, Y, kernel=any_kernel, ridge=9.0, solver="askotch", tolerance=1e-5)
    assert found.convergence is not None
    assert found.convergence.converged
    np.testing.assert_allclose(found.fitted, exact.fitted, rtol=0, atol=1e-3 * np.abs(Y).max())


@pytest.mark.parametrize("ridge", [0.0, 0.05])
def test_fifteen_hundred_rows_beside_the_factor(rng: np.random.Generator, ridge: float) -> None:
    X = rng.integers(0, 256, (1_500, 24), dtype=np.uint8)
    Y = rng.standard_normal((1_500, 3))
    options: dict[str, Any] = {"scale": 1 / 255, "gamma": 1.5, "ridge": ridge}
    exact = kernelfit.solve(X, Y, condition=False, **options)
    found = kernelfit.solve(X, Y, solver="askotch", tolerance=1e-6, **options)
    convergence = found.convergence
    assert convergence is not None
    assert convergence.method == "sketch-and-project"
    assert (convergence.stopped, convergence.rank) == ("converged", found.plan.rank)
    true = np.linalg.norm(Y - found.fitted - ridge * found.alpha, axis=0) / np.linalg.norm(Y, axis=0)
    assert true.max() <= 1e-6
    assert convergence.relative_residual == pytest.approx(true.max())
    # |alpha - alpha*| <= cond(A) residual in general; targets without structure come near the residual itself.
    error = np.linalg.norm(found.alpha - exact.alpha) / np.linalg.norm(exact.alpha)
    assert error < 1e-4
    assert found.rkhs_norm == pytest.approx(exact.rkhs_norm, rel=1e-5)
    assert any("sketch-and-project stopped at the tolerance" in note for note in found.notes)
    assert len(convergence.history) * round(1_500 / convergence.rank) == convergence.iterations
    assert found.plan.bytes_memory < exact.plan.bytes_memory


def test_without_a_tolerance_it_is_as_good_as_a_factor(rng: np.random.Generator, tmp_path: Path) -> None:
    X, y = rng.standard_normal((100, 10)), rng.standard_normal(100)
    exact = kernelfit.solve(X, y, gamma=0.2)
    found = kernelfit.solve(X, y, gamma=0.2, solver="askotch")
    assert found.certificate.backward_error <= 1.2e-15
    assert found.certificate.interpolates
    np.testing.assert_allclose(found.alpha, exact.alpha, rtol=0, atol=1e-10 * np.abs(exact.alpha).max())
    found.save(tmp_path / "solution.h5")
    again = Solution.load(tmp_path / "solution.h5")
    assert again.convergence == found.convergence
    assert again.problem.method == found.problem.method
    assert "sketch-and-project by blocks of" in found.summary()
    second = found.solve(2.0 * y)
    np.testing.assert_allclose(
        second.alpha, 2.0 * found.alpha, rtol=0, atol=1e-10 * np.abs(exact.alpha).max()
    )
    for method in (found.leave_one_out, found.log_determinant, lambda: found.predict(X, return_std=True)):
        with pytest.raises(InputError, match="sketch-and-project"):
            method()
    found.close()
    with pytest.raises(InputError, match="solve again"):
        found.solve(y)


def test_weights_and_threads(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((100, 8)), rng.standard_normal((100, 2))
    options: dict[str, Any] = {"ridge": 0.1, "sample_weight": rng.uniform(0.5, 2, 100)}
    exact = kernelfit.solve(X, Y, **options)
    one, two = (
        kernelfit.solve(X, Y, solver="askotch", tolerance=1e-6, threads=threads, **options)
        for threads in (1, 2)
    )
    assert one.alpha.tobytes() == two.alpha.tobytes()
    np.testing.assert_allclose(one.alpha, exact.alpha, rtol=0, atol=1e-3 * np.abs(exact.alpha).max())


class _Killed(BaseException):
    """What `kill -9` leaves: whatever is on the disk."""


def test_a_killed_run_resumes_to_the_same_bits(
    rng: np.random.Generator, tmp_path: Path, counting: Any
) -> None:
    X, Y = rng.standard_normal((200, 12)), rng.standard_normal((200, 2))
    options: dict[str, Any] = {"solver": "askotch", "tolerance": 1e-5, "gamma": 0.3}
    whole = kernelfit.solve(X, Y, run_dir=tmp_path / "whole", **options)
    store = iterative_system.Run.store_iteration

    def killed(run: Any, meta: Any, arrays: Any) -> None:
        store(run, meta, arrays)
        raise _Killed

    digits = []
    for iteration in (3, 29):
        folder, progress = tmp_path / f"killed-{iteration}", counting()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(iterative_system.Run, "store_iteration", killed)
            patch.setattr(checkpoints, "_due", lambda last, state, at=iteration: state.iteration == at)
            with pytest.raises(_Killed):
                kernelfit.solve(X, Y, run_dir=folder, **options)
        resumed = kernelfit.resume(folder, threads=1, progress=progress)
        assert f"{folder}: resumed after iteration {iteration:,}" in progress.notes
        assert resumed.alpha.tobytes() == whole.alpha.tobytes()
        assert resumed.convergence is not None
        assert whole.convergence is not None
        assert resumed.convergence.history == whole.convergence.history
        assert kernelfit.check(folder).ok
        digits.append(progress.total["iterate"])
        assert progress.done["iterate"] == pytest.approx(digits[-1])
    assert digits[1] < digits[0]


def test_a_slow_iteration_stagnates_with_figures(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sketch_project, "PATIENCE", 4)
    X = rng.standard_normal((300, 2))
    found = kernelfit.solve(X, np.sin(9 * X[:, 0]), gamma=4.0, ridge=1e-9, solver="askotch")
    assert found.convergence is not None
    assert found.convergence.stopped == "stagnated"
    assert not found.certificate.interpolates
    [note] = [note for note in found.notes if "sketch-and-project: stagnated" in note]
    assert f"{found.convergence.relative_residual:.1e}" in note


def test_what_grows_is_said(rng: np.random.Generator) -> None:
    """Blocks whose solution is three times too long."""
    n, b = 120, 15
    root = rng.standard_normal((n, n))
    A, y = root @ root.T / n + np.eye(n), rng.standard_normal((n, 1))

    def blocks(factor: float) -> sketch_project.Blocks:
        return sketch_project.Blocks(
            n,
            b,
            lambda index, vectors: A[index] @ vectors,
            lambda index, vectors: factor * np.linalg.solve(A[np.ix_(index, index)], vectors),
            lambda X: sketch_project.Product(A @ X, np.abs(A).sum(axis=1)),
            0.0,
        )

    goal = sketch_project.Goal.of(1e-8)
    good = sketch_project.solve(blocks(1.0), y, goal)
    assert good.reason == "converged"
    np.testing.assert_allclose(A @ good.solution, y, atol=1e-6)
    with pytest.raises(NotPositiveDefiniteError, match="residuals of blocks grew from"):
        sketch_project.solve(blocks(3.0), y, goal)
    # Whatever the goal measures, the history is of relative residuals; steps are the same until they are looked at.
    by_error, by_residual = (
        sketch_project.solve(blocks(1.0), y, sketch_project.Goal.of(each), max_epochs=5).state.history
        for each in (None, 1e-8)
    )
    assert by_error == by_residual
    limited = sketch_project.solve(blocks(1.0), y, goal, max_epochs=4)
    assert limited.reason == "iteration limit"
    assert limited.state.verified[-1].relative_residual < 1


def test_what_does_not_go_together(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((60, 3)), rng.standard_normal(60)
    for options, error, message in (
        ({"jitter": 1e-8}, InputError, "jitter: got 1e-08 with solver 'askotch'"),
        ({"precision": "mixed"}, InputError, "precision: got 'mixed' with solver 'askotch'"),
        ({"tier": "disk"}, InputError, "tier: got 'disk' with solver 'askotch'"),
        ({"tier": "ram"}, InputError, "tier: got 'ram' with solver 'askotch'"),
        ({"memory": 1_000}, PlanError, "bytes needed for sketch-and-project"),
        ({"tolerance": 3.0}, InputError, "tolerance: got 3.0, expected a relative residual below 1"),
    ):
        with pytest.raises(error, match=message):
            kernelfit.solve(X, y, solver="askotch", **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="forms rows of K where they are used"):
        kernelfit.solve(np.eye(60), y, kernel="precomputed", solver="askotch")
    with pytest.raises(NotPositiveDefiniteError, match="a block of"):
        kernelfit.solve(X, y, gamma=1e-7, solver="askotch")
    assert kernelfit.solve(X, y, gamma=1e-7, solver="askotch", tolerance=0.9, singular="ridge").ridge > 0
