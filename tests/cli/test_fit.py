"""`kernelfit fit` and `kernelfit study kernels`: the table, the JSON, the run that predicts."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from sklearn.datasets import load_iris

import kernelfit
from kernelfit.cli import root
from kernelfit.errors import InputError


def invoke(*arguments: str) -> Result:
    result = CliRunner().invoke(root, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = load_iris()
    path = tmp_path_factory.mktemp("iris") / "iris.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sepal length", "sepal width", "petal length", "petal width", "species"])
        for row, label in zip(data.data.tolist(), data.target_names[data.target], strict=True):
            writer.writerow([*row, label])
    return path


def test_iris_with_text_labels(iris: Path, tmp_path: Path) -> None:
    out, record_path = tmp_path / "run", tmp_path / "record.json"
    options = ("--target", "species", "--kernels", "gaussian,polynomial-2,linear")
    shown = invoke("fit", str(iris), *options, "--out", str(out), "--json", str(record_path)).stdout
    record = json.loads(record_path.read_text())
    assert record["task"] == "classification"
    by_name = {entry["name"]: entry for entry in record["entries"]}
    best = next(entry for entry in record["entries"] if entry["library"] == "kernelfit")
    assert best["loo_error"] <= by_name["KernelRidge grid"]["loo_error"] + 0.02
    assert record["result"]["loo_error"] == best["loo_error"]
    for name in by_name:
        assert name in shown
    assert f"> {best['name']}" in shown
    for line in record["code"]:
        assert line in shown
    # What is stored decides as the printed lines do.
    data = load_iris()
    predicted = json.loads(invoke("predict", str(out), "--rows", str(iris), "--json", "-").stdout)
    assert predicted["test_error"] < 0.06
    assert len(predicted["predictions"]) == len(data.target)


def test_study_kernels_compares_and_solves_nothing(iris: Path) -> None:
    result = invoke(
        *("study", "kernels", "--dataset", str(iris), "--n", "60", "--kernels", "gaussian,arc-cosine"),
        *("--as-they-are", "--no-baselines", "--json", "-"),
    )
    record = json.loads(result.stdout)
    assert (record["rows"], record["of"]) == (60, 120)
    assert {entry["name"] for entry in record["entries"]} == {"gaussian", "arc-cosine"}
    assert all(entry["loo_error"] < 0.2 and entry["test_error"] < 0.2 for entry in record["entries"])
    assert record["winner"]["standardise"] is False
    assert "result" not in record
    assert not np.isnan(record["winner"]["ridge"])


def test_study_kernels_offers_no_option_that_it_does_not_use(iris: Path) -> None:
    for option in ("--tier", "--scratch", "--device", "--device-memory", "--engine", "--scheduler"):
        result = CliRunner().invoke(root, ["study", "kernels", "--dataset", str(iris), option, "cpu"])
        assert f"No such option {option}" in result.output.replace("'", "").replace("option: ", "option ")


def test_one_line_for_what_makes_no_sense(iris: Path) -> None:
    for arguments, message in (
        (("--kernels", "gausian"), "--kernels: got 'gausian', expected some of gaussian"),
        (("--rows", "1"), "--rows: got 1, expected an integer >= 2"),
    ):
        result = CliRunner().invoke(root, ["fit", str(iris), *arguments])
        assert message in str(result.exception)


def test_n_counts_training_rows_as_for_solve(iris: Path) -> None:
    fitted, solved = (
        json.loads(invoke(*words, "--n", "60", "--json", "-").stdout)
        for words in (
            ("fit", str(iris), "--kernels", "gaussian", "--no-baselines"),
            ("solve", "--train", str(iris), "--ridge", "1"),
        )
    )
    assert fitted["result"]["n_train"] == solved["n_train"] == 60
    assert fitted["result"]["n_test"] == solved["n_test"] == 30


def test_columns_of_words_are_encoded_for_the_fit_the_prediction_and_the_printed_lines(
    tmp_path: Path,
) -> None:
    rng, n = np.random.default_rng(0), 80
    frame = pd.DataFrame(
        {"km": rng.normal(1e5, 3e4, n), "fuel": rng.choice(["a", "b", "c"], n, p=[0.6, 0.35, 0.05])}
    )
    frame["price"] = 20 - 1e-4 * frame.km + 5.0 * (frame.fuel == "b") + 0.01 * rng.normal(size=n)
    frame.to_csv(tmp_path / "cars.csv", index=False)
    options = (
        "--target",
        "price",
        "--kernels",
        "gaussian",
        "--no-baselines",
        "--n-test",
        "0",
        "--standardise",
    )
    record = json.loads(
        invoke(
            "fit", str(tmp_path / "cars.csv"), *options, "--out", str(tmp_path / "run"), "--json", "-"
        ).stdout
    )
    assert record["result"]["loo_r2"] > 0.99
    new = frame.head(6)[["fuel", "km"]].replace({"c": "mauve"})
    new.to_csv(tmp_path / "new.csv", index=False)
    predicted = invoke("predict", str(tmp_path / "run"), "--rows", str(tmp_path / "new.csv"), "--json", "-")
    values = np.array(json.loads(predicted.stdout)["predictions"])[:, 0]
    namespace = {"X_train": frame[["km", "fuel"]], "y_train": frame["price"]}
    exec("\n".join(record["code"]), namespace)
    np.testing.assert_allclose(values, namespace["model"].predict(new[["km", "fuel"]]), rtol=1e-5)
    stored = kernelfit.Experiment.load(tmp_path / "run")
    np.testing.assert_array_equal(stored.predict(new)[:, 0], values)
    # What stands for words is not standardised: a rare word would stand apart from all others.
    assert stored.standardisation.scale[1:].tolist() == [1, 1, 1]


@pytest.mark.parametrize("command", [("fit",), ("study", "kernels", "--dataset")])
def test_blanks_after_commas_are_no_part_of_names(command: tuple[str, ...], iris: Path) -> None:
    """They were: ' linear' was no kernel."""
    options = ("--kernels", "gaussian, nothing", "--n-test", "0")
    with pytest.raises(InputError, match=r"^--kernels: got 'nothing', expected some of"):
        CliRunner().invoke(root, [*command, str(iris), *options], catch_exceptions=False)
