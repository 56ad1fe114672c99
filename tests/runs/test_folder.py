"""Runs in folders from Python: what is kept, what is refused, what the factor answers later."""

from __future__ import annotations

import errno
import fcntl
import gc
import json
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import h5py
import numpy as np
import pytest
from sklearn.gaussian_process.kernels import RBF

import kernelfit
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import (
    DataError,
    InputError,
    NotPositiveDefiniteError,
    PlanError,
    RefinementError,
    StorageError,
)
from kernelfit.gram.costs import Costs
from kernelfit.gram.placement import Limits, place
from kernelfit.gram.plan import Plan
from kernelfit.kernels import FromSklearn, Gaussian, Pairwise
from kernelfit.progress import Silent
from kernelfit.runs import folder as run_folder
from kernelfit.runs import identity as identities
from kernelfit.runs import solution_file
from kernelfit.runs.lock import FolderLock
from kernelfit.storage import journal

N, WIDTH = 150, 32


def problem(**changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    X, Y = rng.normal(size=(N, 4)), rng.normal(size=(N, 2))
    return {"X": X, "Y": Y, "gamma": 0.5, "panel_width": WIDTH, **changes}


def unsolved(folder: Path, **changes: Any) -> None:
    """A run whose factor is finished and whose solution is not there."""
    kernelfit.solve(**problem(**changes), run_dir=folder).close()
    (folder / "solution.h5").unlink()


@pytest.mark.parametrize("tier", ["disk", "ram"])
@pytest.mark.parametrize("precision", ["float64", "float32", "mixed"])
def test_an_opened_run_answers_without_factoring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tier: str, precision: str
) -> None:
    given = problem(precision=precision, tier=tier, gamma=5.0)
    whole = kernelfit.solve(**given)
    kernelfit.solve(**given, run_dir=tmp_path / "run").close()
    monkeypatch.setattr("kernelfit.solver.cpu_system.factor", None)
    opened = kernelfit.open(tmp_path / "run")
    np.testing.assert_array_equal(opened.alpha, whole.alpha)
    np.testing.assert_array_equal(opened.predict(given["X"]), whole.predict(given["X"]))
    np.testing.assert_array_equal(opened.leave_one_out(), whole.leave_one_out())
    assert opened.certificate == whole.certificate
    other = np.arange(3.0 * N).reshape(N, 3)
    again, expected = opened.solve(other), whole.solve(other)
    np.testing.assert_array_equal(again.alpha, expected.alpha)
    assert again.certificate.log_det == expected.certificate.log_det
    assert again.certificate.condition_estimate == pytest.approx(expected.certificate.condition_estimate)


def test_the_factor_is_plain_hdf5(tmp_path: Path) -> None:
    given = problem()
    kernelfit.solve(**given, run_dir=tmp_path / "run").close()
    factor = np.zeros((N, N))
    with h5py.File(tmp_path / "run" / "factor.h5", "r") as file:
        for j, panel in enumerate(file["panels"].values()):
            factor[j * WIDTH :, j * WIDTH : j * WIDTH + panel.shape[1]] = panel[()]
    distances = ((given["X"][:, None] - given["X"][None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(factor @ factor.T, np.exp(-0.5 * distances), atol=1e-13)


def test_equal_rows_stay_known(tmp_path: Path) -> None:
    given = problem()
    X, Y = np.vstack([given["X"], given["X"][:1]]), np.vstack([given["Y"], given["Y"][:1]])
    whole = kernelfit.solve(X, Y, gamma=0.5, run_dir=tmp_path / "run")
    opened = kernelfit.open(tmp_path / "run")
    np.testing.assert_array_equal(opened.kept, np.arange(N))
    np.testing.assert_array_equal(opened.solve(2 * Y).alpha, whole.solve(2 * Y).alpha)
    Y[-1] += 1
    with pytest.raises(InputError, match="equal rows"):
        opened.solve(Y)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gamma": 0.6}, "kernel.gamma is 0.6, the run has 0.5"),
        ({"ridge": 0.1}, "ridge is 0.1, the run has 0.0"),
        ({"jitter": 0.1}, "jitter is 0.1, the run has 0.0"),
        ({"panel_width": 16}, "plan.panel_width is 16, the run has 32"),
        ({"precision": "float32"}, "plan.precision is float32, the run has float64"),
        ({"X": problem()["X"] + 1}, "rows.values is"),
        ({"kernel": "laplacian"}, "kernel.name is laplacian, the run has gaussian"),
    ],
)
def test_another_problem_is_refused_with_what_differs(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    folder = tmp_path / "run"
    unsolved(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(StorageError, match="holds another run") as caught:
        kernelfit.solve(**problem(**changes), run_dir=folder, resume=True)
    assert words in str(caught.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_other_versions_are_refused_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    unsolved(folder)
    monkeypatch.setattr(identities, "version", lambda name: "0.0" if name == "numpy" else "9.9")
    with pytest.raises(StorageError, match=r"versions\.numpy is 0\.0, the run has"):
        kernelfit.resume(folder)
    found = kernelfit.check(folder)
    assert found.ok, found.problems
    assert not found.finished
    assert any("numpy" in note for note in found.notes)
    assert any("solution" in note for note in found.notes)


def test_a_foreign_journal_is_refused(tmp_path: Path) -> None:
    unsolved(tmp_path / "ours")
    unsolved(tmp_path / "theirs", gamma=0.7)
    shutil.copy(tmp_path / "theirs" / "journal", tmp_path / "ours" / "journal")
    with pytest.raises(StorageError, match=r"kernel\.gamma is 0\.5, the run has 0\.7"):
        kernelfit.resume(tmp_path / "ours")
    assert not kernelfit.check(tmp_path / "ours").ok


def test_a_mixed_run_that_kept_its_gram_in_memory_is_reproduced(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    X, Y = rng.normal(size=(2_500, 5)), rng.normal(size=2_500)
    solution = kernelfit.solve(X, Y, gamma=5.0, precision="mixed", run_dir=tmp_path / "run", device="cpu")
    assert solution.plan.cache == "gram"
    assert solution.certificate.refinements > 0
    solution.close()
    found = kernelfit.check(tmp_path / "run")
    assert found.alpha_reproduced, found.problems


def test_a_mixed_run_whose_rows_are_others_is_found_out(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    kernelfit.solve(**problem(precision="mixed"), run_dir=folder).close()
    others = {"X": np.random.default_rng(8).normal(size=(N, 4))}
    solution = kernelfit.solve(**problem(precision="mixed") | others)
    written = journal.Journal(folder / "journal")
    seal = lambda digest: written.append({"solution": digest})  # noqa: E731
    solution_file.write(folder / "solution.h5", *solution.as_data(), seal)
    written.close()
    solution.close()
    found = kernelfit.check(folder)
    assert not found.ok
    assert "the factor gives no solution" in found.problems[0]


def test_other_targets_are_welcome(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    kernelfit.solve(**problem(), run_dir=folder).close()
    other = np.arange(1.0 * N)
    solution = kernelfit.solve(**problem(Y=other, tier="disk"), run_dir=folder, resume=True)
    assert solution.traffic["factor_written"] == 0
    np.testing.assert_array_equal(solution.alpha, kernelfit.solve(**problem(Y=other)).alpha)
    np.testing.assert_array_equal(kernelfit.open(folder).alpha, solution.alpha)
    assert kernelfit.check(folder).ok


def test_other_targets_that_are_killed_do_not_become_the_earlier_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, other = tmp_path / "run", np.arange(1.0 * N)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    kernelfit.solve(**problem(), run_dir=folder).close()
    with monkeypatch.context() as patch:
        patch.setattr(run_folder.Run, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            kernelfit.solve(**problem(Y=other), run_dir=folder, resume=True)
    solution = kernelfit.resume(folder)
    np.testing.assert_array_equal(solution.targets[:, 0], other)
    assert kernelfit.check(folder).ok


@pytest.mark.parametrize("precision", ["float64", "mixed"])
def test_a_run_that_no_factor_exists_for_is_taken_away(tmp_path: Path, precision: str) -> None:
    X = np.linspace(0, 1, N)[:, None]  # one after the other, so that K is singular to rounding
    with pytest.raises(NotPositiveDefiniteError):
        kernelfit.solve(**problem(X=X, precision=precision), run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_targets_that_overflow_do_not_cost_the_factor(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    kernelfit.solve(**problem(), run_dir=folder).close()
    with pytest.raises(RefinementError, match=r"alpha: overflows in float64 precision, with Y up to 1e\+308"):
        kernelfit.solve(**problem(Y=np.full(N, 1e308)), run_dir=folder, resume=True)
    solution = kernelfit.solve(**problem(), run_dir=folder, resume=True)
    assert solution.traffic["factor_written"] == 0
    assert kernelfit.check(folder).ok


def test_a_new_run_leaves_an_earlier_one_alone(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    kernelfit.solve(**problem(), run_dir=folder).close()
    with pytest.raises(StorageError, match="holds a finished run"):
        kernelfit.solve(**problem(), run_dir=folder)
    (folder / "solution.h5").unlink()
    with pytest.raises(
        StorageError, match=r"unfinished run \(5 of 5 panels\); continue it with kernelfit resume"
    ):
        kernelfit.solve(**problem(), run_dir=folder)
    with pytest.raises(StorageError, match="unfinished run"):
        kernelfit.open(folder)


def test_leftovers_of_a_start_that_was_killed_are_no_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    kernelfit.solve(**problem(), run_dir=folder).close()
    for name in ("run.h5", "solution.h5"):
        (folder / name).unlink()
    (folder / ".run.h5.half").write_text("torn")
    assert run_folder.is_vacant(folder)
    with pytest.raises(DataError, match="holds no run"):
        kernelfit.resume(folder)
    kernelfit.solve(**problem(), run_dir=folder).close()
    assert kernelfit.check(folder).ok
    assert not (folder / ".run.h5.half").exists()
    assert not run_folder.is_vacant(folder)


def test_a_store_that_is_forgotten_gives_its_disk_back(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        kernelfit.solve(**problem(tier="disk"), scratch=tmp_path)
        gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_precomputed_grams_are_given_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    factor = rng.normal(size=(N, N))
    gram, y = factor @ factor.T + np.eye(N), rng.normal(size=N)
    folder = tmp_path / "run"
    whole = kernelfit.solve(gram, y, kernel="precomputed", panel_width=WIDTH, run_dir=folder)
    with pytest.raises((DataError, InputError), match="gram"):
        kernelfit.open(folder)
    np.testing.assert_array_equal(kernelfit.open(folder, gram=gram).solve(y).alpha, whole.alpha)
    assert kernelfit.check(folder, gram=gram).ok
    gram[7, 3] += 1e-9  # which no certificate sees beside a float32 factor
    progress = Silent()
    for use in (kernelfit.open, partial(kernelfit.resume, progress=progress)):
        with pytest.raises(InputError, match=r"^gram: got another matrix than that of"):
            use(folder, gram=gram)
    assert progress.notes == []  # "solved again from the factor" it said before it refused
    gram[7, 3] -= 1e-9
    (folder / "solution.h5").unlink()
    with pytest.raises(InputError, match="gram"):
        kernelfit.resume(folder)
    gram[7, 3] += 1e-9
    with pytest.raises(StorageError, match=r"rows\.gram"):
        kernelfit.resume(folder, gram=gram)
    gram[7, 3] -= 1e-9
    gram[3, 7] += 1.0  # only the lower triangle counts
    np.testing.assert_allclose(kernelfit.resume(folder, gram=gram).alpha, whole.alpha, rtol=1e-6)


def similarity(x: Any, y: Any) -> float:
    total = 0.0
    for i in range(x.shape[0]):
        total += (x[i] - y[i]) ** 2
    return float(np.exp(-total))


def test_a_users_own_kernel_is_given_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    given = problem(kernel=Pairwise(similarity))
    del given["gamma"]
    whole = kernelfit.solve(**given, run_dir=folder)
    with pytest.raises(InputError, match="function"):
        kernelfit.open(folder)
    opened = kernelfit.open(folder, function=similarity)
    np.testing.assert_array_equal(opened.solve(given["Y"]).alpha, whole.alpha)
    (folder / "solution.h5").unlink()
    np.testing.assert_array_equal(kernelfit.resume(folder, function=similarity).alpha, whole.alpha)


def test_a_gram_of_all_rows_serves_a_run_whose_rows_of_weight_0_were_left_out(tmp_path: Path) -> None:
    """The first of its rows and columns were taken for those that had a part."""
    rng = np.random.default_rng(5)
    X, y, weights = rng.standard_normal((40, 3)), rng.standard_normal(40), np.ones(40)
    weights[[2, 11, 30]] = 0.0
    gram = np.exp(-0.5 * ((X[:, None] - X) ** 2).sum(axis=-1))
    options = {"kernel": "precomputed", "ridge": 0.1, "sample_weight": weights, "run_dir": tmp_path / "run"}
    solution = kernelfit.solve(gram, y, **options)
    kept = solution.kept
    for read in (kernelfit.open, kernelfit.resume):
        for given in (gram, gram[np.ix_(kept, kept)]):
            more = read(tmp_path / "run", gram=given).solve(2 * y)
            np.testing.assert_allclose(more.fitted, 2 * solution.fitted, rtol=1e-12)
            assert more.certificate.backward_error < 1e-15
    assert kernelfit.check(tmp_path / "run", gram=gram).ok
    with pytest.raises(InputError, match="gram: got 39 rows, expected 37"):
        kernelfit.open(tmp_path / "run", gram=gram[1:, 1:])


def test_a_sum_of_own_functions_is_given_a_list(tmp_path: Path) -> None:
    def near(x: Any, y: Any) -> float:
        return float(np.exp(-((x[0] - y[0]) ** 2)))

    def flat(x: Any, y: Any) -> float:
        return float(np.exp(-0.1 * abs(x[0] - y[0])))

    rng = np.random.default_rng(5)
    X, y = rng.standard_normal((12, 1)), rng.standard_normal(12)
    kernel = Pairwise(near) * Pairwise(flat) + FromSklearn(RBF(0.7))
    solution = kernelfit.solve(X, y, kernel=kernel, run_dir=tmp_path / "run")
    functions = [RBF(0.7), flat, near]
    for again in (
        kernelfit.load(tmp_path / "run" / "solution.h5", function=functions),
        kernelfit.open(tmp_path / "run", function=functions),
    ):
        np.testing.assert_array_equal(again.predict(X), solution.predict(X))
    for wrong in ([flat, near], [], near):
        with pytest.raises(InputError, match="function: "):
            kernelfit.load(tmp_path / "run" / "solution.h5", function=wrong)


def test_mixed_precision_that_falls_back_keeps_a_float64_run(tmp_path: Path) -> None:
    given = problem(gamma=0.01, precision="mixed")
    whole = kernelfit.solve(**given)
    assert any("fell back" in note for note in whole.notes)
    kept = kernelfit.solve(**given, run_dir=tmp_path / "run")
    np.testing.assert_array_equal(kept.alpha, whole.alpha)
    found = kernelfit.check(tmp_path / "run")
    assert found.ok, found.problems
    (tmp_path / "run" / "solution.h5").unlink()
    np.testing.assert_array_equal(kernelfit.resume(tmp_path / "run").alpha, whole.alpha)


@pytest.mark.parametrize("step", ["write", "create"])
def test_a_fall_back_that_is_killed_before_its_first_panel_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Its journal was of float64 beside a run.h5 of float32: another run, which nothing continued."""
    given, folder = problem(gamma=0.01, precision="mixed"), tmp_path / "run"
    where: Any = run_folder.run_file if step == "write" else run_folder.Journal
    calls, plain = [], getattr(where, step)

    def killed(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return plain(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(where, step, killed)
        with pytest.raises(KeyboardInterrupt):
            kernelfit.solve(**given, run_dir=folder)
    resumed = kernelfit.resume(folder)
    np.testing.assert_array_equal(resumed.alpha, kernelfit.solve(**given).alpha)
    assert kernelfit.check(folder).ok


def test_the_primal_road_keeps_its_solution(tmp_path: Path) -> None:
    given = problem(kernel="linear")
    del given["gamma"]
    whole = kernelfit.solve(**given, run_dir=tmp_path / "run")
    opened = kernelfit.open(tmp_path / "run")
    np.testing.assert_array_equal(opened.predict(given["X"]), whole.predict(given["X"]))
    assert kernelfit.check(tmp_path / "run").finished
    given["Y"] = np.full(N, np.inf)  # the folder is looked at before any work
    with pytest.raises(InputError, match="Y: got inf"):
        kernelfit.solve(**given, run_dir=tmp_path / "other")
    given["Y"] = np.ones(N)
    with pytest.raises(StorageError, match=r"solution\.h5"):
        kernelfit.solve(**given, run_dir=tmp_path / "run")
    given["X"] = given["X"] * 1e150
    with pytest.raises(InputError, match="X: "):
        kernelfit.solve(**given, run_dir=tmp_path / "other", scale=1e150)
    assert not (tmp_path / "other").exists()


def test_the_primal_path_takes_other_targets_and_is_resumed(tmp_path: Path) -> None:
    """The same call again was refused, and `resume` missed a run.h5 that there never is."""
    given, folder = problem(kernel="linear", gamma=None), tmp_path / "run"
    whole = kernelfit.solve(**given, run_dir=folder)
    again = kernelfit.solve(**given, run_dir=folder, resume=True)
    assert again.alpha.tobytes() == whole.alpha.tobytes()
    other = kernelfit.solve(**given | {"Y": np.ones(N)}, run_dir=folder, resume=True)
    progress = Silent()
    for opened in (kernelfit.resume(folder, threads=1, progress=progress), kernelfit.open(folder, threads=1)):
        assert opened.alpha.tobytes() == other.alpha.tobytes()
        assert opened.threads == 1
    assert progress.notes == [f"{folder}: this run is finished already"]
    assert {path.name for path in folder.iterdir()} == {"solution.h5"}
    for changes, name in [
        ({"X": 2 * given["X"]}, "rows"),
        ({"X": given["X"] / 2, "scale": 2.0}, "rows_scale"),
        ({"sample_weight": np.linspace(1.0, 2.0, N)}, "weights_of_rows"),
    ]:
        with pytest.raises(StorageError, match=rf"of another system, whose {name} is not the same"):
            kernelfit.solve(**given | changes, run_dir=folder, resume=True)
    with pytest.raises(StorageError, match=r"holds solution\.h5 already"):
        kernelfit.solve(**problem(), run_dir=folder, resume=True)


def test_the_primal_path_has_one_writer(tmp_path: Path) -> None:
    """Of two solves at once the last one's solution stayed, and both said that theirs was stored."""
    given, folder = problem(kernel="linear", gamma=None), tmp_path / "run"
    folder.mkdir()
    lock = FolderLock(folder / "lock")
    for resume in (False, True):
        with pytest.raises(StorageError, match=f"process {os.getpid()} is working in this folder"):
            kernelfit.solve(**given, run_dir=folder, resume=resume)
    lock.release(remove=True)
    (folder / "lock").write_text("of the user's own")
    with pytest.raises(StorageError, match=r"lock: is no file of a run, and would be lost"):
        kernelfit.solve(**given, run_dir=folder)
    assert (folder / "lock").read_text() == "of the user's own"
    (folder / "lock").unlink()
    kernelfit.solve(**given, run_dir=folder)
    assert {path.name for path in folder.iterdir()} == {"solution.h5"}


def test_without_a_directory_nothing_stays(tmp_path: Path) -> None:
    solution = kernelfit.solve(**problem(tier="disk"), scratch=tmp_path)
    assert list(tmp_path.iterdir()) == []  # the file lost its name as soon as it was open
    solution.leave_one_out()
    solution.close()


def test_a_lock_is_exclusive_and_goes_with_its_holder(tmp_path: Path) -> None:
    first = FolderLock(tmp_path / "lock")
    with pytest.raises(StorageError, match="is working in this folder"):
        FolderLock(tmp_path / "lock")
    first.release()
    second = FolderLock(tmp_path / "lock")
    second.release(remove=True)
    assert list(tmp_path.iterdir()) == []


def test_a_finished_run_that_is_locked_or_read_only_names_what_takes_no_lock(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    kernelfit.solve(**problem(), run_dir=folder).close()
    lock = FolderLock(folder / "lock")
    with pytest.raises(StorageError, match=r"name another folder, or use its factor with kernelfit.open$"):
        kernelfit.resume(folder)
    lock.release()
    (folder / "solution.h5").unlink()
    lock = FolderLock(folder / "lock")
    with pytest.raises(StorageError, match=r"wait until it ends, or name another folder$"):
        kernelfit.resume(folder)
    lock.release()


def test_a_run_of_another_processor_is_refused_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    unsolved(folder)
    monkeypatch.setattr(identities, "compiled_for", lambda: "znver4 avx2 fma")
    with pytest.raises(StorageError, match=r"versions\.processor is znver4 avx2 fma, the run has"):
        kernelfit.resume(folder)
    found = kernelfit.check(folder)
    assert found.ok, found.problems
    assert any("versions.processor" in note for note in found.notes)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP])
def test_a_file_system_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(descriptor: int, operation: int) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(StorageError, match=r"lies on a file system without locks .* expected flock"):
        FolderLock(tmp_path / "lock")


def test_disk_for_the_factor_is_found_missing_before_the_work() -> None:
    costs = Costs.of(n=10_000, d=10, n_rhs=1, threads=2)
    assert place(costs, Limits(10**10, 10**9), stored=True).bytes_written > 0
    with pytest.raises(PlanError, match="choose another folder"):
        place(costs, Limits(10**10, 10**8), stored=True)


@pytest.mark.parametrize("tier", ["disk", "ram"])
def test_traffic_is_what_was_planned(tmp_path: Path, tier: str) -> None:
    solution = kernelfit.solve(**problem(tier=tier), run_dir=tmp_path / "run")
    plan = solution.plan
    assert solution.traffic["factor_read"] == plan.bytes_read
    assert solution.traffic["factor_written"] == plan.bytes_written
    assert solution.traffic["solve_read"] == plan.bytes_read_solve
    assert (plan.bytes_read > 0) == (tier == "disk")


def test_identity_is_of_rows_kernel_plan_and_versions_but_not_of_targets(tmp_path: Path) -> None:
    headers = []
    for name, targets in (("a", problem()["Y"]), ("b", np.zeros(N))):
        kernelfit.solve(**problem(Y=targets), run_dir=tmp_path / name).close()
        headers.append(journal.read(tmp_path / name / "journal").header)
    assert headers[0] is not None
    assert headers[1] is not None
    assert headers[0]["identity"] == headers[1]["identity"]
    assert json.loads(json.dumps(headers[0]["identity"])) == headers[0]["identity"]
    assert identities.differences({"a": {"b": 1}}, {"a": {"b": 2}, "c": 3}) == [
        "a.b is 1, the run has 2",
        "c is absent, the run has 3",
    ]


def test_a_forged_journal_cannot_make_us_read_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    unsolved(folder)
    contents = journal.read(folder / "journal")
    assert contents.header is not None
    sound = contents.header["offsets"]
    far = [offset + 2**40 for offset in sound]
    for offsets in ([], [0], [-1] * 5, ["a"] * 5, [2**70] * 5, None, far, [0, *sound[1:-1], sound[0]]):
        forged = journal.line({**contents.header, "offsets": offsets})
        (folder / "journal").write_bytes(forged)
        with pytest.raises(DataError, match="where the panels are"):
            kernelfit.resume(folder)


def test_gram_digest_sees_every_entry_of_the_lower_triangle() -> None:
    from kernelfit.gram.source import ArrayGram

    gram = np.eye(7)
    plan = Plan.in_memory(Costs.of(n=7, d=0, n_rhs=1, panel_width=3), 10**10)
    plain = identities.gram_digest(ArrayGram(gram), plan)
    for i in range(7):
        for j in range(7):
            changed = gram.copy()
            changed[i, j] += 1
            assert (identities.gram_digest(ArrayGram(changed), plan) != plain) == (i >= j)
    with CpuBackend(1):
        assert identities.gram_digest(ArrayGram(gram), plan) == plain


def test_names_of_the_folder(tmp_path: Path) -> None:
    kernelfit.solve(**problem(kernel=Gaussian(0.5), gamma=None), run_dir=tmp_path / "run").close()
    names = {run_folder.RUN, run_folder.FACTOR, run_folder.JOURNAL, run_folder.SOLUTION, run_folder.LOCK}
    assert {path.name for path in (tmp_path / "run").iterdir()} == names


def test_a_thread_count_that_is_none_leaves_the_run_unlocked(tmp_path: Path) -> None:
    whole = kernelfit.solve(**problem(), run_dir=tmp_path / "run")
    (tmp_path / "run" / "solution.h5").unlink()
    with pytest.raises(InputError, match="threads: got 0"):
        kernelfit.resume(tmp_path / "run", threads=0)
    np.testing.assert_array_equal(kernelfit.resume(tmp_path / "run").alpha, whole.alpha)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("journal", b"mine\n"),
        ("lock", b"mine\n"),
        ("journal.md", b""),
        ("lock.txt", b"1\n"),
        ("factor.h5", b"mine\n"),
        ("asked.json", b'{"mine": 1}'),
        ("iteration.h5", b"mine\n"),
    ],
)
def test_a_folder_with_a_file_of_the_users_own_is_not_vacant(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / "lock").write_bytes(b"123\n")
    (tmp_path / "journal").write_bytes(b"")
    (tmp_path / ".seen-1a2b").write_bytes(b"")
    assert run_folder.is_vacant(tmp_path)
    (tmp_path / name).write_bytes(content)
    assert not run_folder.is_vacant(tmp_path)


def test_a_factor_of_the_users_own_is_told_from_what_a_killed_start_left(tmp_path: Path) -> None:
    kernelfit.solve(**problem(), run_dir=tmp_path / "run")
    whole, folder = (tmp_path / "run" / "factor.h5").read_bytes(), tmp_path / "left"
    folder.mkdir()
    for left in (b"", bytes(4096), whole, whole[:100]):
        (folder / "factor.h5").write_bytes(left)
        assert run_folder.is_vacant(folder)
    with h5py.File(folder / "factor.h5", "w") as file:
        file["mine"] = np.ones(3)
    assert not run_folder.is_vacant(folder)


@pytest.mark.parametrize("name", ["journal", "lock", "factor.h5", "iteration.h5"])
def test_a_file_of_the_users_own_is_not_written_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine\n")
    with pytest.raises(StorageError, match=rf"{name}: is no file of a run, and would be lost; name another"):
        kernelfit.solve(**problem(), run_dir=tmp_path)
    assert (tmp_path / name).read_text() == "mine\n"
    assert os.listdir(tmp_path) == [name]
