"""`kernelfit predict`: what was kept answers for new rows."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from kernelfit import Experiment, datasets
from kernelfit.cli import root
from kernelfit.datasets.new_rows import read_rows
from kernelfit.errors import DataError, InputError, KernelfitError
from kernelfit.experiments import predictions
from kernelfit.progress import Silent


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(root, list(arguments), catch_exceptions=False)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("kept") / "digits"
    assert invoke("solve", "--n", "400", "--out", str(out)).exit_code == 0
    return out


@pytest.fixture(scope="module")
def smooth(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, np.ndarray]:
    """A kept regression with two targets, its rows and its targets."""
    folder = tmp_path_factory.mktemp("smooth")
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (120, 2))
    Y = np.column_stack([np.sin(X[:, 0]), X[:, 1] ** 2])
    np.savez(folder / "data.npz", X_train=X[:100], y_train=Y[:100], X_test=X[100:], y_test=Y[100:])
    out = folder / "kept"
    arguments = ["--train", str(folder / "data.npz"), "--gamma", "1", "--ridge", "1e-10", "--out", str(out)]
    assert invoke("solve", *arguments).exit_code == 0
    return out, X[100:], Y[100:]


def predict(*arguments: str) -> dict[str, Any]:
    result = invoke("predict", *arguments, "--json", "-")
    assert result.exit_code == 0, result.stderr
    record: dict[str, Any] = json.loads(result.stdout)
    return record


def test_a_table_of_other_columns_than_were_trained_on_is_told_their_number(
    digits: Path, tmp_path: Path
) -> None:
    """The first word in it was to be mended."""
    (tmp_path / "new.csv").write_text("rooms,area,town\n3,100,Aachen\n2,70,Berlin\n")
    with pytest.raises(DataError, match=r"expected 64 columns, as many as .*, found 3$"):
        invoke("predict", str(digits), "--rows", str(tmp_path / "new.csv"))


def test_a_data_set_gives_the_error_of_the_solve(digits: Path) -> None:
    kept = json.loads((digits / "result.json").read_text())
    record = predict(str(digits), "--dataset", "digits")
    assert record["test_error"] == kept["test_error"]
    assert record["n_rows"] == 360
    assert set(record["predictions"]) <= set(map(str, range(10)))


def test_rows_held_out_by_the_solve_are_the_test_rows(tmp_path: Path, rng: np.random.Generator) -> None:
    X = rng.normal(size=(60, 5))
    np.savez(tmp_path / "own.npz", X=X, y=(X[:, 0] > 0).astype(int))
    own, out = str(tmp_path / "own.npz"), tmp_path / "kept"
    assert invoke("solve", "--train", own, "--seed", "5", "--out", str(out)).exit_code == 0
    kept = json.loads((out / "result.json").read_text())
    assert kept["test_error"] > 0  # rows that the solution was fitted to have none
    assert predict(str(out), "--dataset", own)["test_error"] == kept["test_error"]


@pytest.mark.parametrize("kind", ["npy", "csv", "csv with header", "tsv"])
def test_rows_from_a_file(digits: Path, tmp_path: Path, kind: str) -> None:
    data = datasets.load("digits", n_test=25)
    path = tmp_path / f"rows.{kind[:3]}"
    if kind == "npy":
        np.save(path, data.X_test)
    else:
        header = ",".join(f"pixel{k}" for k in range(64)) if kind == "csv with header" else ""
        mark = "\t" if kind == "tsv" else ","
        np.savetxt(path, data.X_test, delimiter=mark, fmt="%d", header=header, comments="")
    record = predict(str(digits), "--rows", str(path))
    assert record["test_error"] is None
    assert (
        record["predictions"] == predict(str(digits), "--dataset", "digits", "--n-test", "25")["predictions"]
    )


def test_features_are_fitted_again_on_the_same_rows(tmp_path: Path) -> None:
    out = tmp_path / "kept"
    arguments = ["--n", "200", "--features", "gabor", "--option", "wavelengths=3,5", "--out", str(out)]
    assert invoke("solve", *arguments).exit_code == 0
    kept = json.loads((out / "result.json").read_text())
    assert predict(str(out), "--dataset", "digits")["test_error"] == kept["test_error"]
    rows = np.zeros((3, 64))
    rows[1, 5] = np.nan
    np.save(tmp_path / "nan.npy", rows)
    lacking = predict(str(out), "--rows", str(tmp_path / "nan.npy"))
    assert (lacking["n_not_predicted"], lacking["predictions"][1]) == (1, None)
    rows[1, 5] = np.inf
    np.save(tmp_path / "inf.npy", rows)
    refused(InputError, "rows: got inf at row 1, column 5", str(out), "--rows", str(tmp_path / "inf.npy"))


def test_regression_values_and_files(smooth: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    kept, X, Y = smooth
    np.save(tmp_path / "rows.npy", X)
    scores = tmp_path / "scores.npy"
    record = predict(str(kept), "--rows", str(tmp_path / "rows.npy"), "--out", str(scores))
    assert np.allclose(record["predictions"], Y, atol=0.02)
    assert np.array_equal(np.load(scores), record["predictions"])
    text = tmp_path / "values.csv"
    predict(str(kept), "--rows", str(tmp_path / "rows.npy"), "--out", str(text))
    assert text.read_text().splitlines()[0] == "id,value 0,value 1"
    written = np.loadtxt(text, delimiter=",", skiprows=1)
    assert written[:, 0].tolist() == list(range(20))
    assert np.array_equal(written[:, 1:], record["predictions"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.npy", "scores.npy", "values.csv"]


def test_the_table_counts_classes(digits: Path) -> None:
    text = invoke("predict", str(digits), "--dataset", "digits").stdout
    assert "test error" in text
    assert "classes" in text


def test_a_solution_file_alone_takes_its_classes_from_the_data(digits: Path, tmp_path: Path) -> None:
    kept = json.loads((digits / "result.json").read_text())
    alone = shutil.copy(digits / "solution.h5", tmp_path)
    assert predict(alone, "--dataset", "digits")["test_error"] == kept["test_error"]
    np.save(tmp_path / "rows.npy", np.zeros((5, 64)))
    record = predict(alone, "--rows", str(tmp_path / "rows.npy"))
    assert np.shape(record["predictions"]) == (5, 10)


def test_the_solution_file_of_a_run_is_read_with_its_columns_and_their_scaling(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("a,b,y\n" + "".join(f"{row},{row % 5 * 100},{row}.5\n" for row in range(20)))
    out = tmp_path / "run"
    words = ("--train", str(table), "--kernel", "laplacian", "--standardise", "--out", str(out))
    assert invoke("solve", *words).exit_code == 0
    (tmp_path / "new.csv").write_text("b,a\n100,1\n")
    expected = predict(str(out), "--rows", str(tmp_path / "new.csv"))["predictions"]
    assert predict(str(out / "solution.h5"), "--rows", str(tmp_path / "new.csv"))["predictions"] == expected
    np.save(tmp_path / "words.npy", np.array([["a", "b"]]))
    refused(
        DataError, "numbers in the array, found dtype <U1", str(out), "--rows", str(tmp_path / "words.npy")
    )
    new = str(tmp_path / "new.csv")
    refused(
        InputError,
        r"--out: got .*new\.csv, which is read and would be lost",
        str(out),
        "--rows",
        new,
        "--out",
        new,
    )
    assert (tmp_path / "new.csv").read_text() == "b,a\n100,1\n"


def test_no_rows_to_predict_are_refused(digits: Path, smooth: tuple[Path, np.ndarray, np.ndarray]) -> None:
    own = str(smooth[0].parent / "data.npz")
    for folder, name in ((digits, "digits"), (smooth[0], own)):
        words = (str(folder), "--dataset", name, "--n-test", "0")
        refused(InputError, "--n-test: got 0, expected at least 1", *words)


def test_data_of_another_kind_are_refused(digits: Path, smooth: tuple[Path, np.ndarray, np.ndarray]) -> None:
    own = str(smooth[0].parent / "data.npz")
    assert predict(str(smooth[0]), "--dataset", own)["test_rmse"] < 0.02
    refused(InputError, "classes", str(digits), "--dataset", own)
    refused(InputError, "classes", str(smooth[0]), "--dataset", "digits")


def refused(error: type[KernelfitError], match: str, *arguments: str) -> None:
    with pytest.raises(error, match=match):
        invoke("predict", *arguments)


def test_bad_input_is_named(digits: Path, tmp_path: Path) -> None:
    wide = tmp_path / "wide.npy"
    np.save(wide, np.zeros((3, 7)))
    refused(
        InputError, "^--rows: got 7 values a row, expected 64 as trained on", str(digits), "--rows", str(wide)
    )
    refused(InputError, "give one of them", str(digits))
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    refused(
        DataError, r"begins with 'a,b', expected 'kernelfit", str(tmp_path / "rows.csv"), "--rows", str(wide)
    )
    refused(InputError, "give one of them", str(digits), "--rows", str(wide), "--dataset", "digits")
    refused(InputError, "--n-test", str(digits), "--rows", str(wide), "--n-test", "1")
    refused(InputError, "--data-dir", str(digits), "--rows", str(wide), "--data-dir", str(tmp_path))
    refused(InputError, "no file", str(digits), "--rows", str(tmp_path / "none.npy"))
    refused(InputError, r"solution\.h5", str(tmp_path), "--rows", str(wide))
    refused(InputError, r"\.npy or \.csv", str(digits), "--rows", str(wide), "--out", str(tmp_path / "a.txt"))
    words = tmp_path / "words.csv"
    words.write_text("1,2\n3,four\n")
    refused(DataError, "words.csv", str(digits), "--rows", str(words))


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff1,2\n3,4\n",
        "\ufeffa,b\n1,2\n3,4\n",
        "1;2\n3;4\n",
        '"a","b"\n"1","2"\n"3","4"\n',
        "0,b\n1,2\n3,4\n",
    ],
)
def test_csv_rows_are_found_as_those_of_data_sets_are(tmp_path: Path, text: str) -> None:
    (tmp_path / "rows.csv").write_text(text, encoding="utf-8")
    assert read_rows(tmp_path / "rows.csv").X.tolist() == [[1, 2], [3, 4]]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, np.ndarray]:
    """A kept solution of a table with columns a, b, c of different meaning and the label price, and new rows of it."""
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(3)
    X = rng.uniform(-1, 1, (120, 3))
    y = X @ [1.0, 10.0, 100.0]
    _table(folder / "train.csv", {"a": X[:100, 0], "b": X[:100, 1], "c": X[:100, 2], "price": y[:100]})
    out = folder / "kept"
    arguments = [
        "--train",
        str(folder / "train.csv"),
        "--gamma",
        "0.1",
        "--ridge",
        "1e-10",
        "--out",
        str(out),
    ]
    assert invoke("solve", *arguments).exit_code == 0
    return out, X[100:], y[100:]


def _table(path: Path, columns: dict[str, Any]) -> str:
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_columns_are_found_by_their_names(table: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    kept, X, y = table
    a, b, c = X.T
    right = predict(str(kept), "--rows", _table(tmp_path / "abc.csv", {"a": a, "b": b, "c": c}))
    assert np.allclose(np.ravel(right["predictions"]), y, atol=0.1)
    for order in ("cba", "bca"):
        columns = {name: dict(zip("abc", X.T, strict=True))[name] for name in order}
        record = predict(str(kept), "--rows", _table(tmp_path / f"{order}.csv", columns))
        assert record["predictions"] == right["predictions"]
    refused(DataError, "found no c", str(kept), "--rows", _table(tmp_path / "ab.csv", {"a": a, "b": b}))
    np.savetxt(tmp_path / "plain.csv", X, delimiter=",")
    result = invoke("predict", str(kept), "--rows", str(tmp_path / "plain.csv"), "--json", "-")
    assert "columns are taken in their order" in result.stderr
    assert np.allclose(json.loads(result.stdout)["predictions"], right["predictions"])


def test_a_label_column_scores_the_rows_and_others_are_left_aside(
    table: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    kept, X, y = table
    a, b, c = X.T
    names = [f"house {row}" for row in range(len(y))]
    columns = {"note": names, "price": y, "c": c, "HouseId": names, "b": b, "a": a}
    out = tmp_path / "predicted.csv"
    path = _table(tmp_path / "labelled.csv", columns)
    result = invoke("predict", str(kept), "--rows", path, "--out", str(out), "--json", "-")
    record = json.loads(result.stdout)
    assert "columns left aside, which the training rows lack: note" in result.stderr
    assert record["test_rmse"] == pytest.approx(np.sqrt(np.mean((np.ravel(record["predictions"]) - y) ** 2)))
    lines = out.read_text().splitlines()
    assert lines[0] == "HouseId,price"
    assert [line.split(",")[0] for line in lines[1:]] == names
    assert [float(line.split(",")[1]) for line in lines[1:]] == np.ravel(record["predictions"]).tolist()


def test_names_with_commas_and_quotes_are_quoted(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    kinds = ['a "large" one', "one, small", "plain"] * 20
    frame = pandas.DataFrame({"id": kinds, "a": np.arange(60) % 3 + 0.01 * np.arange(60), "kind": kinds})
    frame.to_csv(tmp_path / "own.csv", index=False)
    out, predicted = str(tmp_path / "run"), tmp_path / "predicted.csv"
    assert (
        invoke("solve", "--train", str(tmp_path / "own.csv"), "--ridge", "0.1", "--out", out).exit_code == 0
    )
    record = predict(out, "--rows", str(tmp_path / "own.csv"), "--out", str(predicted))
    written = pandas.read_csv(predicted)
    assert written["id"].tolist() == kinds
    assert written["kind"].tolist() == record["predictions"]
    assert list(written.columns[2:]) == [f"score {name}" for name in sorted(set(kinds))]


def test_labels_of_words_do_not_score_numbers(
    table: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    kept, X, _ = table
    for prices, said in (
        (
            ["cheap", "dear"] * 10,
            "20 of 20 labels are words and the solution's are numbers: 'cheap' in line 2",
        ),
        (["1.5", "", "NA", "n.d.", *"1234" * 4], "1 of 20 labels is a word and .*: 'n.d.' in line 5"),
    ):
        columns = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "price": prices}
        result = invoke(
            "predict", str(kept), "--rows", _table(tmp_path / "words.csv", columns), "--json", "-"
        )
        assert re.search(f"rows are not scored, as {said}", " ".join(result.stderr.split()))
        assert "missing" not in result.stderr
        assert json.loads(result.stdout)["test_rmse"] is None


def test_a_frame_is_predicted_by_the_names_of_its_columns(
    table: tuple[Path, np.ndarray, np.ndarray],
) -> None:
    pandas = pytest.importorskip("pandas")
    kept, X, y = table
    loaded = Experiment.load(kept)
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    right = loaded.predict(X)
    assert np.allclose(right[:, 0], y, atol=0.1)
    assert np.array_equal(loaded.predict(frame[["c", "a", "b"]].assign(z=1.0)), right)
    with pytest.raises(
        InputError, match="rows: got no column b, expected the columns that were trained on, a, b, c"
    ):
        loaded.predict(frame[["a", "c"]])


def test_a_test_table_has_its_columns_in_any_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    X, z = rng.uniform(-1, 1, (80, 2)), rng.uniform(-1, 1, (30, 2))
    train = _table(tmp_path / "train.csv", {"a": X[:, 0], "b": X[:, 1], "y": X @ [1.0, 50.0]})
    test = _table(tmp_path / "test.csv", {"y": z @ [1.0, 50.0], "b": z[:, 1], "a": z[:, 0]})
    arguments = [
        "solve",
        "--train",
        train,
        "--test",
        test,
        "--gamma",
        "0.1",
        "--ridge",
        "1e-10",
        "--json",
        "-",
    ]
    assert json.loads(invoke(*arguments).stdout)["test_rmse"] < 0.1


def test_another_table_of_other_columns_is_no_data_set_of_the_solution(
    table: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    kept, X, y = table
    columns = {"c": X[:, 2], "b": X[:, 1], "a": X[:, 0], "price": y}
    refused(InputError, "columns c, b, a", str(kept), "--dataset", _table(tmp_path / "other.csv", columns))


def test_whatever_train_takes_is_predicted_and_scored(tmp_path: Path) -> None:
    data = datasets.load("digits", n_train=150, n_test=40)
    np.savez(tmp_path / "train.npz", X=data.X_train, y=data.y_train)
    out = str(tmp_path / "run")
    test = tmp_path / "test.npz"
    np.savez(test, X=data.X_test, y=data.y_test)
    arguments = ["--train", str(tmp_path / "train.npz"), "--test", str(test), "--out", out]
    assert invoke("solve", *arguments).exit_code == 0
    error = json.loads((tmp_path / "run" / "result.json").read_text())["test_error"]
    np.savez(tmp_path / "unlabelled.npz", X=data.X_test)
    with h5py.File(tmp_path / "test.h5", "w") as file:
        file["X"], file["y"] = data.X_test, data.y_test
    labels = [f"{row.tolist()[0]}" for row in data.y_test[:, None]]
    columns = {f"p{k}": data.X_test[:, k] for k in range(64)} | {"label": labels}
    records = [
        predict(out, "--rows", str(path))
        for path in (test, tmp_path / "test.h5", tmp_path / "unlabelled.npz")
    ]
    assert [record["test_error"] for record in records] == [error, error, None]
    assert records[0]["predictions"] == records[1]["predictions"] == records[2]["predictions"]
    table_kept = str(tmp_path / "of a table")
    train = _table(
        tmp_path / "train.csv",
        {f"p{k}": data.X_train[:, k] for k in range(64)} | {"label": data.y_train},
    )
    path = _table(tmp_path / "test.csv", columns)
    assert invoke("solve", "--train", train, "--test", path, "--out", table_kept).exit_code == 0
    scored = tmp_path / "scored.csv"
    record = predict(table_kept, "--rows", path, "--out", str(scored))
    kept = json.loads((tmp_path / "of a table" / "result.json").read_text())
    assert record["test_error"] == kept["test_error"]
    header, first, *_ = scored.read_text().splitlines()
    assert header == "id,label," + ",".join(f"score {k}" for k in range(10))
    assert first.split(",")[:2] == ["0", record["predictions"][0]]


def test_one_hot_labels_are_scored_as_they_are_trained_on(tmp_path: Path, rng: np.random.Generator) -> None:
    codes = np.arange(45) % 3
    X, y = rng.normal(size=(45, 2)) + 9 * np.eye(3, 2)[codes], np.eye(3)[codes]
    np.savez(tmp_path / "a.npz", X=X[:30], y=y[:30])
    np.savez(tmp_path / "b.npz", X=X[30:], y=np.roll(y[30:], 1, axis=0))
    experiment = Experiment(train=tmp_path / "a.npz", n_test=0, task="classification", gamma=0.1, threads=1)
    result = experiment.run()
    notes = Silent()
    rows = read_rows(tmp_path / "b.npz")
    scored = predictions.predict(result, rows, notes)
    decided = np.array([int(name) for name in scored.decided])
    np.testing.assert_array_equal(decided, codes[30:])
    assert scored.errors.error == 1  # every label is another row's
    assert "b.npz: each row of labels is a single 1 among zeros, taken as its class" in notes.notes
    with pytest.raises(
        InputError, match=r"^rows: got labels of shape \(15, 3\) in .*, expected one class a row"
    ):
        predictions.predict(result, replace(rows, y=rows.y + 1), notes)


def test_a_class_that_was_not_trained_on_is_an_error(digits: Path, tmp_path: Path) -> None:
    data = datasets.load("digits", n_test=10)
    labels = data.y_test.copy()
    labels[:5] = 11
    np.savez(tmp_path / "rows.npz", X=data.X_test, y=labels)
    result = invoke("predict", str(digits), "--rows", str(tmp_path / "rows.npz"), "--json", "-")
    assert json.loads(result.stdout)["test_error"] >= 0.5
    assert "classes that were not trained on count as errors: 11" in result.stderr


def test_a_first_row_with_a_missing_value_is_not_dropped(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("1,,3\n4,5,6\n")
    refused(DataError, "rows.csv", str(digits), "--rows", str(tmp_path / "rows.csv"))


@pytest.mark.parametrize("shape", [(0, 64), (0, 8, 8), (0,)])
def test_a_file_without_rows_is_named(digits: Path, tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "none.npy", np.zeros(shape))
    refused(DataError, "none.npy: has no rows", str(digits), "--rows", str(tmp_path / "none.npy"))


def test_a_forged_header_takes_no_memory(digits: Path, tmp_path: Path) -> None:
    path = tmp_path / "forged.npy"
    header = np.lib.format.header_data_from_array_1_0(np.zeros((1, 1))) | {"shape": (10**12, 64)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(64))
    refused(DataError, "forged.npy", str(digits), "--rows", str(path))


def test_pickled_objects_are_never_loaded(digits: Path, tmp_path: Path) -> None:
    path = tmp_path / "objects.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refused(DataError, "objects.npy", str(digits), "--rows", str(path))


def test_a_damaged_result_is_named(digits: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "solution.h5").write_bytes((digits / "solution.h5").read_bytes())
    (kept / "result.json").write_text("[1, 2")
    refused(DataError, "result.json", str(kept), "--dataset", "digits")
    (kept / "result.json").write_text("[1, 2]")
    refused(DataError, "expected the record", str(kept), "--dataset", "digits")


def test_a_file_that_changed_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    X = rng.uniform(-1, 1, (40, 2))
    columns = {"a": X[:, 0], "b": X[:, 1], "z": X @ [1.0, 5.0]}
    own, out = _table(tmp_path / "own.csv", columns), str(tmp_path / "run")
    assert invoke("solve", "--train", own, "--out", out).exit_code == 0
    for command in (["predict", out, "--dataset", own], ["resume", out]):
        assert "own.csv has changed" not in invoke(*command).stderr
    _table(tmp_path / "own.csv", {name: values[::-1] for name, values in columns.items()})
    result = invoke("predict", out, "--dataset", own)
    assert "own.csv has changed since it was trained on" in result.stderr
    result = invoke("resume", out, "--json", "-")
    assert "no test error, as the training rows of" in result.stderr
    assert "test_rmse" not in json.loads(result.stdout)


def test_what_was_said_of_files_holds_for_those_that_are_predicted(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    X = rng.uniform(-1, 1, (60, 2))
    kinds = np.where(X[:, 0] > 0, "yes", "no")
    columns = {"kind": kinds, "a": X[:, 0], "note": ["x"] * 60, "b": X[:, 1]}
    own, out = _table(tmp_path / "own.csv", columns), str(tmp_path / "run")
    assert invoke("solve", "--train", own, "--target", "kind", "--drop", "note", "--out", out).exit_code == 0
    kept = json.loads((tmp_path / "run" / "result.json").read_text())
    assert "--target kind --drop note" in kept["command"]
    assert predict(out, "--dataset", own)["test_error"] == kept["test_error"]
    scored = predict(out, "--rows", own)
    assert scored["test_error"] == pytest.approx(kept["test_error"] * 12 / 60)
    assert set(scored["predictions"]) == {"yes", "no"}
    # The label may stand anywhere, or nowhere.
    assert (
        predict(out, "--rows", _table(tmp_path / "new.csv", {"b": X[:, 1], "a": X[:, 0]}))["test_error"]
        is None
    )
    resumed = invoke("resume", out, "--json", "-")
    assert json.loads(resumed.stdout)["test_error"] == kept["test_error"]


def test_arrays_of_other_names_are_predicted(tmp_path: Path) -> None:
    data = datasets.load("digits", n_train=150, n_test=40)
    own, out = tmp_path / "own.npz", str(tmp_path / "run")
    np.savez(own, a=data.X_train, b=data.y_train, c=data.X_test, d=data.y_test)
    keys = "X_train=a,y_train=b,X_test=c,y_test=d"
    assert invoke("solve", "--train", str(own), "--keys", keys, "--out", out).exit_code == 0
    kept = json.loads((tmp_path / "run" / "result.json").read_text())
    assert predict(out, "--rows", str(own))["test_error"] == kept["test_error"]
    np.savez(tmp_path / "rows.npz", c=data.X_test)
    assert predict(out, "--rows", str(tmp_path / "rows.npz"))["test_error"] is None
    assert predict(out, "--dataset", str(own))["test_error"] == kept["test_error"]


def test_diabetes_is_a_regression(tmp_path: Path) -> None:
    from sklearn.datasets import load_diabetes
    from sklearn.metrics import mean_absolute_error, r2_score

    X, y = load_diabetes(return_X_y=True, scaled=False)
    columns = {f"c{index}": X[:, index] for index in range(10)} | {"progression": y.astype(int)}
    own, out = _table(tmp_path / "diabetes.csv", columns), str(tmp_path / "run")
    result = invoke("solve", "--train", own, "--standardise", "--ridge", "1", "--loo", "--out", out)
    assert "holds 214 different integers in 442 rows, taken as numbers (regression)" in result.stderr
    for name in ("test RMSE", "train RMSE", "leave-one-out RMSE"):
        line = next(line for line in result.stdout.splitlines() if line.startswith(name))
        assert "R² " in line
        assert "MAE " in line
    kept = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (kept["task"], kept["test_error"]) == ("regression", None)
    assert kept["test_r2"] > 0.3
    assert kept["loo_r2"] > 0.3
    record = predict(out, "--rows", own)
    predicted = np.ravel(record["predictions"])
    assert record["test_r2"] == pytest.approx(r2_score(y, predicted))
    assert record["test_mae"] == pytest.approx(mean_absolute_error(y, predicted))
    assert invoke("solve", "--train", own, "--task", "classification", "--n", "40").exit_code == 0


def test_images_that_are_not_as_those_of_training_are_named(tmp_path: Path, rng: np.random.Generator) -> None:
    def images(name: str, *shape: int) -> Path:
        for folder in (name, f"{name}/a", f"{name}/b"):
            (tmp_path / folder).mkdir(exist_ok=True)
        for index in range(8):
            pixels = rng.integers(0, 256, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / "ab"[index % 2] / f"{index}.png")
        return tmp_path / name

    out, trained = tmp_path / "run", images("trained", 8, 8, 3)
    assert invoke("solve", "--train", str(trained), "--features", "gabor", "--out", str(out)).exit_code == 0
    assert invoke("predict", str(out), "--rows", str(images("same", 8, 8, 3))).exit_code == 0
    wrong = str(images("wrong", 16, 4, 3))
    for option in ("rows", "dataset"):
        message = (
            f"^--{option}: got images of 16 x 4 RGB in wrong, expected 8 x 8 RGB as trained on; resize them"
        )
        with pytest.raises(InputError, match=message):
            invoke("predict", str(out), f"--{option}", wrong)
    np.save(tmp_path / "flat.npy", np.zeros((2, 64)))
    with pytest.raises(InputError, match=r"^--rows: got 64 values a row, expected 192 as trained on"):
        invoke("predict", str(out), "--rows", str(tmp_path / "flat.npy"))


def test_grey_images_beside_a_run_of_rgb_have_three_equal_channels(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """A folder of grey ones alone was refused, where one beside an RGB image was turned into red, green and blue."""

    def images(name: str, *shape: int) -> str:
        for index in range(8):
            (tmp_path / name / "ab"[index % 2]).mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(
                np.full(shape, 30 * index, np.uint8) + rng.integers(0, 20, dtype=np.uint8)
            )
            image.save(tmp_path / name / "ab"[index % 2] / f"{index}.png")
        return str(tmp_path / name)

    runs = {"grey": tmp_path / "run-grey", "rgb": tmp_path / "run-rgb"}
    trained = {"rgb": images("rgb", 6, 6, 3), "grey": images("grey", 6, 6)}
    for name, out in runs.items():
        assert invoke("solve", "--train", trained[name], "--out", str(out)).exit_code == 0
    shutil.copytree(tmp_path / "grey", tmp_path / "equal")
    for path in (tmp_path / "equal").rglob("*.png"):
        Image.open(path).convert("RGB").save(path)
    for option in ("rows", "dataset"):
        found = invoke("predict", str(runs["rgb"]), f"--{option}", trained["grey"])
        assert "grey images were turned into red, green and blue, as trained on" in found.stderr
    grey, equal = (
        predict(str(runs["rgb"]), "--rows", rows) for rows in (trained["grey"], str(tmp_path / "equal"))
    )
    assert grey["predictions"] == equal["predictions"]
    with pytest.raises(InputError, match=r"^--rows: got images of 6 x 6 RGB in rgb, expected 6 x 6 grey"):
        invoke("predict", str(runs["grey"]), "--rows", trained["rgb"])


def test_a_solution_file_alone_says_that_it_knows_no_scaling(digits: Path, tmp_path: Path) -> None:
    rows = datasets.load("digits").X_test[:3]
    np.save(tmp_path / "rows.npy", rows)
    shutil.copy(digits / "solution.h5", tmp_path / "alone.h5")
    said = invoke("predict", str(tmp_path / "alone.h5"), "--rows", str(tmp_path / "rows.npy")).stderr
    assert "note: rows.npy: taken as the solver's own rows" in said
    assert "taken as" not in invoke("predict", str(digits), "--rows", str(tmp_path / "rows.npy")).stderr
