"""Rows of another unit than those of training: refused or noted, never scaled in silence."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.sparse import csr_array, lil_array

import kernelfit
from kernelfit import Experiment, datasets
from kernelfit.datasets.new_rows import read_rows
from kernelfit.errors import InputError
from kernelfit.experiments.new_row_checks import are_byte_values
from kernelfit.experiments.predictions import Predictions, predict, predict_test_rows, unseen_test_rows
from kernelfit.experiments.result import Result
from kernelfit.progress import Silent


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images as bytes and as shares of 1, in files with a training and a test part."""
    folder = tmp_path_factory.mktemp("units")
    X = np.random.default_rng(0).integers(0, 256, (40, 6), dtype=np.uint8)
    y = (X[:, 0] > 127).astype(int)
    for name, rows in {"bytes": X, "shares": X / 255, "pixels": X.astype(float)}.items():
        np.savez(folder / f"{name}.npz", X_train=rows[:30], y_train=y[:30], X_test=rows[30:], y_test=y[30:])
    np.savez(folder / "blurred.npz", X=X[30:] * 0.9)
    np.savez(folder / "black-and-white.npz", X=(X[30:] > 127).astype(float))
    return folder


@pytest.fixture(scope="module", params=["plain", "standardised"])
def runs(files: Path, request: pytest.FixtureRequest) -> dict[str, Result]:
    options = {"standardise": request.param == "standardised", "ridge": 0.1}
    return {name: Experiment(train=files / f"{name}.npz", **options).run() for name in ("bytes", "shares")}


def of_file(result: Result, path: Path, notes: list[str] | None = None) -> Predictions:
    progress = Silent()
    predictions = predict(result, read_rows(path, result.table), progress)
    assert [note for note in progress.notes if "test part" not in note] == (notes or [])
    return predictions


def of_data(result: Result, path: Path) -> Predictions:
    return predict_test_rows(result, unseen_test_rows(result, str(path), None, None, Silent()), Silent())


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (np.array([[0, 255]], dtype=np.uint8), True),
        (np.array([[0, 1]], dtype=np.uint8), False),
        (np.array([[-1, 2]], dtype=np.int16), False),
        (np.array([[0, 256]], dtype=np.int16), False),
    ],
)
def test_rows_of_integers_are_not_rounded_to_be_known_for_such(
    rows: np.ndarray, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NumPy before 2.1 rounded bytes in half precision, at every run."""
    monkeypatch.setattr(np, "floor", lambda values: pytest.fail("rounded"))
    assert are_byte_values(rows) == expected


def test_bytes_beside_other_numbers_are_refused(runs: dict[str, Result], files: Path) -> None:
    message = r"^{}: got bytes in bytes{}, expected other numbers as trained on"
    with pytest.raises(InputError, match=message.format("rows", r"\.npz")):
        of_file(runs["shares"], files / "bytes.npz")
    with pytest.raises(InputError, match=message.format("dataset", "")):
        of_data(runs["shares"], files / "bytes.npz")
    assert of_data(runs["shares"], files / "shares.npz").errors.error == runs["shares"].record["test_error"]


def test_rows_in_another_unit_are_refused_in_python(runs: dict[str, Result], files: Path) -> None:
    """They were scaled twice, or not at all, in silence."""
    shares, pixels = (np.load(files / f"{name}.npz")["X_test"] for name in ("shares", "bytes"))
    with pytest.raises(
        InputError, match=r"^rows: got numbers from 0\S* to (1|0.9\S*), expected bytes as trained on"
    ):
        runs["bytes"].predict(shares)
    with pytest.raises(InputError, match=r"^rows: got bytes, expected other numbers as trained on"):
        runs["shares"].predict(pixels)
    expected = of_file(runs["bytes"], files / "bytes.npz").scores
    assert_allclose(runs["bytes"].scores(pixels.astype(float)), expected, rtol=1e-9)
    progress = Silent()
    runs["bytes"].scores(0.9 * pixels[:, :2].repeat(3, axis=1), progress)
    assert [note.split(":")[0] for note in progress.notes] == ["rows"]
    digits = Experiment("digits", n_train=30, n_test=5).run()
    with pytest.raises(
        InputError, match=r"^rows: got numbers from 0 to 1, expected integers as trained on, which are"
    ):
        digits.predict(np.linspace(0, 1, 64)[None])


@pytest.mark.parametrize("wrapped", [pd.DataFrame, csr_array, lil_array])
def test_frames_and_sparse_rows_are_in_the_units_of_training(
    runs: dict[str, Result], files: Path, wrapped: Any
) -> None:
    """Those of bytes that were scaled already were scaled again, and bytes beside shares were not, in silence."""
    shares, pixels = (np.load(files / f"{name}.npz")["X_test"] for name in ("shares", "bytes"))
    make = partial(pd.DataFrame, columns=list("abcdef")) if wrapped is pd.DataFrame else wrapped
    with pytest.raises(InputError, match=r"^rows: got numbers from 0\S* to (1|0.9\S*), expected bytes"):
        runs["bytes"].predict(make(shares))
    with pytest.raises(InputError, match=r"^rows: got bytes, expected other numbers as trained on"):
        runs["shares"].predict(make(pixels))
    assert_allclose(runs["bytes"].scores(make(pixels)), runs["bytes"].scores(pixels), rtol=1e-9, atol=1e-12)


def test_bytes_beside_a_table_of_pixels_are_its_rows(files: Path) -> None:
    X, lines = np.load(files / "bytes.npz"), ["a,b,c,d,e,f,label"]
    lines += [
        ",".join(map(str, [*row, label])) for row, label in zip(X["X_train"], X["y_train"], strict=True)
    ]
    (files / "pixels.csv").write_text("\n".join(lines))
    table = Experiment(train=files / "pixels.csv", n_test=0, ridge=0.1, task="classification").run()
    expected = table.solution.predict(X["X_test"].astype(float))
    assert_allclose(of_data(table, files / "bytes.npz").scores, expected, rtol=1e-9)


@pytest.mark.parametrize(
    "changes", [{"standardise": True}, {"features": "gabor"}], ids=["standardised", "features"]
)
def test_bytes_beside_a_run_of_pixels_are_its_rows_whatever_was_made_of_them(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    """They were refused, as standardised rows and features of images are no integers."""
    X, y = np.random.default_rng(0).integers(0, 256, (24, 64), dtype=np.uint8), np.arange(24) % 2
    for name, rows in {"pixels": X.astype(float), "shares": X / 255}.items():
        images = rows.reshape(-1, 8, 8)
        np.savez(tmp_path / f"{name}.npz", X_train=images, y_train=y, X_test=images[:4], y_test=y[:4])
    options = {"features": "none", **changes, "ridge": 0.1, "task": "classification"}
    Experiment(train=tmp_path / "pixels.npz", **options).run(tmp_path / "run")
    stored = Experiment.load(tmp_path / "run")
    assert_allclose(stored.scores(X[:4]), stored.scores(X[:4].astype(float)), rtol=1e-12)
    with pytest.raises(InputError, match=r"^rows: got bytes, expected other numbers as trained on"):
        Experiment(train=tmp_path / "shares.npz", **options).run().predict(X[:4])


def test_shares_beside_bytes_are_refused(runs: dict[str, Result], files: Path) -> None:
    message = r"^{}: got numbers from 0\S* to (1|0.9\S*) in shares{}, expected bytes as trained on, .*; give"
    with pytest.raises(InputError, match=message.format("rows", r"\.npz")):
        of_file(runs["bytes"], files / "shares.npz")
    with pytest.raises(InputError, match=message.format("dataset", "")):
        of_data(runs["bytes"], files / "shares.npz")


def test_integers_of_a_byte_are_bytes_and_others_are_noted(runs: dict[str, Result], files: Path) -> None:
    expected = of_file(runs["bytes"], files / "bytes.npz").scores
    assert_allclose(of_file(runs["bytes"], files / "pixels.npz").scores, expected, rtol=1e-9)
    assert_allclose(of_data(runs["bytes"], files / "pixels.npz").scores, expected, rtol=1e-9)
    for name, extent in {"blurred": "5.4 to 230", "black-and-white": "0 to 1"}.items():
        progress = Silent()
        predict(runs["bytes"], read_rows(files / f"{name}.npz", None), progress)
        (note,) = progress.notes
        assert note == (
            f"{name}.npz: numbers from {extent} are taken in the units of the bytes that were trained on"
        )


def test_a_data_set_beside_a_solution_alone_has_its_scale(files: Path) -> None:
    """A solution of X / 255 took the data set's bytes as they are."""
    data = datasets.load(files / "bytes.npz")
    X, Y = data.X_train, np.eye(2)[data.y_train]

    def scored(solution: kernelfit.Solution) -> tuple[float | None, list[str]]:
        result, progress = Result(record={}, solution=solution), Silent()
        dataset = unseen_test_rows(result, str(files / "bytes.npz"), None, None, Silent())
        return predict_test_rows(result, dataset, progress).errors.error, progress.notes

    with pytest.raises(
        InputError, match=r"^dataset: got bytes, whose rows are scaled by 1/255, expected 1 as in"
    ):
        scored(kernelfit.solve(X / 255, Y))
    expected = Experiment(train=files / "bytes.npz").run().record["test_error"]
    for solution in (kernelfit.solve(X, Y, scale=1 / 255), kernelfit.solve(X, Y)):
        error, (note,) = scored(solution)
        assert error == expected
        assert note.startswith(
            "bytes: taken as the solver's own rows, for a solution file alone knows no columns"
        )
