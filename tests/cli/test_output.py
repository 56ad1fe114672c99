"""What commands print: nothing that is piped is cut or wrapped, and help comes in groups."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from rich.table import Table

from kernelfit.cli import root
from kernelfit.cli.output import emit


def run(*arguments: str) -> str:
    result = CliRunner().invoke(root, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_what_is_piped_is_neither_cut_nor_wrapped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    name = "a" * 300
    lines = run("datasets", "list", "--data-dir", str(tmp_path)).splitlines()
    assert lines[0].split() == ["Name", "Data", "Train", "Test", "Features", "Classes", "Place"]
    assert all(len(line.split()) >= 7 for line in lines)
    assert not any(line.endswith(" ") for line in lines)
    long = tmp_path / name[:100]
    np.savez(f"{long}.npz", X=np.random.default_rng(0).normal(size=(40, 3)), y=np.arange(40) % 2)
    assert long.name in run("solve", "--train", f"{long}.npz")


def test_a_terminal_of_forty_columns_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert max(map(len, run("features", "list").splitlines())) <= 40


def test_a_record_is_written_and_shown_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("heading")
    emit({"a": 1}, "-", table)
    assert json.loads(capsys.readouterr().out) == {"a": 1}
    emit({"a": 1}, str(tmp_path / "a.json"), table)
    assert "heading" in capsys.readouterr().out
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}


@pytest.mark.parametrize("command", ["solve", "plan", "predict", "bench"])
def test_help_comes_in_groups_and_names_every_option(command: str) -> None:
    text = run(command, "--help")
    headings = [line.removesuffix(":") for line in text.splitlines() if line.endswith(":") and line[0] != " "]
    assert headings == [name for name in HEADINGS if name in headings]
    assert {"Data", "Machine", "Output"} <= set(headings)
    for parameter in root.get_command(None, command).params:  # type: ignore[attr-defined,arg-type]
        if parameter.param_type_name == "option":
            assert parameter.opts[0] in text


HEADINGS = ["Data", "Features", "Kernel", "Solver", "Machine", "Output"]
