"""The stages of a solve, each called alone: pose, place, factor, solve, certify."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernelfit
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import DuplicateRowsError, InputError, Interrupted, PlanError, StorageError
from kernelfit.kernels import Gaussian
from kernelfit.progress import Notes, Silent
from kernelfit.solver.answer import certify
from kernelfit.solver.complete import complete
from kernelfit.solver.context import Context
from kernelfit.solver.cpu_system import CpuSystem
from kernelfit.solver.place import place
from kernelfit.solver.pose import pose
from kernelfit.solver.primal import solve_primal
from kernelfit.solver.problem import AbsentGram, Problem, is_primal
from kernelfit.solver.request import Request
from kernelfit.solver.resources import Resources

N, GAMMA = 90, 0.5


@pytest.fixture
def rows(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((N, 4))


@pytest.fixture
def targets(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((N, 2))


def posed(X: object, Y: object, **request: object) -> Problem:
    asked = Request.of(**{"gamma": GAMMA, **request})
    with CpuBackend(1) as backend:
        return pose(X, Y, asked, Context(Resources.of(device="cpu"), backend, Notes()))  # type: ignore[arg-type]


def test_pose_makes_every_choice(rows: np.ndarray, targets: np.ndarray) -> None:
    problem = posed(np.vstack([rows, rows[:1]]), np.vstack([targets, targets[:1]]), jitter=1e-9, scale=2.0)
    assert problem.kernel == Gaussian(GAMMA)
    assert (problem.n, problem.n_features, problem.rows_given) == (N, 4, N + 1)
    assert problem.duplicates == ((0, N),)
    assert (problem.ridge, problem.jitter, problem.shift) == (0.0, 1e-9, 1e-9)
    assert problem.input_scale == 2.0
    assert not problem.single_target
    assert problem.ridge_choice is None


def test_pose_chooses_a_ridge_and_keeps_the_choice_with_the_problem(
    rows: np.ndarray, targets: np.ndarray
) -> None:
    problem = posed(rows, targets, ridge="auto")
    assert problem.ridge_choice is not None
    assert problem.ridge == problem.ridge_choice.ridge
    assert problem.with_targets(targets, single_target=False).ridge_choice is None


def test_pose_refuses_conflicting_rows(rows: np.ndarray, targets: np.ndarray) -> None:
    rows[7] = rows[3]
    with pytest.raises(DuplicateRowsError, match="rows 3, 7"):
        posed(rows, targets)


def test_a_problem_lets_go_of_a_gram_that_is_stored(rows: np.ndarray, targets: np.ndarray) -> None:
    generated = posed(rows, targets)
    assert generated.without_gram() is generated
    stored = posed(np.eye(N), targets, kernel="precomputed", gamma=None).without_gram()
    assert stored.n == N
    assert isinstance(stored.source, AbsentGram)
    with pytest.raises(InputError, match=r"^gram: a precomputed Gram matrix is not stored"):
        stored.source.diagonal()


@pytest.mark.parametrize("tier", ["ram", "disk"])
def test_factor_solve_and_certify_one_after_the_other(
    rows: np.ndarray, targets: np.ndarray, tmp_path: Path, tier: str
) -> None:
    problem, silent = posed(rows, targets), Silent()
    resources = Resources.of(device="cpu", tier=tier, scratch=tmp_path)  # type: ignore[arg-type]
    with CpuBackend(1) as backend:
        system = place(problem, Context(resources, backend, Notes()))
        assert (system.name, system.plan.tier, system.closed) == ("cpu", tier, True)
        system.factorise(silent)
        solved = system.solve(targets, silent)
        product, certificate, _, missed = certify(system, targets, solved, np.zeros(2, np.int32), silent)
        system.close()
    K = np.exp(-GAMMA * ((rows[:, None] - rows[None]) ** 2).sum(-1))
    np.testing.assert_allclose(solved.alpha, np.linalg.solve(K, targets), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(product.values, targets, atol=1e-9)
    assert certificate.interpolates
    assert (missed, solved.products) == (0, 0)
    assert system.closed


def test_complete_is_what_the_stages_give(rows: np.ndarray, targets: np.ndarray) -> None:
    problem, notes = posed(rows, targets), Notes()
    with CpuBackend(1) as backend:
        solution = complete(place(problem, Context(Resources.of(device="cpu"), backend, notes)), notes)
    assert solution.problem is problem
    assert solution.notes is notes.lines
    np.testing.assert_array_equal(solution.targets, targets)
    assert solution.traffic["factor_read"] == 0
    assert set(solution.seconds) == {"gram", "factor", "solve", "certify"}


def test_place_plans_before_anything_is_computed(
    rows: np.ndarray, targets: np.ndarray, tmp_path: Path
) -> None:
    problem = posed(rows, targets)
    with CpuBackend(1) as backend:
        here = Context(Resources.of(device="cpu"), backend, Notes(), tmp_path / "run")
        with pytest.raises(PlanError, match=r"^memory: "):
            place(problem, dataclasses.replace(here, resources=Resources.of(device="cpu", memory="1MB")))
        assert not (tmp_path / "run").exists()
        system = place(problem, here)
        assert system.run is not None
        with pytest.raises(StorageError, match="is working in this folder"):
            place(problem, dataclasses.replace(here, resume=True))
        system.run.close()


def test_a_linear_kernel_with_few_features_is_primal(rows: np.ndarray, targets: np.ndarray) -> None:
    problem = posed(rows, rows[:, :2], kernel="linear", gamma=None)
    assert is_primal(problem)
    assert not is_primal(dataclasses.replace(problem, ridge=1e-3))
    assert not is_primal(posed(rows, targets))
    notes = Notes()
    with CpuBackend(1) as backend:
        solution = solve_primal(problem, backend, 10**10, notes)
    with pytest.raises(InputError, match=r"^solve: the primal path has no factor; give ridge > 0$"):
        solution.solve(targets)  # it said that the factor had been given back
    np.testing.assert_allclose(solution.weights, np.eye(4, 2), atol=1e-12)
    assert solution.factor is None
    assert solution.certificate.factor_precision == "none"
    assert solution.notes == notes.lines != []


def test_resources_are_checked_when_they_are_given() -> None:
    resources = Resources.of(memory="2GB", device_memory="1GiB", scratch="somewhere", panel_width=3)
    assert (resources.memory, resources.memory_limit, resources.device_memory) == (
        2 * 10**9,
        2 * 10**9,
        2**30,
    )
    assert resources.scratch == Path("somewhere")
    with pytest.raises(InputError, match=r"^device: got"):
        Resources.of(device="gpu")
    with pytest.raises(InputError, match=r"^panel_width: got"):
        Resources.of(panel_width=0)
    assert Resources.of().memory_limit > 0


def test_notes_are_recorded_and_shown_at_once() -> None:
    shown = Silent()
    notes = Notes(shown, ["earlier"])
    notes.add("later")
    assert notes.lines == ["earlier", "later"]
    assert shown.notes == ["later"]


def test_a_signal_after_the_last_panel_stops_a_run_before_its_solution(
    rows: np.ndarray, targets: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = kernelfit.solve(rows, targets, gamma=GAMMA)
    factorise = CpuSystem.factorise

    def then_stopped(*given: Any) -> None:
        factorise(*given)
        os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as stopped:
        stopped.setattr(CpuSystem, "factorise", then_stopped)
        with pytest.raises(Interrupted, match="stopped by SIGINT after 1 of 1 panels; continue with"):
            kernelfit.solve(rows, targets, gamma=GAMMA, run_dir=tmp_path / "run")
    assert not (tmp_path / "run" / "solution.h5").exists()
    assert np.array_equal(kernelfit.resume(tmp_path / "run").alpha, whole.alpha)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"tier": "ram"}, "the factor is in memory"),
        ({"tier": "disk", "run_dir": "run"}, "those of a run are in its folder"),
        ({"solver": "pcg"}, "an iteration stores none"),
        ({"kernel": "linear"}, "weights of least norm are computed in memory"),
        ({"tier": "disk"}, ""),
    ],
)
def test_a_folder_for_panels_that_holds_none_is_remarked(rng, tmp_path, monkeypatch, options, why):
    """It was ignored without a word."""
    monkeypatch.chdir(tmp_path)
    x = rng.standard_normal((40, 3))
    solution = kernelfit.solve(x, x[:, 0], scratch=tmp_path, device="cpu", **options)
    said = [note for note in solution.notes if note.startswith("scratch")]
    assert said == ([f"scratch: holds no panels, as {why}"] if why else [])
