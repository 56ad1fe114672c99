"""`kernelfit solve`: the JSON that later work reads, the table that a person reads, the folder that is kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from kernelfit.cli import root
from kernelfit.errors import KernelfitError

CONTRACT = [
    "dataset",
    "n_train",
    "n_test",
    "n_features",
    "features",
    "kernel",
    "ridge",
    "jitter",
    "precision",
    "device",
    "tier",
    "n_rhs",
    "test_error",
    "train_error",
    "rkhs_norm",
    "rkhs_norm_per_class",
    "backward_error",
    "condition_estimate",
    "min_pivot",
    "min_pivot_row",
    "log_det",
    "loo_error",
    "seconds",
    "gflops_factor",
    "peak_rss_bytes",
    "plan",
    "seed",
    "versions",
    "command",
]
SECONDS = ["load", "features", "choose", "gram", "factor", "solve", "predict", "certify", "total"]


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["solve", *arguments], catch_exceptions=False)


def solve(*arguments: str) -> dict[str, Any]:
    result = invoke(*arguments, "--json", "-")
    assert result.exit_code == 0, result.stderr
    record: dict[str, Any] = json.loads(result.stdout)
    return record


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """y = smooth function of two columns, as an NPZ file with a training and a test part."""
    rng = np.random.default_rng(1)
    X = rng.uniform(-1, 1, (300, 2))
    y = np.sin(3 * X[:, 0]) + X[:, 1]
    path = tmp_path_factory.mktemp("data") / "smooth.npz"
    np.savez(path, X_train=X[:200], y_train=y[:200], X_test=X[200:], y_test=y[200:])
    return path


def test_the_contract_on_digits() -> None:
    record = solve()
    assert set(CONTRACT) <= set(record)
    assert set(SECONDS) <= set(record["seconds"])
    assert record["dataset"] == "digits"
    assert record["features"] == "none"
    assert record["kernel"]["name"] == "gaussian"
    assert record["kernel"]["gamma"] > 0
    assert (record["n_train"], record["n_features"], record["n_rhs"]) == (1437, 64, 10)
    assert record["train_error"] == 0.0
    assert 0 < record["test_error"] < 0.05
    assert 0 <= record["backward_error"] < 1e-14
    assert record["loo_error"] is None
    assert record["condition_estimate"] > 1
    assert record["min_pivot"] > 0
    assert 0 <= record["min_pivot_row"] < 1437
    assert record["peak_rss_bytes"] > 50e6
    assert record["plan"]["n"] == 1437
    assert record["command"] == "root solve --json -"
    norms = np.array(record["rkhs_norm_per_class"])
    assert norms.shape == (10,)
    assert np.sqrt(np.sum(norms**2)) == pytest.approx(record["rkhs_norm"], rel=1e-12)
    spent = [record["seconds"][name] for name in SECONDS if name != "total"]
    assert sum(spent) <= record["seconds"]["total"]


@pytest.mark.parametrize("text", ["1000", "1e3", "1k", "1K", "1,000", "1_000", "0.001m"])
def test_rows_are_counted_as_people_write_them(text: str) -> None:
    assert solve("--n", text, "--n-test", "10", "--gamma", "0.1")["n_train"] == 1000


@pytest.mark.parametrize("text", ["1,5k", "1.5", "k", "1e3k3", "nan", "inf", "-"])
def test_what_is_no_count_of_rows_is_refused(text: str) -> None:
    result = invoke(f"--n={text}")
    assert result.exit_code == 2
    assert "expected an integer such as 50000, 5e4 or 50k" in result.stderr


def test_memory_takes_what_the_error_recommends() -> None:
    with pytest.raises(KernelfitError, match="give --memory ") as refused:
        invoke("--n", "1000", "--memory", "1MB")
    recommended = str(refused.value).split("give --memory ")[1].removesuffix(" or more")
    assert solve("--n", "1000", "--memory", recommended)["n_train"] == 1000


def test_the_answer_is_that_of_a_dense_solve() -> None:
    from sklearn.metrics.pairwise import rbf_kernel

    from kernelfit import datasets

    record = solve("--n", "300", "--n-test", "100", "--gamma", "0.1")
    data = datasets.load("digits", n_train=300, n_test=100)
    rows, test = data.X_train * data.scale, data.X_test * data.scale
    K, Y = rbf_kernel(rows, gamma=0.1), np.eye(10)[data.y_train]
    alpha = np.linalg.solve(K, Y)
    assert record["rkhs_norm"] == pytest.approx(np.sqrt(np.sum(Y * alpha)), rel=1e-9)
    assert record["log_det"] == pytest.approx(np.linalg.slogdet(K)[1], rel=1e-9)
    scores = rbf_kernel(test, rows, gamma=0.1) @ alpha
    assert record["test_error"] == np.mean(scores.argmax(axis=1) != data.y_test)


def test_leave_one_out_equals_leaving_rows_out() -> None:
    from kernelfit import datasets
    from kernelfit import solve as solve_rows

    record = solve("--n", "120", "--gamma", "0.1", "--loo")
    data = datasets.load("digits", n_train=120)
    Y = np.eye(10)[data.y_train]
    wrong = 0
    for row in range(120):
        others = np.delete(np.arange(120), row)
        refit = solve_rows(data.X_train[others], Y[others], gamma=0.1, scale=data.scale)
        wrong += refit.predict(data.X_train[row : row + 1]).argmax() != data.y_train[row]
    assert record["loo_error"] == wrong / 120
    assert record["seconds"]["loo"] > 0


def test_standard_output_holds_only_json() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kernelfit", "solve", "--n", "200", "--json", "-"],
        capture_output=True,
        text=True,
        check=True,
    )
    record = json.loads(done.stdout)
    assert record["command"] == "kernelfit solve --n 200 --json -"


def test_the_table_says_what_matters() -> None:
    result = invoke("--n", "300", "--loo")
    assert result.exit_code == 0
    for words in (
        "digits",
        "n = 300",
        "test error",
        "leave-one-out error",
        "RKHS norm",
        "backward error",
        "try next",
    ):
        assert words in result.stdout


def test_json_to_a_file_beside_the_table(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    result = invoke("--n", "200", "--json", str(target))
    assert "test error" in result.stdout
    assert json.loads(target.read_text())["n_train"] == 200


def test_out_keeps_solution_and_result(tmp_path: Path) -> None:
    from kernelfit import datasets, load

    out = tmp_path / "runs" / "first"
    record = solve("--n", "200", "--out", str(out))
    files = ["factor.h5", "journal", "lock", "result.json", "run.h5", "solution.h5"]
    assert sorted(path.name for path in out.iterdir()) == files
    assert [path.name for path in out.parent.iterdir()] == ["first"]
    kept = json.loads((out / "result.json").read_text())
    assert kept["test_error"] == record["test_error"]
    solution = load(out / "solution.h5")
    data = datasets.load("digits", n_train=200)
    assert np.mean(solution.predict(data.X_test).argmax(axis=1) != data.y_test) == record["test_error"]


def test_regression_reports_root_mean_squares(regression: Path) -> None:
    record = solve("--train", str(regression), "--gamma", "1", "--ridge", "1e-10", "--loo")
    assert record["task"] == "regression"
    assert record["test_error"] is None
    assert record["test_rmse"] < 0.01
    assert record["test_r2"] > 0.999
    assert record["train_rmse"] < 1e-4
    assert record["loo_rmse"] < 0.1
    assert record["n_rhs"] == 1


@pytest.mark.parametrize(
    ("options", "kernel"),
    [
        (["--kernel", "laplacian", "--gamma", "0.05"], {"name": "laplacian", "gamma": 0.05}),
        (
            ["--kernel", "matern", "--nu", "2.5", "--length-scale", "2"],
            {"name": "matern", "nu": 2.5, "length_scale": 2.0},
        ),
        (
            ["--kernel", "arc-cosine", "--order", "0", "--depth", "2"],
            {"name": "arc-cosine", "order": 0, "depth": 2},
        ),
        (["--kernel", "ntk", "--depth", "3"], {"name": "ntk", "depth": 3}),
    ],
)
def test_kernels_and_their_parameters(options: list[str], kernel: dict[str, Any]) -> None:
    record = solve("--n", "300", *options)
    assert record["kernel"] == kernel
    assert record["train_error"] == 0.0
    assert record["test_error"] < 0.2


def test_a_length_scale_and_a_ridge_that_are_chosen_are_recorded(regression: Path) -> None:
    record = solve(
        "--train", str(regression), "--kernel", "matern", "--length-scale", "auto", "--ridge", "auto"
    )
    choice = record["gamma_choice"]
    assert choice["parameter"] == "length_scale"
    assert record["kernel"]["length_scale"] == choice["value"]
    assert choice["value"] in [trial["value"] for trial in record["gamma_path"]]
    assert record["ridge_choice"]["ridge"] == record["ridge"]
    result = CliRunner().invoke(root, ["solve", "--n", "30", "--kernel", "matern", "--length-scale", "wide"])
    assert str(result.exception) == "--length-scale: got 'wide', expected a number > 0, 'median' or 'auto'"


def test_features_come_before_the_kernel() -> None:
    plain = solve("--n", "400")
    record = solve("--n", "400", "--features", "gabor", "--option", "stride=2")
    assert record["features"] == "gabor"
    assert record["n_features"] != plain["n_features"]
    assert record["seconds"]["features"] > 0
    assert record["train_error"] == 0.0
    assert record["test_error"] < 0.15


def test_random_filters_take_the_neural_tangent_kernel() -> None:
    record = solve("--n", "100", "--features", "random-conv", "--filters", "80", "--ridge", "1e-6")
    assert record["kernel"] == {"name": "ntk", "depth": 1}
    assert record["n_features"] % (2 * 80) == 0
    assert (
        solve("--n", "100", "--features", "random-conv", "--kernel", "gaussian")["kernel"]["name"]
        == "gaussian"
    )


def test_gamma_auto_never_sees_the_test_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((80, 3)), rng.integers(0, 2, 80)
    chosen = []
    for labels in (y[60:], 1 - y[60:]):
        path = tmp_path / "data.npz"
        np.savez(path, X_train=X[:60], y_train=y[:60], X_test=X[60:], y_test=labels)
        chosen.append(solve("--train", str(path), "--gamma", "auto")["kernel"]["gamma"])
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize("options", [["--precision", "mixed"], ["--tier", "disk"], ["--threads", "1"]])
def test_every_path_gives_the_same_answer(options: list[str]) -> None:
    plain = solve("--n", "400", "--gamma", "0.1")
    other = solve("--n", "400", "--gamma", "0.1", *options)
    assert other["test_error"] == plain["test_error"]
    assert other["rkhs_norm"] == pytest.approx(plain["rkhs_norm"], rel=1e-6)
    assert other["backward_error"] < 1e-14


def test_repeated_rows_are_counted_and_reported(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 3)), rng.integers(0, 2, 40)
    X[7], y[7] = X[3], y[3]
    path = tmp_path / "data.npz"
    np.savez(path, X_train=X[:30], y_train=y[:30], X_test=X[30:], y_test=y[30:])
    result = invoke("--train", str(path), "--json", "-")
    record = json.loads(result.stdout)
    assert (record["n_train"], record["n_distinct"]) == (30, 29)
    assert any("an earlier row" in note for note in record["notes"])
    assert "an earlier row" in result.stderr


@pytest.mark.slow
def test_mnist_ten_thousand_rows(data_dir: Path) -> None:
    record = solve("--dataset", "mnist", "--data-dir", str(data_dir), "--gamma", "0.02", "--n", "10000")
    assert record["test_error"] == pytest.approx(0.0266, abs=0.0002)
    assert record["rkhs_norm"] == pytest.approx(60.5, abs=0.1)
    assert record["backward_error"] < 1e-14
    assert record["train_error"] == 0


def test_mnist_four_thousand_rows(data_dir: Path) -> None:
    record = solve("--dataset", "mnist", "--data-dir", str(data_dir), "--gamma", "0.02", "--n", "4000")
    assert record["test_error"] == pytest.approx(0.0400, abs=0.0002)
    assert record["rkhs_norm"] == pytest.approx(39.4, abs=0.1)
    assert record["min_pivot"] == pytest.approx(1.0e-2, rel=0.05)
