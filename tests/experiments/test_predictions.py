"""Which rows of a data set a run has not seen, how they are corrupted, and the file of predictions."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_array_equal

from kernelfit import Experiment, datasets
from kernelfit.datasets.new_rows import read_rows
from kernelfit.errors import DataError, InputError
from kernelfit.experiments.predictions import Predictions, predict, predict_test_rows, unseen_test_rows
from kernelfit.metrics import Errors
from kernelfit.progress import Silent


def table(path: Path, rng: np.random.Generator, n: int) -> Path:
    lines = [f"{a},{b},{a + b}" for a, b in rng.uniform(-1, 1, (n, 2)).tolist()]
    path.write_text("\n".join(["a,b,price", *lines]) + "\n")
    return path


def test_a_file_of_which_nothing_was_held_out_has_no_unseen_rows(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """Beside a test file a fifth of the training rows was scored, as if it had been held out."""
    train, test = table(tmp_path / "a.csv", rng, 20), table(tmp_path / "b.csv", rng, 10)
    for options in ({"test": test}, {"test": test, "corruption": "shuffled-pixels"}, {"n_test": 0}):
        result = Experiment(train=train, ridge=0.1, **options).run()
        with pytest.raises(InputError, match=r"^dataset: got .*a.csv, all of whose rows were trained on"):
            unseen_test_rows(result, str(train), None, None, Silent())
    assert unseen_test_rows(result, str(test), None, None, Silent()).n_test == 2


def test_a_file_that_is_spelt_otherwise_is_the_same(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fifth of the training rows was scored, as if it had been held out: by a link, and by `..` in the run's path."""
    train, below = table(tmp_path / "a.csv", rng, 20), tmp_path / "below"
    below.mkdir()
    (below / "link.csv").symlink_to(train)
    monkeypatch.chdir(below)
    result = Experiment(train=Path("../a.csv"), n_test=0, ridge=0.1).run()
    for name in ("link.csv", str(train), "../a.csv"):
        with pytest.raises(
            InputError, match=rf"^dataset: got {re.escape(name)}, all of whose rows were trained on"
        ):
            unseen_test_rows(result, name, None, None, Silent())
    copied = shutil.copyfile(train, tmp_path / "copy.csv")
    assert unseen_test_rows(result, str(copied), None, None, Silent()).n_test == 4


def test_a_test_part_that_was_left_aside_is_unseen(tmp_path: Path, rng: np.random.Generator) -> None:
    """With n_test=0 it was refused, as if it had been trained on."""
    X, own = rng.standard_normal((20, 2)), tmp_path / "own.npz"
    np.savez(own, X_train=X[:14], y_train=X[:14, 0], X_test=X[14:], y_test=X[14:, 0])
    result, progress = Experiment(train=own, n_test=0).run(), Silent()
    dataset = unseen_test_rows(result, str(own), None, None, progress)
    assert_array_equal(dataset.X_test, X[14:])
    assert not any("has changed" in note for note in progress.notes)
    assert len(predict_test_rows(result, dataset, progress).scores) == 6


@pytest.mark.parametrize("corruption", ["true", "shuffled-pixels"])
def test_a_file_that_has_changed_is_said(tmp_path: Path, rng: np.random.Generator, corruption: str) -> None:
    """Of a corrupted run it was not."""
    path = table(tmp_path / "a.csv", rng, 20)
    result = Experiment(train=path, ridge=0.1, corruption=corruption).run(run_dir=tmp_path / "run")
    for changed in (False, True):
        if changed:
            table(path, rng, 20)
        progress = Silent()
        unseen_test_rows(result, str(path), None, None, progress)
        assert any("has changed since it was trained on" in note for note in progress.notes) is changed


def test_booleans_are_the_same_classes_in_every_format(tmp_path: Path, rng: np.random.Generator) -> None:
    """A table's were called False and True, those of arrays 0 and 1: every label was one not trained on."""
    X = rng.standard_normal((12, 2))
    y = X[:, 0] > 0
    lines = [f"{a!r},{b!r},{flag}" for (a, b), flag in zip(X.tolist(), y.tolist(), strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["a,b,y", *lines]) + "\n")
    np.savez(tmp_path / "a.npz", X=X, y=y)
    for train in ("a.csv", "a.npz"):
        result = Experiment(train=tmp_path / train, n_test=0).run()
        assert result.classes == ("False", "True")
        progress = Silent()
        predictions = predict(result, read_rows(tmp_path / "a.npz", result.table), progress)
        assert predictions.errors.error == 0
        assert not any("not trained on" in note for note in progress.notes)


def test_test_rows_are_corrupted_by_the_rows_of_the_run() -> None:
    """They had mean and deviation of all rows of the data set."""
    result, progress = Experiment("digits", n_train=60, n_test=30, corruption="gaussian").run(), Silent()
    dataset = unseen_test_rows(result, "digits", 30, None, progress)
    assert_array_equal(dataset.X_test, result.inputs.load().X_test)
    assert progress.notes[-1] == "the test rows are corrupted as in the run: gaussian"
    assert predict_test_rows(result, dataset, progress).errors.error == result.record["test_error"]


@pytest.mark.parametrize("standardise", [False, True])
def test_new_rows_of_a_run_of_shuffled_pixels_are_shuffled(
    tmp_path: Path, rng: np.random.Generator, standardise: bool
) -> None:
    """They were predicted as they stood, beside rows whose positions are others."""
    X, parts = rng.standard_normal((50, 2, 3, 2)), {"a.npz": slice(0, 40), "b.npz": slice(40, 50)}
    for name, part in parts.items():
        np.savez(tmp_path / name, X=X[part], y=X[part].sum(axis=(1, 2)) @ [1.0, 3.0])
    given = {"train": tmp_path / "a.npz", "test": tmp_path / "b.npz", "seed": 3, "standardise": standardise}
    result = Experiment(**given, kernel="linear", ridge=0.1, corruption="shuffled-pixels").run(
        tmp_path / "run"
    )
    rows = read_rows(tmp_path / "b.npz")
    for each in (result, Experiment.load(tmp_path / "run")):
        progress = Silent()
        predictions = predict(each, rows, progress)
        assert predictions.errors.rmse == result.record["test_rmse"]
        assert "b.npz: pixels are moved as in the run: shuffled-pixels" in progress.notes
        assert_array_equal(each.predict(rows.X), predictions.scores)
    if not standardise:
        sparse = result.predict(scipy.sparse.coo_array(rows.X))
        np.testing.assert_allclose(sparse, predictions.scores, rtol=1e-10, atol=1e-10)
    assert_array_equal(
        Experiment.load(tmp_path / "run").predict(rows.X, return_std=True)[0], predictions.scores
    )


def test_rows_beside_a_run_that_drew_each_of_its_own_are_said_to_be_uncorrupted() -> None:
    result, progress = Experiment("digits", n_train=60, n_test=30, corruption="random-pixels").run(), Silent()
    result.predict(result.inputs.data.load(0, Silent()).X_test, progress)
    assert progress.notes == [
        "rows: taken as they stand; random-pixels of the run drew each of its rows on its own"
    ]


def test_names_that_are_no_text_are_written_as_their_bytes(tmp_path: Path) -> None:
    """A file name of Latin-1 bytes was a UnicodeEncodeError."""
    names = tuple(b"caf\xe9.png".decode("utf-8", "surrogateescape") for _ in range(2))
    scores = np.array([[1.0, 0.0], [0.0, 1.0]])
    decided = np.array(names)
    Predictions(scores, decided, (names[0], "b"), ids=names).write(tmp_path / "out.csv")
    header, first, _ = (tmp_path / "out.csv").read_bytes().splitlines()
    assert header == b"id,class,score caf\xe9.png,score b"
    assert first == b"caf\xe9.png,caf\xe9.png,1.0,0.0"


def test_rows_that_lack_a_value_are_not_predicted_and_named(tmp_path: Path, rng: np.random.Generator) -> None:
    """One of them refused the whole file."""
    result = Experiment(train=table(tmp_path / "a.csv", rng, 20), n_test=0, ridge=0.1).run()
    (tmp_path / "new.csv").write_text("id,a,b,price\np,0.1,0.2,0.3\nq,,0.2,0.3\nr,0.3,0.1,0.4\ns,0.5,NA,1\n")
    progress = Silent()
    predictions = predict(result, read_rows(tmp_path / "new.csv", result.table), progress)
    said = "new.csv: 2 of 4 rows are not predicted, as values are missing in columns 'a', 'b': lines 3, 5"
    assert said in progress.notes
    (tmp_path / "whole.csv").write_text("id,a,b,price\np,0.1,0.2,0.3\nr,0.3,0.1,0.4\n")
    whole = predict(result, read_rows(tmp_path / "whole.csv", result.table), Silent())
    assert_array_equal(predictions.scores[[0, 2]], whole.scores)
    assert predictions.errors == whole.errors
    record = predictions.record(tmp_path, {}, "")
    assert (record["n_rows"], record["n_not_predicted"]) == (4, 2)
    predictions.write(tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["id", "p", "q", "r", "s"]
    assert (lines[2], lines[4]) == ("q,", "s,")
    (tmp_path / "none.csv").write_text("a,b\n1,\n,2\n")
    with pytest.raises(
        DataError, match=r"some row without a missing value, found one in each, columns 'a', 'b'"
    ):
        predict(result, read_rows(tmp_path / "none.csv", result.table), Silent())


@pytest.mark.parametrize("name", ["new.npy", "new.npz"])
def test_rows_of_arrays_that_lack_a_value_have_no_class(tmp_path: Path, name: str) -> None:
    result = Experiment("digits", n_train=60, n_test=0, gamma=0.1, threads=1).run()
    X = datasets.load("digits").X_test[:3].astype(np.float64)
    X[1, 5] = np.nan
    np.save(tmp_path / name, X) if name.endswith("npy") else np.savez(tmp_path / name, X=X)
    progress = Silent()
    predictions = predict(result, read_rows(tmp_path / name, None), progress)
    said = "1 of 3 rows is not predicted, as values are missing in columns '5': row (counted from 0) 1"
    assert f"{name}: {said}" in progress.notes
    assert predictions.decided[1] is None
    assert None not in predictions.decided[[0, 2]]
    predictions.write(tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[2] == "1" + "," * 11


@pytest.mark.parametrize("suffix", ["csv", "npz"])
def test_rows_that_have_a_label_are_scored_where_others_have_none(
    tmp_path: Path, rng: np.random.Generator, suffix: str
) -> None:
    """One missing label left all of them without a score; of arrays the file was refused."""
    result = Experiment(train=table(tmp_path / "a.csv", rng, 20), n_test=0, ridge=0.1).run()
    X, y = rng.uniform(-1, 1, (4, 2)), np.array([0.5, np.nan, 0.25, np.nan])
    X[3, 0] = np.nan

    def predicted(rows: list[int], y: np.ndarray) -> tuple[Predictions, list[str]]:
        path, progress = tmp_path / f"new.{suffix}", Silent()
        if suffix == "npz":
            np.savez(path, X=X[rows], y=y[rows])
        else:
            cells = [
                ",".join("" if v != v else repr(v) for v in (*X[row].tolist(), float(y[row]))) for row in rows
            ]
            path.write_text("\n".join(["a,b,price", *cells]) + "\n")
        return predict(result, read_rows(path, result.table), progress), progress.notes

    some, notes = predicted([0, 1, 2, 3], y)
    where = "lines 3, 5" if suffix == "csv" else "rows (counted from 0) 1, 3"
    assert f"new.{suffix}: 2 of 4 rows are not scored, as their labels are missing: {where}" in notes
    assert some.errors.rmse == pytest.approx(predicted([0, 2], y)[0].errors.rmse, rel=1e-12)
    assert some.n_not_predicted == 1
    none, notes = predicted([0, 1], np.full(4, np.nan))
    assert f"new.{suffix}: rows are not scored, as all labels are missing" in notes
    assert none.errors == Errors()


@pytest.mark.parametrize("suffix", ["csv", "npz"])
def test_rows_of_a_class_are_scored_where_others_have_none(tmp_path: Path, suffix: str) -> None:
    X, y = np.arange(8.0)[:, None], np.array(["u", "v"] * 4)
    np.savez(tmp_path / "a.npz", X=X, y=y)
    (tmp_path / "a.csv").write_text(
        "x,y\n" + "".join(f"{x},{label}\n" for (x,), label in zip(X, y, strict=True))
    )
    result = Experiment(train=tmp_path / f"a.{suffix}", n_test=0, gamma=1.0).run()
    np.savez(tmp_path / "new.npz", X=X[:3], y=np.array(["u", "", "u"]))
    (tmp_path / "new.csv").write_text("x,y\n0,u\n1,\n2,u\n")
    for _ in range(2):
        progress = Silent()
        predictions = predict(result, read_rows(tmp_path / f"new.{suffix}", result.table), progress)
        assert predictions.errors.error == 0
        assert any("1 of 3 rows is not scored, as its label is missing: " in note for note in progress.notes)
        assert predictions.decided.tolist() == ["u", "v", "u"]
        # As empty cells are written, too: it was an error of the class "?".
        np.savez(tmp_path / "new.npz", X=X[:3], y=np.array(["u", "?", "u"]))
        (tmp_path / "new.csv").write_text("x,y\n0,u\n1,?\n2,u\n")


def test_rows_of_another_width_are_named_as_rows(tmp_path: Path) -> None:
    """The message named X, which no command line has."""
    result = Experiment("digits", n_train=60, n_test=0, gamma=0.1, threads=1).run()
    np.save(tmp_path / "p.npy", np.ones((3, 5)))
    with pytest.raises(InputError, match=r"^rows: got 5 values a row, expected 64 as trained on"):
        predict(result, read_rows(tmp_path / "p.npy"), Silent())
