"""Kernels compared by leave-one-out: what each row says, who wins, and that the printed code makes the winner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

import kernelfit
from kernelfit import Experiment
from kernelfit.errors import InputError
from kernelfit.experiments import baselines as baselines_module
from kernelfit.experiments.comparison import Compared, Entry, encoded
from kernelfit.experiments.fit import LEADERBOARD, compare_experiment, fit
from kernelfit.experiments.leaderboard import CANDIDATES, Choices, Leaderboard
from kernelfit.progress import Silent
from kernelfit.runs.folder import Run

FEW = ("gaussian", "linear", "ntk")


def friedman(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    X = rng.random((n, 5))
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4]
    return X * [1, 1e3, 1, 1e-3, 1], 100 + y + 0.5 * rng.standard_normal(n)


@pytest.fixture(scope="module")
def regression() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    X, y = friedman(np.random.default_rng(0), 160)
    return X[:120], y[:120], X[120:], y[120:]


@pytest.fixture(scope="module")
def board(regression: Any) -> Leaderboard:
    return kernelfit.leaderboard(*regression)


@pytest.fixture(scope="module")
def classes() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    labels = np.array(["a", "b", "c"])[np.arange(90) % 3]
    return rng.standard_normal((90, 2)) + 2 * np.stack([labels == "b", labels == "c"], axis=1), labels


def test_every_kernel_and_every_baseline_has_a_row(board: Leaderboard) -> None:
    names = {entry.name for entry in board.entries}
    assert names == {candidate.name for candidate in CANDIDATES} | {"Ridge", "KernelRidge grid", "SVR"}
    errors = [entry.ranked for entry in board.entries]
    assert errors == sorted(errors)
    assert all(entry.failed is None and entry.seconds > 0 for entry in board.entries)
    assert (board.rows, board.of, board.classes) == (120, 120, None)
    # Columns of 1e-3 and 1e3 are of no use as they are.
    assert board.winner.standardise
    assert "columns are standardised" in board.notes[0]


def test_the_winner_is_no_worse_than_the_grid_of_scikit_learn(board: Leaderboard) -> None:
    grid = next(entry for entry in board.entries if entry.name == "KernelRidge grid")
    assert board.best.loo_rmse is not None
    assert grid.loo_rmse is not None
    assert board.best.loo_rmse <= 1.02 * grid.loo_rmse


@pytest.mark.parametrize("kernel", ["gaussian", "linear"])
def test_a_row_is_what_leaving_rows_out_gives(board: Leaderboard, regression: Any, kernel: str) -> None:
    X, y, X_test, y_test = regression
    entry = next(entry for entry in board.entries if entry.name == kernel)
    scaler = StandardScaler().fit(X)
    Z, Z_test = scaler.transform(X), scaler.transform(X_test)

    def k(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        assert entry.kernel is not None
        if kernel == "linear":
            return a @ b.T
        return np.exp(-entry.kernel["gamma"] * ((a[:, None] - b) ** 2).sum(-1))

    inverse = np.linalg.inv(k(Z, Z) + entry.ridge * np.eye(120))
    alpha = inverse @ (y - y.mean())
    assert entry.loo_rmse == pytest.approx(np.sqrt(np.mean((alpha / np.diag(inverse)) ** 2)), rel=1e-6)
    assert entry.rkhs_norm == pytest.approx(np.sqrt(alpha @ k(Z, Z) @ alpha), rel=1e-6)
    predictions = y.mean() + k(Z_test, Z) @ alpha
    # The inverse of the line above loses half of the digits.
    assert entry.test_rmse == pytest.approx(np.sqrt(np.mean((predictions - y_test) ** 2)), rel=1e-4)
    assert entry.test_r2 == pytest.approx(r2_score(y_test, predictions), rel=1e-4)


def test_ridge_is_that_of_ridge_cv(board: Leaderboard, regression: Any) -> None:
    X, y, _, _ = regression
    entry = next(entry for entry in board.entries if entry.name == "Ridge")
    alphas = baselines_module._ALPHAS
    model = RidgeCV(alphas=alphas, store_cv_results=True).fit(StandardScaler().fit_transform(X), y - y.mean())
    squares = model.cv_results_[:, list(alphas).index(model.alpha_)]
    assert entry.loo_rmse == pytest.approx(np.sqrt(squares.mean()), rel=1e-9)


def test_seconds_of_a_baseline_are_without_the_first_call_of_the_process() -> None:
    calls = []

    def body(entry: Any, data: Any, seed: int) -> Any:
        calls.append(data.X.shape)
        return entry

    X, y = np.zeros((5, 3)), np.zeros((5, 1))
    data = Compared(X, y, X[:0], y[:0])
    for _ in range(2):
        baselines_module._measured(body, Entry("", "", ""), data, 0)
    assert calls == [(12, 2), (5, 3), (5, 3)]


@pytest.mark.parametrize("of_classes", [False, True])
@pytest.mark.parametrize("body", ["_ridge", "_kernel_ridge", "_support_vectors"])
def test_every_baseline_can_be_warmed_up(body: str, of_classes: bool) -> None:
    done = []

    def finished(*arguments: Any) -> None:
        done.append(getattr(baselines_module, body)(*arguments))

    baselines_module._warm_up.__wrapped__(finished, of_classes)
    assert len(done) == 1


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("standardise", [False, True])
def test_the_code_makes_the_winner(regression: Any, classes: Any, task: str, standardise: bool) -> None:
    X, y = regression[:2] if task == "regression" else classes
    board = kernelfit.leaderboard(X, y, kernels=FEW, standardise=standardise, baselines=False)
    assert len(board.code()) <= 5
    names = {"X_train": X, "y_train": y}
    exec("\n".join(board.code()), names)
    expected = board.estimator().fit(X, y).predict(X)
    np.testing.assert_array_equal(names["model"].predict(X), expected)
    if task == "classification":
        assert np.mean(expected != y) < 0.3
    else:
        assert r2_score(y, expected) > (0.9 if standardise else 0.4)


def test_classes_are_counted(classes: Any) -> None:
    X, labels = classes
    board = kernelfit.leaderboard(X, labels, X[:30], labels[:30], kernels=FEW)
    assert board.classes == ("a", "b", "c")
    assert {entry.name for entry in board.entries} == {*FEW, "Ridge", "KernelRidge grid", "SVC"}
    for entry in board.entries:
        assert entry.failed is None
        assert 0 <= entry.loo_error <= 0.5
        assert 0 <= entry.test_error <= 0.5
        assert entry.by == ("5-fold" if entry.name == "SVC" else "leave-one-out")


def test_the_best_of_a_draw_gets_its_width_from_all_rows(regression: Any) -> None:
    X, y, _, _ = regression
    board = kernelfit.leaderboard(X, y, kernels=["gaussian"], rows=60, baselines=False, standardise=True)
    assert (board.rows, board.of) == (60, 120)
    whole = kernelfit.leaderboard(X, y, kernels=["gaussian"], baselines=False, standardise=True)
    assert board.winner == whole.winner
    assert board.entries != whole.entries


def test_a_draw_has_a_row_of_every_class() -> None:
    y = np.array([0] * 500 + [1])
    data = Compared(np.arange(501.0)[:, None], y, np.empty((0, 1)), y[:0], ("a", "b"))
    assert set(data.drawn(10, 0).y) == {0, 1}
    assert len(data.drawn(10, 0).y) == 10


@pytest.mark.parametrize(
    ("y", "classes", "note"),
    [
        (["x", "y", "x"], ("x", "y"), ""),
        ([True, False, True], ("False", "True"), ""),
        ([3, 5, 3], ("3", "5"), "taken as classes"),
        ([3.0, 5.0, 3.0], ("3.0", "5.0"), "taken as classes"),
        ([3.5, 5.0, 3.0], None, ""),
        ([[3, 1], [5, 1], [3, 1]], None, ""),
    ],
)
def test_what_labels_are_taken_for(y: list[Any], classes: tuple[str, ...] | None, note: str) -> None:
    data, notes = encoded(np.eye(3), np.array(y), None, None, None)
    assert data.classes == classes
    assert note in " ".join(notes)
    assert bool(notes) == bool(note)


def test_columns_of_test_rows_are_found_by_their_names() -> None:
    """They were taken by their place, and test errors were those of swapped columns."""
    frame = pd.DataFrame({"a": np.arange(4.0), "b": 10 + np.arange(4.0), "c": 20 + np.arange(4.0)})
    targets = frame[["a", "b"]] / 8
    data, notes = encoded(frame[["a", "b"]], targets, frame[["c", "b", "a"]], targets[["b", "a"]], None)
    assert_array_equal(data.X_test, data.X)
    assert_array_equal(data.y_test, data.y)
    assert notes == ["X_test: columns left aside, which the training rows lack: c"]
    with pytest.raises(
        InputError, match=r"^X_test: got no column b, expected the columns that were trained on"
    ):
        encoded(frame[["a", "b"]], targets, frame[["a", "c"]], targets, None)
    # A single column needs no name to be found.
    assert_array_equal(
        encoded(frame, targets["a"], frame, targets[["b"]], None)[0].y_test[:, 0], targets["b"]
    )


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)], ids=["(n,)", "(n, 1)"])
@pytest.mark.parametrize(
    ("y", "classes", "notes"),
    [
        (np.array([0.5, 2, 1.25], object), None, 0),
        (np.array([3, 5, 3], object), ("3", "5"), 1),
        (np.array([True, False, True], object), ("False", "True"), 0),
        (pd.Series([True, False, True], dtype="boolean"), ("False", "True"), 0),
        (pd.Series([3, 5, 3], dtype="Int64"), ("3", "5"), 1),
        (np.array([3, 5, 3]), ("3", "5"), 1),
        (np.array([True, False, True]), ("False", "True"), 0),
        (np.array(["b", "a", "b"]), ("a", "b"), 0),
        (np.array(["b", "a", "b"], object), ("a", "b"), 0),
    ],
)
def test_objects_and_columns_of_labels_are_what_they_hold(
    y: Any, shape: Any, classes: tuple[str, ...] | None, notes: int
) -> None:
    """Prices beside booleans in an array were a class each, and a column of 0 and 1 a regression, in silence."""
    labels = y if shape == (-1,) else y.to_frame() if isinstance(y, pd.Series) else y.reshape(shape)
    data, said = encoded(np.eye(3), labels, np.eye(3), labels, None)
    assert data.classes == classes
    assert len(said) == notes
    codes = [[0.5], [2.0], [1.25]] if classes is None else np.searchsorted(classes, np.asarray(y).astype(str))
    assert_array_equal(data.y, codes)
    assert_array_equal(data.y_test, data.y)


_DAYS, _LARGE = np.arange("2020-01-01", "2020-01-04", dtype="datetime64[D]"), 2**60 + np.arange(1, 4)
_CLASSES = {"y": ["a", "b", "a"], "y_test": ["a", "b", "a"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": np.array([0.0, 1.0, np.nan]), "task": "classification"}, "y: got a label of nan at row 2"),
        ({"y_test": np.array([0.0, 1.0, np.inf])}, "y_test: got a label of inf at row 2"),
        (
            _CLASSES | {"y_test": np.array(["a", None, "b"], object)},
            "y_test: got a missing label, None, at row 1",
        ),
        (_CLASSES | {"y_test": np.array(["a", 1, "b"], object)}, "y_test: got labels of several types"),
        (_CLASSES | {"y_test": [0, 1, 0]}, "y_test: got dtype int64 beside y of <U1, expected both as text"),
        ({"y": [0.5, 1.0, 2.0], "y_test": ["a", "b", "a"]}, "y_test: got dtype <U1, expected numbers"),
        ({"y": [0.5, 1.0, 2.0], "y_test": [0.5, 1.0, np.nan]}, "y_test: got a number that is not finite"),
        ({"y": np.eye(3) / 2}, r"y_test: got shape \(3,\), expected columns as in y \(3, 3\)"),
        (
            {"y": np.eye(3), "y_test": np.eye(3), "task": "classification"},
            r"y: got classes of shape \(3, 3\)",
        ),
        ({"y": [0, None, 1]}, "y: got a missing value at row 1"),
        ({"y": _DAYS}, "y: got dates, expected numbers"),
        ({"y": _DAYS, "task": "regression"}, "y: got dates, expected numbers"),
        ({"X": _DAYS[:, None]}, "X: got dates, expected numbers"),
        ({"X": _LARGE[:, None]}, "X: got the integer 1152921504606846977 at row 0"),
        (
            {"X_test": _LARGE[:, None] + 0 * np.arange(3)},
            "X_test: got the integer 1152921504606846977 at row 0",
        ),
        ({"y": _LARGE, "task": "regression"}, "y: got the integer 1152921504606846977 at row 0"),
        (
            {"y": [0.5, 1.0, 2.0], "y_test": _LARGE},
            "y_test: got the integer 1152921504606846977 at row 0",
        ),
    ],
)
def test_what_would_be_rounded_or_a_class_by_mistake_is_refused(
    arguments: dict[str, Any], message: str
) -> None:
    """Stamps were rounded, dates cast, and NaN was a class."""
    given = {"X": np.eye(3), "y": [0, 1, 0], "X_test": np.eye(3), "y_test": [0, 1, 0], "task": None}
    with pytest.raises(InputError, match=f"^{message}"):
        encoded(**given | arguments)


def test_large_integers_are_classes_as_they_are() -> None:
    data, _ = encoded(np.eye(3), _LARGE, None, None, "classification")
    assert data.classes == tuple(map(str, _LARGE))


@pytest.mark.parametrize("dtype", ["float16", "float32", "longdouble"])
def test_ridge_of_other_floats_is_that_of_float64(dtype: Any) -> None:
    """A spectrum in float32 had poles at the alpha that was chosen in float64, and the others' was a TypeError."""
    draw = np.random.default_rng(0)
    X = (100 * draw.normal(size=(60, 5))).astype(dtype)
    y = X.astype(np.float64) @ np.ones(5) / 1e3 + 0.1 * draw.normal(size=60)
    entries = [
        baselines_module.ridge(encoded(rows, y, rows, y, "regression")[0], 0)
        for rows in (X, X.astype(np.float64))
    ]
    assert replace(entries[0], seconds=0.0) == replace(entries[1], seconds=0.0)
    assert entries[0].failed is None


def test_many_integers_are_numbers_and_say_so() -> None:
    data, notes = encoded(np.eye(30), np.arange(30), None, None, None)
    assert data.classes is None
    assert "taken as numbers (regression); task='classification'" in notes[0]
    assert encoded(np.eye(30), np.arange(30), None, None, "classification")[0].classes is not None


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (np.random.default_rng(0).standard_normal((3, 2)), np.array([1.0, 2.5, 3.0])),
        (np.random.default_rng(0).standard_normal((10, 40)), np.full(10, 7.5)),
        (1e140 * np.random.default_rng(0).standard_normal((12, 2)), 1e200 * np.sqrt(np.arange(12.0))),
        (np.repeat(np.random.default_rng(0).standard_normal((8, 2)), 2, axis=0), np.arange(16) + 0.5),
        (np.random.default_rng(0).standard_cauchy((30, 3)), np.random.default_rng(1).standard_cauchy(30)),
    ],
    ids=["three rows", "constant targets", "huge", "conflicting duplicates", "heavy tails"],
)
def test_hard_rows_give_a_winner(X: np.ndarray, y: np.ndarray) -> None:
    board = kernelfit.leaderboard(X, y, kernels=("gaussian", "laplacian", "polynomial-2", "linear"))
    assert board.best.failed is None
    model = board.estimator()
    if y.max() < 1e100:  # whose mean scikit-learn's scaler loses
        assert np.isfinite(model.fit(X, y).predict(X)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"kernels": ["gausian"]},
            r"^kernels: got 'gausian', expected some of .*; did you mean 'gaussian'\?$",
        ),
        ({"kernels": []}, r"^kernels: got none"),
        ({"rows": 1}, r"^rows: got 1, expected an integer >= 2"),
        ({"task": "ranking"}, r"^task: got 'ranking'"),
        ({"X_test": np.ones((2, 5))}, r"^X_test, y_test: got one of them"),
        ({"X_test": np.ones((2, 4)), "y_test": np.ones(2)}, r"^X_test: got 4 features, expected 5"),
        ({"y": np.ones(7)}, r"^y: got shape \(7,\) beside rows of shape \(120, 5\)"),
        ({"y": np.array(["a"] * 120)}, r"^y: got 1 classes, expected at least 2"),
        ({"y": np.array(["a", "b"] * 60), "task": "regression"}, r"^y: got dtype <U1, expected numbers"),
        ({"X": np.ones((120, 5))}, r"^X: the gaussian kernel cannot be solved on these rows"),
    ],
)
def test_refusals(regression: Any, arguments: dict[str, Any], message: str) -> None:
    X, y, _, _ = regression
    with pytest.raises(InputError, match=message):
        kernelfit.leaderboard(**{"X": X, "y": y, **arguments})


def test_a_winner_without_a_ridge_gets_one_where_all_rows_need_it(tmp_path: Path) -> None:
    # Of 20 rows in [0, 1] a gaussian of width 1/20 has a factor, of 400 it has none.
    X = np.random.default_rng(0).random((400, 1))
    y = np.exp(-200 * (X - 0.1 * np.arange(11)) ** 2) @ np.random.default_rng(1).standard_normal(11)
    np.savez(tmp_path / "rows.npz", X_train=X, y_train=y, X_test=X[:5], y_test=y[:5])
    choices = Choices(["gaussian"], standardise=False, rows=20, baselines=False)
    progress = Silent()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "kernelfit.experiments.leaderboard._settled", lambda _c, _d, model, *_: replace(model, ridge=0.0)
        )
        with pytest.MonkeyPatch.context() as kill:
            kill.setattr(Run, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
            with pytest.raises(KeyboardInterrupt):
                fit(Experiment(tmp_path / "rows.npz"), choices, run_dir=tmp_path / "out", progress=progress)
        assert any(note.startswith("no ridge was chosen") for note in progress.notes)
        progress = Silent()
        fitted = fit(Experiment(tmp_path / "rows.npz"), choices, run_dir=tmp_path / "out", progress=progress)
    assert fitted.board.winner.ridge > 0
    assert any(f"the run in {tmp_path / 'out'} took it" in note for note in progress.notes)
    assert Experiment.load(tmp_path / "out").solution.ridge == fitted.board.winner.ridge


def test_a_model_that_fails_is_a_row_and_no_end(regression: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Entry:
        raise ValueError("no luck")

    monkeypatch.setattr(baselines_module, "_ridge", fail)
    board = kernelfit.leaderboard(*regression[:2], kernels=["linear"], standardise=True)
    assert board.entries[-1].name == "Ridge"
    assert board.entries[-1].failed == "no luck"
    assert "–" in repr(board)


def test_fit_stores_the_run_and_resumes_the_comparison(
    regression: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y, X_test, y_test = regression
    np.savez(tmp_path / "rows.npz", X_train=X, y_train=y, X_test=X_test, y_test=y_test)
    experiment, out = Experiment(tmp_path / "rows.npz"), tmp_path / "out"
    choices = Choices(FEW, baselines=False)
    with monkeypatch.context() as patch:
        patch.setattr(Experiment, "run", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            fit(experiment, choices, run_dir=out)
    assert sorted(path.name for path in (out / "rows").iterdir()) == [
        "gaussian-raw.json",
        "gaussian.json",
        "linear.json",
        "ntk.json",
    ]
    with pytest.raises(InputError, match=r"gaussian\.json was computed with .*seed 0, not 1"):
        fit(Experiment(tmp_path / "rows.npz", seed=1), choices, run_dir=out)
    with monkeypatch.context() as patch:
        patch.setattr("kernelfit.experiments.leaderboard.solve", None)  # nothing is compared again
        fitted = fit(experiment, choices, run_dir=out)
    assert fitted.result is not None
    assert fitted.result.record["loo_rmse"] == pytest.approx(fitted.board.best.loo_rmse, rel=1e-6)
    assert fitted.result.record["test_rmse"] == pytest.approx(fitted.board.best.test_rmse, rel=1e-6)
    assert (out / LEADERBOARD).is_file()
    stored = Experiment.load(out)
    names = {"X_train": X, "y_train": y}
    exec("\n".join(fitted.board.code()), names)
    np.testing.assert_allclose(stored.scores(X_test)[:, 0], names["model"].predict(X_test), rtol=1e-9)
    with pytest.raises(InputError, match="holds a finished run"):
        fit(experiment, choices, run_dir=out)
    record = fitted.result.record
    for lost in ((LEADERBOARD,), (LEADERBOARD, "result.json")):  # as a kill after the solution leaves it
        for name in lost:
            (out / name).unlink()
        with pytest.raises(InputError, match=r"^run_dir: .* holds a run whose kernel is "):
            fit(experiment, Choices(["linear"], baselines=False), run_dir=out)
        again = fit(experiment, choices, run_dir=out)
        assert again.result is not None
        assert again.result.record["loo_rmse"] == record["loo_rmse"]
        assert (out / LEADERBOARD).is_file()
        assert (out / "result.json").is_file()


@pytest.mark.parametrize(
    ("changes", "different"),
    [
        ({"loo": True, "ridge": "auto"}, "ridge is 'auto'"),
        ({"loo": True, "gamma": "median"}, "gamma is 'median'"),
        ({"gamma": 1.0}, "loo is False, here True"),
        ({"loo": True, "gamma": 1.0, "seed": 1}, "seed is 1, here 0"),
    ],
)
def test_the_run_of_another_command_is_refused_before_the_comparison(
    regression: Any, tmp_path: Path, changes: dict[str, Any], different: str
) -> None:
    X, y = (part[:12] for part in regression[:2])
    np.savez(tmp_path / "rows.npz", X_train=X, y_train=y, X_test=X[:2], y_test=y[:2])
    out = tmp_path / "out"
    Experiment(tmp_path / "rows.npz", **changes).run(out)
    with pytest.raises(InputError, match=rf"^run_dir: .* holds a run whose {different}.*; name a new folder"):
        fit(Experiment(tmp_path / "rows.npz"), Choices(["gaussian"], baselines=False), run_dir=out)
    assert not (out / "rows").exists()


def test_baselines_of_standardised_columns_do_not_stand_for_those_of_columns_as_they_are(
    regression: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(data: Compared, seed: int) -> Entry:
        return Entry("Ridge", "scikit-learn", "leave-one-out", loo_rmse=float(data.X.std()))

    monkeypatch.setattr("kernelfit.experiments.leaderboard.BASELINES", {"sklearn-ridge": told})
    X, y, X_test, y_test = (part[:40] for part in regression)
    np.savez(tmp_path / "rows.npz", X_train=X, y_train=y, X_test=X_test, y_test=y_test)
    spreads = [
        next(
            entry.loo_rmse
            for entry in compare_experiment(
                Experiment(tmp_path / "rows.npz"), Choices(["linear"], standardise), run_dir=tmp_path
            ).entries
            if entry.name == "Ridge"
        )
        for standardise in (True, False, True)
    ]
    assert spreads == pytest.approx([1.0, X.std(), 1.0])


def test_features_of_an_experiment_are_not_left_out_of_the_comparison_in_silence() -> None:
    experiment = Experiment("digits", n_train=40, n_test=10, features="gabor")
    with pytest.raises(InputError, match="features: got 'gabor', expected none"):
        fit(experiment, Choices(["gaussian"], baselines=False))


def test_a_missing_label_is_named() -> None:
    with pytest.raises(InputError, match=r"^y: got a missing label, nan, at row 1"):
        kernelfit.leaderboard(np.arange(4.0)[:, None], np.array(["a", np.nan, "b", "a"], object))
