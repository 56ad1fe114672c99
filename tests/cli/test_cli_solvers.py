"""`kernelfit solve --solver pcg` from the command line: what it prints, stores and refuses."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from kernelfit.cli import root

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


def test_what_needs_a_factor_is_refused() -> None:
    result = CliRunner().invoke(root, [*_SOLVE, "--loo"])
    assert "got True with solver 'pcg', which may leave no factor" in f"{result.exception}{result.output}"


def test_a_plan_shows_rank_and_memory() -> None:
    result = CliRunner().invoke(
        root, ["plan", "--dataset", "mnist", "--solver", "pcg", "--memory", "9GB", "--no-gemm"]
    )
    assert result.exit_code == 0, result.output
    assert "preconditioner of rank 3,551" in result.output
