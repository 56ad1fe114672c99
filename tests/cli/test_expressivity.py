"""`kernelfit expressivity`."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from kernelfit.cli import root
from kernelfit.cli.expressivity import command
from kernelfit.expressivity import fit


def run(*arguments):
    result = CliRunner().invoke(root, ["expressivity", *arguments], catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_json_has_the_promised_keys():
    result = run("--dataset", "digits", "--n", "400", "--depth", "2,3,5", "--json", "-")
    record = json.loads(result.stdout)
    about = {"dataset", "n", "d", "labels", "crop", "variant", "theta", "seed", "command"}
    assert set(record) == {"depths"} | about
    assert (record["dataset"], record["n"], record["d"]) == ("digits", 400, 64)
    assert [row["depth"] for row in record["depths"]] == [2, 3, 5]
    for row in record["depths"]:
        assert list(row) == ["depth", "width", "weights", "accuracy", "max_error", "seconds"]
        assert row["accuracy"] == 1.0
        assert row["max_error"] < 1e-6
    assert record["depths"][0]["weights"] == 2 * 400 + 64


def test_table_and_file(tmp_path):
    target = tmp_path / "out.json"
    result = run(
        "--dataset", "digits", "--n", "100", "--labels", "true", "--depth", "2", "--json", str(target)
    )
    assert "100.00%" in result.stdout
    assert json.loads(target.read_text())["depths"][0]["width"] == 100


def test_numeric_targets_have_no_accuracy(tmp_path, rng):
    X, y = rng.normal(size=(30, 3)), 1e-3 * rng.normal(size=30)
    np.savez(tmp_path / "rows.npz", X_train=X[:20], y_train=y[:20], X_test=X[20:], y_test=y[20:])
    options = ["--dataset", str(tmp_path / "rows.npz"), "--labels", "true", "--depth", "2"]
    (row,) = json.loads(run(*options, "--json", "-").stdout)["depths"]
    assert row["accuracy"] is None
    assert row["max_error"] < 1e-9
    assert "accuracy" not in run(*options).stdout


def test_every_option_reaches_the_construction(monkeypatch, tmp_path):
    fitted = []

    def recorded(X, y, **options):
        fitted.append((X.shape, options))
        return fit(X, y, **options)

    monkeypatch.setattr("kernelfit.cli.expressivity.fit", recorded)
    options = {"--dataset": "digits", "--n": "30", "--labels": "true", "--crop": "6", "--depth": "5,6"}
    options |= {"--variant": "multiplexer", "--theta": "0.125", "--seed": "3", "--json": "-"}
    options["--data-dir"] = str(tmp_path)
    assert {option for each in command.params for option in each.opts} == options.keys()
    record = json.loads(run(*(word for pair in options.items() for word in pair)).stdout)
    chosen = {"variant": "multiplexer", "theta": 0.125, "seed": 3}
    assert fitted == [((30, 36), {"depth": depth, **chosen}) for depth in (5, 6)]
    assert chosen.items() <= record.items()
    assert (record["labels"], record["crop"]) == ("true", 6)
    assert [row["accuracy"] for row in record["depths"]] == [1.0, 1.0]


@pytest.mark.parametrize("depth", ["", "two", "2;3"])
def test_depths_that_are_no_numbers(depth):
    result = run("--dataset", "digits", "--depth", depth)
    assert result.exit_code == 2
    assert "'--depth': got" in result.stderr


def test_a_crop_of_less_than_nothing_is_named():
    result = run("--dataset", "digits", "--n", "20", "--crop", "-5")
    assert result.exit_code == 2
    assert "--crop" in result.stderr
