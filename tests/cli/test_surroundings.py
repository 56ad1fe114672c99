"""A command whose standard streams are closed or whose folder is gone."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

from kernelfit import cli

CLOSED = """
import os, sys
for descriptor in map(int, sys.argv[1]):
    os.close(descriptor)
os.execv(sys.executable, [sys.executable, "-m", "kernelfit", "solve", "--n", "40", "--n-test", "2", "--out", "run"])
"""


def test_closed_streams_cost_nothing_and_no_file_takes_their_place(tmp_path: Path) -> None:
    """A traceback came; and the first file that was opened would have got what libraries print on standard error."""
    done = subprocess.run([sys.executable, "-c", CLOSED, "012"], cwd=tmp_path, check=False, timeout=120)
    assert done.returncode == 0
    assert (tmp_path / "run" / "result.json").exists()


def test_a_folder_that_is_gone_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with pytest.raises(SystemExit) as stopped:
        cli.main(["solve", "--n", "40", "--out", "run"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert said == ["kernelfit: the current folder is not there any more; change to another one"]
    assert os.listdir(tmp_path) == []


def test_no_temporary_folder_is_not_a_folder_that_is_gone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none() -> NoReturn:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["solve", "--n", "40", "--n-test", "2", "--tier", "disk"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(
        "kernelfit: --scratch: got none, and the system has no temporary folder that can be written"
    )
    with pytest.raises(SystemExit) as stopped:
        cli.main(["solve", "--n", "40", "--n-test", "2", "--tier", "ram"])
    assert stopped.value.code == 0
