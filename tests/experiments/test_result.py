"""New rows of a stored run: standard deviations, and the solver's own rows beside those of the data."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

import kernelfit
from kernelfit import Experiment
from kernelfit.errors import InputError
from kernelfit.progress import Silent


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    draw = np.random.default_rng(5)
    a, word = draw.normal(3, 5, 60), np.array(["red", "blue"])[np.arange(60) % 2]
    return pd.DataFrame({"a": a, "word": word, "b": draw.normal(size=60), "y": 9 + a + (word == "red")})


@pytest.fixture(scope="module")
def run(frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("result")
    frame.to_csv(folder / "a.csv", index=False)
    experiment = Experiment(
        folder / "a.csv", target="y", n_test=0, standardise=True, centre=True, gamma=0.5, ridge=0.1
    )
    experiment.run(folder / "run")
    return folder / "run"


def test_deviations_are_those_of_a_gaussian_process_of_the_rows_that_the_solver_saw(
    frame: pd.DataFrame, run: Path
) -> None:
    numbers = frame[["a", "b"]].to_numpy()
    # Beside the numbers 1 for each word; these are not scaled.
    words = np.stack([frame["word"] == word for word in ("blue", "red")], axis=1)
    rows = np.hstack([(numbers - numbers.mean(axis=0)) / numbers.std(axis=0), words])
    process = GaussianProcessRegressor(RBF(1.0), alpha=0.1, optimizer=None)
    mean, deviation = process.fit(rows, frame["y"] - frame["y"].mean()).predict(rows[:7], return_std=True)
    found = Experiment.load(run).predict(frame[["b", "word", "a"]][:7], return_std=True)
    assert_allclose(found[0][:, 0], mean + frame["y"].mean(), rtol=1e-9)
    assert_allclose(found[1][:, 0], deviation, rtol=1e-8)
    with closing(kernelfit.open(run)) as solution:
        assert_allclose(solution.predict(rows[:7]), mean, rtol=1e-9)
        assert solution.notes[-1] == (
            "X: taken as the solver's own rows (words as columns of 0 and 1, columns standardised, targets less their "
            "mean); Experiment.load(run_dir).predict takes rows of the data"
        )


def test_a_frame_is_not_taken_for_the_solvers_rows(frame: pd.DataFrame, run: Path) -> None:
    """Raw columns went into the standardised solver, and no mean was added, in silence."""
    numbers = frame[["a", "b", "y", "y"]].set_axis(list("abcd"), axis=1)
    message = r"^X: got a frame, expected an array of the solver's own rows"
    with closing(kernelfit.open(run)) as solution, pytest.raises(InputError, match=message):
        solution.predict(numbers, return_std=True)
    with pytest.raises(
        InputError, match=r"^return_std: .*Experiment.load\(run_dir\).predict\(X, return_std=True\)"
    ):
        Experiment.load(run).solution.predict(numbers.to_numpy(), return_std=True)


def test_words_that_were_not_trained_on_are_noted_in_the_result(frame: pd.DataFrame, run: Path) -> None:
    """Without a `progress` of one's own nothing told of them."""
    result = Experiment.load(run)
    for _ in range(2):
        result.predict(frame[:3].assign(word=["red", "mauve", "blue"]))
    said = [
        note
        for note in result.solution.notes
        if "'word' holds words that were not trained on, mauve in 1" in note
    ]
    assert len(said) == 1
    assert said[0] in result.summary()


def test_dates_and_large_integers_beside_words_are_not_numbers(frame: pd.DataFrame, run: Path) -> None:
    """They were cast in silence, where a table of numbers alone refused them."""
    result = Experiment.load(run)
    days = frame.assign(b=pd.date_range("2020-01-01", periods=60))
    with pytest.raises(InputError, match=r"^rows: got dates in column 'b', expected numbers; make them such"):
        result.predict(days)
    for dtype in ("int64", "Int64"):
        with pytest.raises(InputError, match=r"^rows\['b'\]: got the integer 1152921504606846977 at row 0"):
            result.predict(frame.assign(b=pd.Series(np.full(60, 2**60 + 1), dtype=dtype)))
    # A query of polars was a TypeError: not subscriptable.
    lazy = type("LazyFrame", (), {"columns": list(frame.columns)})()
    with pytest.raises(InputError, match=r"^rows: got a LazyFrame, .*; use rows\.collect\(\)"):
        result.predict(lazy)


def test_words_without_names_of_columns_want_a_frame(frame: pd.DataFrame, run: Path) -> None:
    """They were to be encoded by scikit-learn, which puts words before numbers: of as many columns, in silence."""
    result, columns = Experiment.load(run), ["a", "word", "b"]
    message = r"^rows: got (words|records) without names of columns, expected a frame with the columns a, word, b; use"
    for rows in (frame[columns].to_numpy(), frame[columns].to_dict("records"), frame[columns].iloc[0]):
        with pytest.raises(InputError, match=message):
            result.predict(rows)
    expected = result.predict(frame[columns])
    assert_allclose(
        result.predict(pd.DataFrame(frame[columns].to_dict("records"), columns=columns)), expected
    )
    assert not any("without names" in note for note in result.solution.notes)
    words = np.stack([frame["word"] == word for word in ("blue", "red")], axis=1)
    assert_allclose(result.predict(np.hstack([frame[["a", "b"]], words])), expected)
    assert "rows: without names, taken as encoded columns in the order a, b, word=blue, word=red" in (
        result.solution.notes
    )


def test_the_runs_own_predictions_have_no_such_note(run: Path) -> None:
    result = Experiment.load(run)
    result.predict(np.zeros((1, 4)))
    assert not any("solver's own rows" in note for note in (*result.solution.notes, *result.record["notes"]))


def test_deviations_are_refused_where_there_are_none(run: Path) -> None:
    digits = Experiment("digits", n_train=30, n_test=5).run()
    with pytest.raises(InputError, match=r"^return_std: got True for classes, expected a regression"):
        digits.predict(np.zeros((1, 64)), return_std=True)
    result = Experiment(run.parent / "a.csv", target="y", n_test=0, ridge=0.1).run()
    with pytest.raises(InputError, match=r"^return_std: got a result whose factor was given back"):
        result.predict(np.zeros((1, 4)), return_std=True)


def test_percents_of_a_frame_have_no_sign_which_is_said(tmp_path: Path) -> None:
    lines = [f"{row}%,{row % 3},{row}.5" for row in range(9)]
    (tmp_path / "a.csv").write_text("\n".join(["share,b,y", *lines]) + "\n")
    result, progress = Experiment(tmp_path / "a.csv", n_test=0, ridge=0.1).run(), Silent()
    result.predict(pd.DataFrame({"b": [1.0], "share": [0.02]}), progress)
    said = "taken as they stand, without the percent sign of the training rows (12 is 12 %)"
    assert progress.notes == [f"rows: {said}: share"]
