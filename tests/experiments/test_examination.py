"""A run looked at row by row: shares that are left of training rows by the others, and runs without a factor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernelfit
from kernelfit import Experiment
from kernelfit.errors import InputError, StorageError
from kernelfit.experiments import stream
from kernelfit.experiments.examination import examine, examine_result
from kernelfit.experiments.result import Result
from kernelfit.solver.solution import Solution


def test_isolation_is_the_share_of_the_diagonal_that_the_inverse_leaves() -> None:
    result = Experiment("digits", n_train=80, n_test=5, loo=True, ridge=0.1).run()
    examination = examine_result(result)
    assert examination.dataset is not None
    rows = examination.dataset.X_train / 16.0
    squares = ((rows[:, None] - rows[None]) ** 2).sum(axis=-1)
    matrix = np.exp(-result.record["kernel"]["gamma"] * squares) + 0.1 * np.eye(80)
    expected = 1 / np.diag(np.linalg.inv(matrix)) / np.diag(matrix)
    assert examination.isolation is not None
    np.testing.assert_allclose(examination.isolation, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "rows"), [({"kernel": "linear"}, 0), ({"gamma": 1e-3, "jitter": 1e-3}, 1)]
)
def test_no_share_without_an_inverse_of_the_matrix_that_alpha_is_of(
    options: dict[str, Any], rows: int
) -> None:
    """K of the linear kernel is singular, and with a jitter alpha and leave-one-out are of two matrices."""
    examination = examine_result(Experiment("digits", n_train=90, n_test=5, loo=True, **options).run())
    assert examination.left_out is not None
    assert examination.isolation is None
    assert len(examination.nearly_dependent(8)) == rows


SOLVES = {
    "pcg": {"solver": "pcg", "ridge": 0.1, "gamma": 0.002},
    "linear": {"kernel": "linear", "n_train": 90},
}


@pytest.fixture(scope="module", params=SOLVES)
def solved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A run without a factor, which reported leave-one-out errors."""
    options: dict[str, Any] = {
        "n_train": 60,
        "n_test": 20,
        "loo": True,
        "threads": 1,
        **SOLVES[request.param],
    }
    return Experiment("digits", **options).run(tmp_path_factory.mktemp("runs") / "run")


def test_a_run_without_a_factor_shows_the_training_rows_by_the_others(solved: Result) -> None:
    """It said that it had no factor, or not what data it is of, and showed no rows at all."""
    assert solved.run_dir is not None
    now, again = examine_result(solved), examine(solved.run_dir)
    assert again.notes == ()
    assert again.left_out is not None
    assert again.scores is not None
    np.testing.assert_allclose(again.left_out, now.left_out, rtol=1e-9, atol=1e-12)


def test_it_is_resumed_where_it_was_killed_in_leave_one_out(solved: Result) -> None:
    """It could neither be resumed nor be used."""
    assert solved.run_dir is not None
    (solved.run_dir / "result.json").unlink()
    with pytest.raises(InputError, match=r"holds no result.json; finish it with kernelfit resume"):
        Experiment.load(solved.run_dir)
    resumed = Experiment.resume(solved.run_dir, threads=1)
    for key in ("loo_error", "test_error", "rkhs_norm"):
        assert resumed.record[key] == solved.record[key]
    assert Experiment.load(solved.run_dir).record["loo_error"] == solved.record["loo_error"]


def test_test_rows_are_shown_where_the_training_rows_cannot_be(
    solved: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise InputError("leave_one_out: got nothing to do it with")

    monkeypatch.setattr(Solution, "leave_one_out", refused)
    assert solved.run_dir is not None
    examined = examine(solved.run_dir)
    assert examined.scores is not None
    assert examined.left_out is None
    assert examined.notes == (
        "the training rows by the others could not be looked at: leave_one_out: got nothing to do it with",
    )


def test_a_run_of_streamed_features_is_read_where_nothing_may_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was locked, which took a folder that can be written to."""
    monkeypatch.setattr(stream, "HELD", 0)
    options: dict[str, Any] = {"n_train": 40, "n_test": 10, "loo": True, "threads": 1}
    result = Experiment(
        "digits", features="random-conv", feature_options={"n_filters": 10}, kernel="ntk", **options
    ).run(tmp_path / "run")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()}

    def refused(path: Path) -> None:
        raise StorageError(f"{path}: cannot lock the folder: Read-only file system")

    monkeypatch.setattr(stream, "FolderLock", refused)
    examined = examine(tmp_path / "run")
    assert examined.notes == ()
    assert examined.left_out is not None
    np.testing.assert_allclose(examined.left_out, result.left_out, rtol=1e-9)
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()} == before


def test_an_opened_run_of_conjugate_gradients_iterates_again(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """It was refused as a solution without a factor, by the words to open it; with K given, `check` asked for K."""
    X = rng.standard_normal((40, 3))
    gram, Y = np.exp(-((X[:, None] - X) ** 2).sum(axis=2)), rng.standard_normal((40, 2))
    whole = kernelfit.solve(gram, Y, kernel="precomputed", solver="pcg", ridge=0.1, run_dir=tmp_path / "run")
    assert kernelfit.check(tmp_path / "run", gram=gram).problems == []
    opened = kernelfit.open(tmp_path / "run", gram=gram)
    np.testing.assert_array_equal(opened.leave_one_out(), whole.leave_one_out())
    other = opened.solve(Y[:, :1])
    assert other.certificate.backward_error < 1e-14
    for each in (whole, opened):
        each.close()
    with pytest.raises(InputError, match="without what iterates"):
        opened.leave_one_out()
    assert kernelfit.open(tmp_path / "run").alpha.shape == (40, 2)
