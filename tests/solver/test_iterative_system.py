"""`solve(solver="pcg")`: the answers of a factor, without one."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernelfit
from kernelfit.errors import InputError, Interrupted, NotPositiveDefiniteError, PlanError
from kernelfit.gram.costs import Costs
from kernelfit.gram.plan import Plan
from kernelfit.iterative import plan
from kernelfit.iterative import plan as plan_module
from kernelfit.kernels import Kernel
from kernelfit.progress import Silent
from kernelfit.runs import folder as run_folder
from kernelfit.runs import iteration_file
from kernelfit.solver import checkpoints, iterative_system, resources
from kernelfit.solver.certificate import BACKWARD_ROUNDING
from kernelfit.solver.solution import Solution
from kernelfit.storage import hdf5


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """K in float32 for systems of any order."""
    monkeypatch.setattr(iterative_system, "EXACT", 0)


@pytest.mark.parametrize("n", [1, 10, 130])
def test_every_kernel(rng: np.random.Generator, any_kernel: Kernel, n: int) -> None:
    X, Y = rng.random((n, 6)) + 0.1, rng.standard_normal((n, 2))
    ridge = 1e-3 * n
    exact = kernelfit.solve(X, Y, kernel=any_kernel, ridge=ridge)
    found = kernelfit.solve(X, Y, kernel=any_kernel, ridge=ridge, solver="pcg")
    assert found.convergence is not None
    assert found.convergence.converged
    assert found.certificate.backward_error <= 1.2e-15
    np.testing.assert_allclose(found.fitted, exact.fitted, rtol=0, atol=1e-9 * np.abs(Y).max())


@pytest.mark.usefixtures("rounds")
@pytest.mark.parametrize("c", [1, 5, 12])
@pytest.mark.parametrize("ridge", [0.0, 0.01])
@pytest.mark.parametrize("values", ["bytes", "floats", "float32"])
def test_k_in_float32_gives_the_answer_of_float64(
    rng: np.random.Generator, c: int, ridge: float, values: str
) -> None:
    X: Any = rng.integers(0, 256, (600, 30), dtype=np.uint8)
    X = (
        X
        if values == "bytes"
        else (X / 255 + 1e-3 * rng.random(X.shape)).astype(np.float32 if values == "float32" else float)
    )
    Y = rng.standard_normal((600, c))
    options: dict[str, Any] = {"ridge": ridge, "scale": 1 / 255 if values == "bytes" else None, "gamma": 1.0}
    exact = kernelfit.solve(X, Y, **options)
    found = kernelfit.solve(X, Y, solver="pcg", **options)
    assert found.convergence is not None
    assert found.convergence.entries == "float32 in memory"
    assert found.convergence.converged
    assert found.certificate.interpolates == (ridge == 0)
    scale = np.abs(exact.alpha).max()
    np.testing.assert_allclose(found.alpha, exact.alpha, rtol=0, atol=1e-10 * scale)
    assert found.rkhs_norm == pytest.approx(exact.rkhs_norm, rel=1e-10)
    new = X[:7]
    np.testing.assert_allclose(found.predict(new), exact.predict(new), rtol=0, atol=1e-9)


def test_a_norm_that_residuals_leave_open_asks_for_a_smaller_tolerance(rng: np.random.Generator) -> None:
    X, Y = rng.random((600, 5)), rng.standard_normal((600, 2))
    early, later = (kernelfit.solve(X, Y, gamma=4.0, solver="pcg", tolerance=each) for each in (0.9, 0.1))
    (note,) = [line for line in early.notes if "norm" in line]
    assert np.isnan(early.certificate.rkhs_norm)
    assert note.endswith("of the targets leave open; give a smaller tolerance")
    assert later.certificate.rkhs_norm == pytest.approx(
        kernelfit.solve(X, Y, gamma=4.0).certificate.rkhs_norm, rel=later.certificate.rkhs_norm_error
    )


@pytest.mark.usefixtures("rounds")
def test_a_tolerance_is_met_and_said(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((700, 8)), rng.standard_normal((700, 3))
    found = kernelfit.solve(X, Y, solver="pcg", tolerance=1e-3)
    residual = np.linalg.norm(Y - found.fitted, axis=0) / np.linalg.norm(Y, axis=0)
    assert found.convergence is not None
    assert residual.max() <= 1e-3
    assert found.convergence.relative_residual == pytest.approx(residual.max())
    assert not found.certificate.interpolates
    assert any("stopped at the tolerance of 1.0e-03" in note for note in found.notes)
    assert len(found.convergence.history) == found.convergence.iterations


def test_what_stops_at_a_tolerance_is_no_interpolant(rng: np.random.Generator) -> None:
    """Beside a large alpha a residual of the tolerance counted as rounding."""
    X = rng.standard_normal((60, 4))
    found = kernelfit.solve(X, rng.standard_normal(60), gamma=0.02, solver="pcg", tolerance=1e-7)
    assert found.convergence is not None
    assert found.convergence.converged
    assert found.certificate.backward_error <= BACKWARD_ROUNDING
    assert not found.certificate.interpolates


class _Bars(Silent):
    """What phases were to have, and had, by their names."""

    def __init__(self) -> None:
        super().__init__()
        self.totals: dict[str, float] = {}
        self.reached: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str, total: float, unit: str = "flop") -> Iterator[Any]:
        self.totals[name], self.reached[name] = total, 0.0

        def advance(amount: float) -> None:
            self.reached[name] += amount

        yield advance


@pytest.mark.parametrize("solver", ["pcg", "askotch"])
def test_the_bar_ends_where_the_iteration_does(rng: np.random.Generator, solver: Any) -> None:
    """It showed relative residuals beside the goal of a backward error, and ended at two thirds."""
    progress = _Bars()
    X = rng.standard_normal((60, 10))
    found = kernelfit.solve(X, rng.standard_normal(60), gamma=0.2, solver=solver, progress=progress)
    assert found.convergence is not None
    assert found.convergence.converged
    assert progress.reached["iterate"] == pytest.approx(progress.totals["iterate"])


@pytest.mark.usefixtures("rounds")
def test_threads_do_not_change_the_bits(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((1_100, 12)), rng.standard_normal((1_100, 7))
    one, two = (kernelfit.solve(X, Y, solver="pcg", tolerance=1e-4, threads=threads) for threads in (1, 2))
    assert one.alpha.tobytes() == two.alpha.tobytes()


@pytest.mark.usefixtures("rounds")
def test_an_ill_conditioned_k_stagnates_with_figures(rng: np.random.Generator) -> None:
    X = rng.standard_normal((700, 2))
    found = kernelfit.solve(X, np.sin(X[:, 0]), gamma=0.3, solver="pcg")
    assert found.convergence is not None
    assert found.convergence.stopped == "stagnated"
    assert not found.certificate.interpolates
    [note] = [note for note in found.notes if "stagnated" in note]
    assert f"{found.convergence.relative_residual:.1e}" in note
    assert "solver='cholesky'" in note


def test_a_singular_k_is_refused_or_gets_a_ridge(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((300, 3)), rng.standard_normal((300, 2))
    with pytest.raises(NotPositiveDefiniteError, match="conjugate gradients"):
        kernelfit.solve(X, Y, gamma=1e-5, solver="pcg")
    found = kernelfit.solve(X, Y, gamma=1e-5, solver="pcg", singular="ridge")
    assert found.ridge > 0
    assert found.notes[0].startswith("singular: K is too ill-conditioned for solver 'pcg'; ridge = ")


def test_a_precomputed_gram_weights_equal_rows_and_zero_targets(rng: np.random.Generator) -> None:
    X = rng.standard_normal((200, 10))
    gram = np.exp(-0.1 * ((X[:, None] - X[None]) ** 2).sum(axis=-1))
    Y = np.column_stack([rng.standard_normal(200), np.zeros(200)])
    for options in (
        {"X": gram, "Y": Y, "kernel": "precomputed"},
        {"X": X, "Y": Y, "ridge": 0.1, "sample_weight": rng.uniform(0.5, 2, 200)},
        {"X": np.vstack([X, X[:20]]), "Y": np.vstack([Y, Y[:20]])},
        {"X": X, "Y": Y, "ridge": [0.1, 1.0]},
    ):
        exact, found = (kernelfit.solve(solver=solver, **options) for solver in ("cholesky", "pcg"))
        np.testing.assert_allclose(found.alpha, exact.alpha, rtol=0, atol=1e-10 * np.abs(exact.alpha).max())


def test_other_right_hand_sides_and_files(rng: np.random.Generator, tmp_path: Path) -> None:
    X, Y = rng.standard_normal((200, 10)), rng.standard_normal((200, 2))
    found = kernelfit.solve(X, Y[:, 0], solver="pcg")
    second = found.solve(Y[:, 1])
    both = kernelfit.solve(X, Y, solver="pcg")
    np.testing.assert_allclose(
        second.alpha[:, 0], both.alpha[:, 1], rtol=0, atol=1e-10 * np.abs(both.alpha).max()
    )
    found.save(tmp_path / "solution.h5")
    again = Solution.load(tmp_path / "solution.h5")
    assert again.convergence == found.convergence
    assert again.plan == found.plan
    assert again.problem.method == found.problem.method
    np.testing.assert_array_equal(again.predict(X[:3]), found.predict(X[:3]))
    assert "iterations" in found.summary()
    assert found.to_dict()["convergence"]["rank"] == 170
    found.close()
    with pytest.raises(InputError, match="solve again"):
        found.solve(Y[:, 1])


def test_what_takes_a_factor_names_cholesky(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((60, 10)), rng.standard_normal(60)
    found = kernelfit.solve(X, y, solver="pcg")
    with pytest.raises(InputError, match=r"solve with solver='cholesky'"):
        found.predict(X, return_std=True)
    certificate = found.certificate
    assert np.isnan(certificate.condition_estimate)
    assert (certificate.log_det, certificate.min_pivot, certificate.factor_precision) == (None, None, "none")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": 1e-3}, "tolerance: got 0.001 with solver 'cholesky'"),
        ({"solver": "pcg", "tolerance": 2.0}, "tolerance: got 2.0, expected a relative residual below 1"),
        ({"solver": "pcg", "tolerance": -1.0}, "tolerance: got -1.0"),
        ({"solver": "cg"}, "solver: got 'cg', expected one of cholesky, pcg, askotch, auto"),
        ({"solver": "pcg", "jitter": 1e-8}, "jitter: got 1e-08 with solver 'pcg'"),
        ({"solver": "pcg", "precision": "mixed"}, "precision: got 'mixed' with solver 'pcg'"),
        ({"solver": "pcg", "tier": "disk"}, "tier: got 'disk' with solver 'pcg'"),
    ],
)
def test_what_does_not_go_together(rng: np.random.Generator, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        kernelfit.solve(rng.standard_normal((20, 3)), rng.standard_normal(20), **options)


def test_a_ridge_beside_a_k_of_low_rank_takes_few_iterations(rng: np.random.Generator) -> None:
    """What neighbours have in common beside F is rounding there: taken for K it made 319 iterations of 4."""
    X, Y = rng.standard_normal((2_000, 50)), rng.standard_normal((2_000, 3))
    found = kernelfit.solve(X, Y, kernel="linear", ridge=1e-3, solver="pcg", tolerance=1e-6, condition=False)
    assert found.convergence is not None
    assert found.convergence.converged
    assert found.convergence.iterations <= 8


def test_rows_that_are_nothing_beside_others(rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((300, 3)), rng.standard_normal((300, 2))
    X[::3] *= 1e-50
    exact = kernelfit.solve(X, Y, kernel="linear", ridge=0.1)
    found = kernelfit.solve(X, Y, kernel="linear", ridge=0.1, solver="pcg")
    np.testing.assert_allclose(found.fitted, exact.fitted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("ridge", [1e160, 1e300])
def test_a_large_ridge_is_divided_by(rng: np.random.Generator, ridge: float) -> None:
    X, Y = rng.normal(size=(60, 3)), rng.normal(size=(60, 2))
    solution = kernelfit.solve(X, Y, gamma=1.0, ridge=ridge, solver="pcg")
    assert np.allclose(solution.alpha * ridge, Y, rtol=1e-14, atol=0)


@pytest.mark.parametrize("scale", [1e-200, 1e-40, 1e40, 1e200])
def test_a_k_beyond_single_precision_is_refused(rng: np.random.Generator, scale: float) -> None:
    K = scale * np.eye(20)
    with pytest.raises(InputError, match=r"kernel: got a diagonal of up to 1\.0e.* with solver 'pcg'"):
        kernelfit.solve(K, rng.normal(size=20), kernel="precomputed", solver="pcg")


def test_a_diagonal_that_is_not_positive_is_refused(rng: np.random.Generator) -> None:
    """A target of 0 hid it from the iteration, which called the answer an interpolant."""
    K, y = np.diag(np.r_[np.ones(19), -1.0]), np.r_[np.ones(19), 0.0]
    with pytest.raises(NotPositiveDefiniteError, match="K: has -1 on its diagonal at row 19"):
        kernelfit.solve(K, y, kernel="precomputed", solver="pcg")
    assert kernelfit.solve(K, y, kernel="precomputed", solver="pcg", ridge=1.5).alpha[19] == 0


def test_nan_is_refused(rng: np.random.Generator) -> None:
    X = rng.standard_normal((20, 3))
    X[4, 1] = np.nan
    with pytest.raises(InputError, match="X: "):
        kernelfit.solve(X, np.zeros(20), solver="pcg")


@pytest.mark.usefixtures("rounds")
def test_k_is_formed_anew_where_it_does_not_fit(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = rng.standard_normal((600, 10)), rng.standard_normal(600)
    whole = kernelfit.solve(X, y, solver="pcg")
    memory = whole.plan.bytes_memory - 2_400_000
    found = kernelfit.solve(X, y, solver="pcg", memory=memory)
    assert found.convergence is not None
    assert found.plan.tier == "generated"
    assert found.convergence.entries == "formed anew in float64"
    assert any("formed anew for every product" in note for note in found.notes)
    np.testing.assert_allclose(found.alpha, whole.alpha, rtol=0, atol=1e-8 * np.abs(whole.alpha).max())
    with pytest.raises(PlanError, match="memory: "):
        kernelfit.solve(X, y, solver="pcg", memory=memory, tier="ram")


class _Killed(BaseException):
    """What `kill -9` leaves: whatever is on the disk."""


def _killed_run(folder: Path, X: Any, Y: Any, iteration: int) -> None:
    """A run that is killed after a checkpoint at that iteration."""
    store = iterative_system.Run.store_iteration

    def killed(run: Any, meta: Any, arrays: Any) -> None:
        store(run, meta, arrays)
        raise _Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(iterative_system.Run, "store_iteration", killed)
        patch.setattr(checkpoints, "_due", lambda last, state: state.iteration == iteration)
        with pytest.raises(_Killed):
            kernelfit.solve(X, Y, solver="pcg", run_dir=folder)


def test_device_memory_beside_an_iteration_is_ignored_and_said(rng, tmp_path: Path) -> None:
    X = rng.normal(size=(40, 3))
    whole = kernelfit.solve(X, X[:, 0], solver="pcg", ridge=0.1, run_dir=tmp_path / "run")
    (tmp_path / "run" / "solution.h5").unlink()
    resumed = kernelfit.resume(tmp_path / "run", device_memory="1GB")
    assert "device: ignored, as iterations run on the CPU" in resumed.notes
    assert resumed.alpha.tobytes() == whole.alpha.tobytes()


@pytest.mark.usefixtures("rounds")
def test_a_killed_run_resumes_to_the_same_bits(
    rng: np.random.Generator, tmp_path: Path, counting: Any
) -> None:
    """Digits that were there counted as reached in no time, so that little seemed left."""
    X, Y = rng.standard_normal((530, 12)), rng.standard_normal((530, 2))
    whole = kernelfit.solve(X, Y, solver="pcg", run_dir=tmp_path / "whole")
    assert whole.convergence is not None
    assert not (tmp_path / "whole" / "iteration.h5").exists()
    last = int(whole.convergence.verified[0][0]) + 1  # beyond the first true residual
    digits = []
    for iteration in (3, last):
        folder, progress = tmp_path / f"killed-{iteration}", counting()
        _killed_run(folder, X, Y, iteration)
        resumed = kernelfit.resume(folder, threads=1, progress=progress)
        assert f"{folder}: resumed after iteration {iteration:,}" in progress.notes
        assert resumed.alpha.tobytes() == whole.alpha.tobytes()
        assert resumed.convergence is not None
        assert resumed.convergence.history == whole.convergence.history
        assert kernelfit.open(folder).alpha.tobytes() == whole.alpha.tobytes()
        report = kernelfit.check(folder)
        assert report.ok
        assert report.finished
        digits.append(progress.total["iterate"])
        assert progress.done["iterate"] == pytest.approx(digits[-1])
    assert digits[1] < digits[0]


@pytest.mark.usefixtures("rounds")
def test_an_interrupted_run_stores_where_it_is(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, Y = rng.standard_normal((530, 12)), rng.standard_normal((530, 2))
    step = iterative_system.Checkpoints.after

    def interrupted(checkpoints: Any, state: Any) -> None:
        if state.iteration == 7:
            signal.raise_signal(signal.SIGINT)
        step(checkpoints, state)

    monkeypatch.setattr(iterative_system.Checkpoints, "after", interrupted)
    with pytest.raises(
        Interrupted, match="stopped by SIGINT after iteration 7; continue with kernelfit resume"
    ):
        kernelfit.solve(X, Y, solver="pcg", run_dir=tmp_path / "run")
    monkeypatch.undo()
    assert (tmp_path / "run" / "iteration.h5").exists()
    report = kernelfit.check(tmp_path / "run")
    assert report.ok
    assert not report.finished
    resumed = kernelfit.solve(X, Y, solver="pcg", run_dir=tmp_path / "run", resume=True)
    assert resumed.convergence is not None
    assert resumed.convergence.converged


def test_a_run_that_is_opened_without_its_gram_matrix_names_it(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    """`kernelfit.open`, which had been called, was the remedy."""
    gram, y = 2.0 * np.eye(20), rng.standard_normal(20)
    kernelfit.solve(gram, y, kernel="precomputed", solver="pcg", run_dir=tmp_path / "run").close()
    opened = kernelfit.open(tmp_path / "run")
    with pytest.raises(
        InputError, match=r"^solve: .* kernelfit\.open, given its Gram matrix as gram, has that of"
    ):
        opened.solve(y)
    again = kernelfit.open(tmp_path / "run", gram=gram).solve(4.0 * y)
    np.testing.assert_allclose(again.alpha[:, 0], 2.0 * y, rtol=1e-14)


def test_a_run_that_is_opened_keeps_to_the_memory_that_is_here(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took what was planned where it had been solved."""
    X, y = rng.standard_normal((300, 10)), rng.standard_normal(300)
    whole = kernelfit.solve(X, y, solver="pcg", run_dir=tmp_path / "run")
    # With the interpreter's own, as the function that this replaces counts them.
    free = whole.plan.bytes_memory - whole.plan.bytes_points - 10**6
    monkeypatch.setattr(resources, "available_memory", lambda: free)
    progress = Silent()
    second = kernelfit.open(tmp_path / "run").solve(-y, progress)
    assert second.convergence is not None
    assert second.convergence.entries == "formed anew in float64"
    np.testing.assert_allclose(second.alpha, -whole.alpha, rtol=0, atol=1e-9 * np.abs(whole.alpha).max())
    [note] = [note for note in progress.notes if note.startswith("memory: the run was planned with ")]
    assert "iterating again with K formed anew for every product" in note
    monkeypatch.setattr(resources, "available_memory", lambda: 10**6)
    opened = kernelfit.open(tmp_path / "run")
    assert opened.predict(X[:2]).shape == (2,)
    with pytest.raises(PlanError, match=r"memory: .* bytes needed for conjugate gradients"):
        opened.leave_one_out()


def test_a_run_that_is_resumed_with_less_memory_says_so(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _killed_run(tmp_path / "run", rng.standard_normal((300, 12)), rng.standard_normal((300, 2)), 2)
    monkeypatch.setattr(resources, "available_memory", lambda: 10**6)
    progress = Silent()
    kernelfit.resume(tmp_path / "run", progress=progress)
    assert any("should it be ended for want of them, resume it" in note for note in progress.notes)


@pytest.mark.parametrize("solver", ["pcg", "askotch"])
def test_later_right_hand_sides_leave_the_folder_alone(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, solver: Any
) -> None:
    """They stored where they were in the folder of the run that had ended, without its lock."""
    monkeypatch.setattr(checkpoints, "_due", lambda last, state: True)
    X, Y = rng.standard_normal((60, 8)), rng.standard_normal((60, 2))
    solution = kernelfit.solve(X, Y, ridge=1.0, solver=solver, run_dir=tmp_path / "run")
    (tmp_path / "run" / "iteration.h5").write_bytes(b"another process's")
    again = solution.solve(-Y)
    assert (tmp_path / "run" / "iteration.h5").read_bytes() == b"another process's"
    shutil.rmtree(tmp_path / "run")
    assert np.array_equal(solution.solve(-Y).alpha, again.alpha)


@pytest.mark.usefixtures("rounds")
def test_other_targets_and_damage_begin_the_iteration_again(rng: np.random.Generator, tmp_path: Path) -> None:
    X, Y = rng.standard_normal((530, 12)), rng.standard_normal((530, 2))
    folder, progress = tmp_path / "run", Silent()
    _killed_run(folder, X, Y, 3)
    damaged = tmp_path / "damaged"
    shutil.copytree(folder, damaged)
    other = kernelfit.solve(X, -Y, solver="pcg", run_dir=folder, resume=True, progress=progress)
    assert not any("resumed after" in note for note in progress.notes)
    assert other.convergence is not None
    assert other.convergence.converged
    older = tmp_path / "older"
    shutil.copytree(damaged, older)
    of_others = tmp_path / "of other rows"
    shutil.copytree(damaged, of_others)
    _killed_run(tmp_path / "other rows", 2.0 * X[::-1], Y, 3)
    shutil.copy(tmp_path / "other rows" / "iteration.h5", of_others)
    (damaged / "iteration.h5").write_bytes(b"damaged")
    meta, arrays = iteration_file.read(older / "iteration.h5")
    hdf5.write(older / "iteration.h5", form=iteration_file.FORMAT, version=1, meta=meta, arrays=arrays)
    for folder, fault in (
        (damaged, ""),
        (of_others, "is of another run; "),
        (older, f"is of version 1 of the iteration, expected {iteration_file.VERSION}; "),
    ):
        progress = Silent()
        again = kernelfit.resume(folder, progress=progress)
        assert any(f"{fault}the iteration begins again" in note for note in progress.notes)
        np.testing.assert_array_equal(again.alpha, -other.alpha)


@pytest.mark.usefixtures("rounds")
@pytest.mark.parametrize("roomy", [True, False])
def test_what_is_singular_in_float32_is_solved_in_float64(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, roomy: bool
) -> None:
    """It ended in an error: a ridge below the rounding of a K of low rank in float32."""
    X, Y = rng.standard_normal((300, 8)), rng.standard_normal((300, 2))
    options: dict[str, Any] = {"kernel": "linear", "ridge": 1e-6}
    if not roomy:
        monkeypatch.setattr(iterative_system, "cache", None)
        memory = kernelfit.solve(X, Y, solver="pcg", ridge=1.0, condition=False).plan.bytes_memory
        options |= {"memory": memory}
    progress = Silent()
    folder = tmp_path / "run"
    store = iterative_system.Run.store_iteration

    def killed(run: Any, meta: Any, arrays: Any) -> None:
        store(run, meta, arrays)
        raise _Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(iterative_system.Run, "store_iteration", killed)
        patch.setattr(checkpoints, "_due", lambda last, state: state.exact and state.iteration == 2)
        with pytest.raises(_Killed):
            kernelfit.solve(X, Y, solver="pcg", run_dir=folder, **options)
    found = kernelfit.solve(X, Y, solver="pcg", progress=progress, **options)
    assert found.convergence is not None
    assert found.convergence.entries == ("float64 in memory" if roomy else "formed anew in float64")
    assert found.convergence.bytes_gram == (8 * found.plan.layout.elements if roomy else 0)
    assert any("as in float32 it is singular to rounding" in note for note in found.notes)
    assert any("beginning again with K in float64" in note for note in progress.notes)
    exact = kernelfit.solve(X, Y, **options)
    np.testing.assert_allclose(found.fitted, exact.fitted, rtol=0, atol=1e-6 * np.abs(Y).max())
    assert found.certificate.backward_error <= 1.2e-15
    assert kernelfit.resume(folder).alpha.tobytes() == found.alpha.tobytes()


def test_auto_takes_a_factor_where_it_fits(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((600, 10)), rng.standard_normal(600)
    direct = kernelfit.solve(X, y, solver="auto", tolerance=1e-3)
    assert direct.convergence is None
    assert direct.alpha.tobytes() == kernelfit.solve(X, y).alpha.tobytes()
    for options in ({"jitter": 1e-8}, {"precision": "mixed"}, {"tier": "disk"}):
        assert kernelfit.solve(X, y, solver="auto", **options).convergence is None  # type: ignore[arg-type]
        told = kernelfit.solve(X, y, solver="auto", tolerance=1e-2, **options).notes  # type: ignore[arg-type]
        assert [note for note in told if note.startswith("tolerance: ignored, as a factor is made")]


def test_auto_iterates_to_a_tolerance_where_that_is_faster(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "_MEETING", 150)
    X, y = rng.standard_normal((200, 8)), rng.standard_normal(200)
    found = kernelfit.solve(X, y, solver="auto", tolerance=1e-2)
    assert found.convergence is not None
    assert any(note.startswith("solver auto: conjugate gradients, which to a tol") for note in found.notes)
    assert kernelfit.solve(X, y, solver="auto").convergence is None
    # A K beyond single precision has a factor.
    large = kernelfit.solve(X * 1e20, y, kernel="linear", ridge=1e38, solver="auto", tolerance=1e-2)
    assert large.convergence is None
    assert (
        "tolerance: ignored, as a factor is made: a K that single precision cannot hold asks for one"
        in large.notes
    )


def test_auto_looks_at_the_disk_of_the_run(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked at that for scratch: a factor was chosen, and then refused for want of room."""
    monkeypatch.setattr(run_folder, "free_disk", lambda where: 0 if where == tmp_path / "run" else 10**12)
    X, y = rng.standard_normal((60, 8)), rng.standard_normal(60)
    found = kernelfit.solve(X, y, solver="auto", run_dir=tmp_path / "run")
    assert found.convergence is not None
    [note] = [note for note in found.notes if note.startswith("solver auto: ")]
    assert note.endswith(
        f"bytes does not fit into the 0 that are free in {tmp_path / 'run'}; conjugate gradients store none"
    )
    assert kernelfit.solve(X, y, solver="auto").convergence is None
    # They are not taken for what they would refuse.
    with pytest.raises(PlanError, match="disk: "):
        kernelfit.solve(
            1e40 * np.eye(9), y[:9], kernel="precomputed", solver="auto", run_dir=tmp_path / "run"
        )


@pytest.mark.usefixtures("rounds")
def test_auto_iterates_where_only_k_in_float32_fits(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "EXACT", 0)
    X, y = rng.standard_normal((4_096, 10)), rng.standard_normal(4_096)
    costs = Costs.of(n=4_096, d=10, n_rhs=1, threads=1, bytes_points=X.nbytes)
    memory = Plan.in_memory(costs, 0).bytes_memory - 1_000
    found = kernelfit.solve(X, y, solver="auto", tolerance=0.5, memory=memory, threads=1)
    assert found.convergence is not None
    assert any(note.startswith("solver auto: a factor of ") for note in found.notes)
    assert found.problem.method.solver == "pcg"


@pytest.mark.usefixtures("rounds")
def test_a_run_that_is_resumed_to_another_goal_reaches_it(rng: np.random.Generator, tmp_path: Path) -> None:
    """The best so far was compared by a backward error with what a tolerance measures, and returned as converged."""
    X, Y = rng.standard_normal((300, 12)), rng.standard_normal((300, 2))
    whole = kernelfit.solve(X, Y, solver="pcg")
    assert whole.convergence is not None
    iteration, residual = whole.convergence.verified[0][:2]
    _killed_run(tmp_path / "run", X, Y, int(iteration) + 1)
    options: dict[str, Any] = {"solver": "pcg", "tolerance": residual / 10}
    progress = Silent()
    resumed = kernelfit.solve(X, Y, run_dir=tmp_path / "run", resume=True, progress=progress, **options)
    assert resumed.convergence is not None
    assert resumed.convergence.relative_residual <= residual / 10
    assert any("to another goal; the iteration begins again" in note for note in progress.notes)
