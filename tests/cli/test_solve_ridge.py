"""`kernelfit solve --ridge auto`: the chosen solution under the usual keys, the interpolating one beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from kernelfit.cli import root


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["solve", *arguments], catch_exceptions=False)


def solve(*arguments: str) -> dict[str, Any]:
    result = invoke(*arguments, "--json", "-")
    assert result.exit_code == 0, result.stderr
    record: dict[str, Any] = json.loads(result.stdout)
    return record


@pytest.fixture
def noisy(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Class = sign of a coordinate, with a fifth of the labels flipped."""
    X = rng.uniform(-1, 1, (180, 2))
    y = ((X[:, 0] > 0) ^ (rng.random(180) < 0.2)).astype(np.int64)
    path = tmp_path / "noisy.npz"
    np.savez(path, X_train=X[:120], y_train=y[:120], X_test=X[120:], y_test=y[120:])
    return path


def test_both_solutions_are_reported(noisy: Path) -> None:
    record = solve("--train", str(noisy), "--gamma", "30", "--ridge", "auto", "--loo")
    without = record["interpolation"]
    assert record["ridge"] == record["ridge_choice"]["ridge"] > 0
    assert not record["interpolates"]
    assert without["ridge"] == 0
    assert without["interpolates"]
    assert without["train_error"] == 0
    assert record["rkhs_norm"] < without["rkhs_norm"]
    spent = dict(record["seconds"])
    assert min(spent["choose"], spent["interpolate"]) > 0
    assert sum(value for stage, value in spent.items() if stage != "total") <= spent["total"]
    path = {trial["ridge"]: trial for trial in record["ridge_path"]}
    usable = [trial for trial in path.values() if trial["loo_rmse"]]
    least = min(trial["loo_error"] for trial in usable)
    equal = [t for t in usable if t["loo_error"] <= least + np.sqrt(least * (1 - least) / 120)]
    assert path[record["ridge"]]["loo_rmse"] == min(trial["loo_rmse"] for trial in equal)
    assert path[record["ridge"]]["loo_error"] == record["loo_error"]
    assert any(note.startswith("ridge ") and "leave-one-out" in note for note in record["notes"])
    # The same figures as two solves with numbers.
    alone = solve("--train", str(noisy), "--gamma", "30")
    for key in ("test_error", "rkhs_norm", "min_pivot", "log_det"):
        assert without[key] == pytest.approx(alone[key], rel=1e-9)
    again = solve("--train", str(noisy), "--gamma", "30", "--ridge", repr(record["ridge"]))
    assert record["test_error"] == again["test_error"]
    assert record["rkhs_norm"] == pytest.approx(again["rkhs_norm"], rel=1e-9)
    assert "interpolation" not in again


def test_the_table_shows_both(noisy: Path) -> None:
    result = invoke("--train", str(noisy), "--gamma", "30", "--ridge", "auto")
    assert result.exit_code == 0
    assert "without ridge: test error" in result.stdout


def test_rows_that_nothing_interpolates(noisy: Path, tmp_path: Path) -> None:
    with np.load(noisy) as data:
        arrays = dict(data)
    arrays["X_train"][1] = arrays["X_train"][0]
    arrays["y_train"][:2] = 0, 1
    conflicting = tmp_path / "conflicting.npz"
    np.savez(conflicting, **arrays)
    record = solve("--train", str(conflicting), "--gamma", "30", "--ridge", "auto")
    assert record["interpolation"] is None
    assert record["ridge"] > 0
    assert any(note.startswith("ridge 0 is not tried") for note in record["notes"])
    table = invoke("--train", str(conflicting), "--gamma", "30", "--ridge", "auto").stdout
    assert "without ridge: no solution, as the note says" in table


def test_a_word_that_is_no_ridge() -> None:
    from kernelfit.errors import InputError

    with pytest.raises(InputError, match="ridge: got 'best'"):
        invoke("--ridge", "best")
