"""`kernelfit solve --solver pcg` from the command line: what it prints, stores and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from kernelfit.cli import root
from kernelfit.errors import InputError

_SOLVE = [
    "solve",
    "--dataset",
    "digits",
    "--n",
    "200",
    "--n-test",
    "50",
    "--gamma",
    "0.002",
    "--solver",
    "pcg",
]


def test_a_run_of_conjugate_gradients_is_printed_stored_and_checked(tmp_path: Path) -> None:
    run, target = tmp_path / "run", tmp_path / "result.json"
    words = [*_SOLVE, "--tolerance", "1e-4", "--out", str(run), "--json", str(target)]
    result = CliRunner().invoke(root, words)
    assert result.exit_code == 0, result.output
    assert "relative residual" in result.output
    assert "stopped at the tolerance of 1.0e-04" in result.output
    assert "--loo" not in result.output
    convergence = json.loads(target.read_text())["convergence"]
    assert convergence["stopped"] == "converged"
    assert convergence["relative_residual"] <= 1e-4
    checked = CliRunner().invoke(root, ["check", str(run)])
    assert checked.exit_code == 0, checked.output
    assert "with K formed afresh" in checked.output


def test_leave_one_out_is_an_estimate_and_says_so(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    result = CliRunner().invoke(root, [*_SOLVE, "--loo", "--json", str(target)])
    assert result.exit_code == 0, result.output
    assert "32 probes, estimated" in result.output
    record = json.loads(target.read_text())
    exact = CliRunner().invoke(root, [*_SOLVE[:-1], "cholesky", "--loo", "--json", str(target)])
    assert exact.exit_code == 0, exact.output
    factor = json.loads(target.read_text())
    assert f"{100 * record['loo_error']:.2f} +- {100 * record['loo_error_deviation']:.2f} %" in result.output
    assert abs(record["loo_error"] - factor["loo_error"]) <= 4.0 * record["loo_error_deviation"] + 1e-9
    assert record["loo_probes"] == 32
    assert not any("deviation" in key or key == "loo_probes" for key in factor)
    assert any("leave-one-out: estimated" in note for note in record["notes"])


def test_a_plan_shows_rank_and_memory() -> None:
    result = CliRunner().invoke(
        root, ["plan", "--dataset", "mnist", "--solver", "pcg", "--memory", "9GB", "--no-gemm"]
    )
    assert result.exit_code == 0, result.output
    assert "preconditioner of rank 2,560" in result.output


def test_a_study_that_takes_a_factor_is_refused_before_anything_is_solved() -> None:
    """The system was iterated to its end before."""
    for study in ("labels", "interpolants"):
        with pytest.raises(
            InputError, match=f"--solver: got 'pcg' for a study of {study}, which takes a factor"
        ):
            CliRunner().invoke(root, ["study", study, *_SOLVE[1:]], catch_exceptions=False)
