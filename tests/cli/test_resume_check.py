"""`kernelfit resume` and `kernelfit check`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

import kernelfit
from kernelfit.cli import output_folder, root
from kernelfit.errors import DataError, KernelfitError, StorageError
from kernelfit.storage import journal

SOLVE = ("solve", "--n", "1000", "--gamma", "0.05", "--json", "-")


def invoke(*arguments: str, **given: Any) -> Result:
    return CliRunner().invoke(root, arguments, **given)


def failure(*arguments: str) -> KernelfitError:
    result = invoke(*arguments)
    assert isinstance(result.exception, KernelfitError), result.output
    assert "\n" not in str(result.exception)
    return result.exception


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A run of the command that was stopped by a signal, in a process of its own."""
    folder, data = tmp_path / "run", tmp_path / "data.npz"
    rng = np.random.default_rng(0)
    np.savez(data, X_train=rng.normal(size=(2500, 8)), y_train=np.arange(2500) % 3)  # of several panels
    command = [sys.executable, "-m", "kernelfit", "solve", "--gamma", "0.05", "--tier", "disk"]
    command += ["--train", str(data), "--out", str(folder)]
    for _ in range(20):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while process.poll() is None and not journal.read(folder / "journal").panels:
            time.sleep(0.0005)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        if process.returncode == 143:
            assert said.splitlines()[-1].endswith(f"continue with kernelfit resume {folder}")
            return folder
        assert process.returncode == 0, said  # it was faster than the signal
        for path in folder.iterdir():
            path.unlink()
    pytest.fail("no signal came in time")


def test_a_stopped_run_is_offered_checked_and_continued(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = str(stopped.parent / "data.npz")
    solve = ("solve", "--train", data, "--gamma", "0.05")
    assert "continue it with kernelfit resume" in str(
        failure(*solve, "--tier", "disk", "--out", str(stopped))
    )
    checked = json.loads(invoke("check", str(stopped), "--json", "-").stdout)
    assert (checked["ok"], checked["finished"]) == (True, False)
    assert checked["panels_verified"] >= 1
    whole = json.loads(invoke(*solve, "--json", "-").stdout)
    record = json.loads(invoke("resume", str(stopped), "--json", "-").stdout)
    same = (
        "test_error",
        "train_error",
        "rkhs_norm",
        "rkhs_norm_per_class",
        "backward_error",
        "log_det",
    )
    for key in same:
        assert record[key] == whole[key], key
    assert record["seconds"]["total"] > 0
    assert record["resumed"]
    assert "resumed" not in whole
    shown = invoke("resume", str(stopped)).stdout
    assert "time since resumed" in shown
    assert "features, gram and factor: of every process that worked on this run" in shown
    assert f"resume {stopped}" in record["command"]
    assert json.loads((stopped / "result.json").read_text())["test_error"] == whole["test_error"]
    assert invoke("predict", str(stopped), "--rows", data, "--json", "-").exit_code == 0
    checked = json.loads(invoke("check", str(stopped), "--json", "-").stdout)
    assert (checked["ok"], checked["finished"], checked["alpha_reproduced"]) == (True, True, True)


@pytest.mark.parametrize("answer", [True, False])
def test_a_terminal_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    folder = tmp_path / "run"
    assert invoke(*SOLVE, "--out", str(folder)).exit_code == 0
    (folder / "solution.h5").unlink()
    monkeypatch.setattr(output_folder, "is_terminal", lambda: True)
    asked = []

    def confirm(text: str, **_: Any) -> bool:
        asked.append(text)
        return answer

    monkeypatch.setattr(click, "confirm", confirm)
    result = invoke(*SOLVE, "--out", str(folder))
    assert len(asked) == 1
    assert "1 of 1 panels" in asked[0]
    assert (folder / "solution.h5").exists() == answer
    assert (result.exit_code == 0) == answer
    if not answer:
        other = failure(*SOLVE[:-4], "--gamma", "0.06", "--out", str(folder))
        assert "kernelfit resume" in str(other)


def test_another_problem_is_refused_with_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    assert invoke(*SOLVE, "--out", str(folder)).exit_code == 0
    (folder / "solution.h5").unlink()
    monkeypatch.setattr(output_folder, "is_terminal", lambda: True)
    monkeypatch.setattr(click, "confirm", lambda text, **_: True)
    error = failure("solve", "--n", "900", "--gamma", "0.06", "--out", str(folder))
    for words in ("kernel.gamma is 0.06, the run has 0.05", "plan.n is 900, the run has 1000", "rows.values"):
        assert words in str(error)


def test_a_run_started_from_python(tmp_path: Path, rng: np.random.Generator) -> None:
    folder = tmp_path / "run"
    kernelfit.solve(rng.normal(size=(50, 3)), rng.normal(size=50), gamma=1.0, run_dir=folder).close()
    (folder / "solution.h5").unlink()
    shown = invoke("resume", str(folder))
    assert shown.exit_code == 0
    assert "backward error" in shown.stdout
    record = json.loads(invoke("resume", str(folder), "--json", "-").stdout)
    assert record["n_train"] == 50
    assert "all is well" in invoke("check", str(folder)).stdout


def test_data_that_is_gone_leaves_the_certificate(tmp_path: Path, rng: np.random.Generator) -> None:
    folder, data = tmp_path / "run", tmp_path / "data.npz"
    np.savez(data, X_train=rng.normal(size=(60, 3)), y_train=np.arange(60) % 2)
    assert invoke("solve", "--train", str(data), "--out", str(folder), "--json", "-").exit_code == 0
    os.unlink(data)
    result = invoke("resume", str(folder), "--json", "-")
    assert result.exit_code == 0
    assert "test_error" not in json.loads(result.stdout)
    assert "cannot be read again" in result.stderr


def test_damage_is_reported_with_exit_code_2(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert invoke(*SOLVE, "--out", str(folder)).exit_code == 0
    data = bytearray((folder / "factor.h5").read_bytes())
    data[len(data) // 2] ^= 4
    (folder / "factor.h5").write_bytes(data)
    result = invoke("check", str(folder))
    assert "damaged" in result.stdout
    assert isinstance(result.exception, StorageError)
    assert result.exception.exit_code == 2
    assert "does not match its checksum" in str(result.exception)


def test_a_finished_run_is_no_excuse_for_a_device_that_is_none(tmp_path: Path) -> None:
    folder = str(tmp_path / "run")
    assert invoke("solve", "--n", "50", "--out", folder).exit_code == 0
    assert "--device: got 'tpu'" in str(failure("resume", folder, "--device", "tpu"))
    assert "--device-memory: got 'much'" in str(failure("resume", folder, "--device-memory", "much"))


def test_a_solution_without_a_factor_has_nothing_to_resume(tmp_path: Path) -> None:
    folder = str(tmp_path / "run")
    assert invoke("solve", "--n", "200", "--kernel", "linear", "--out", folder).exit_code == 0
    assert "it is finished" in str(failure("resume", folder))


@pytest.mark.parametrize("command", ["resume", "check"])
def test_a_folder_without_a_run(tmp_path: Path, command: str) -> None:
    error = failure(command, str(tmp_path))
    assert isinstance(error, DataError)
    assert "holds no run" in str(error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [("resume",), ("check",), ("predict", "--rows", __file__)], ids=lambda given: given[0]
)
def test_a_misspelt_folder_is_said_not_to_exist(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert "no such folder" in str(failure(arguments[0], str(tmp_path / "rum"), *arguments[1:]))
