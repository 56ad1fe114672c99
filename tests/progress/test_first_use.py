"""The lines that say that code is being compiled."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kernelfit
from kernelfit.progress import Silent, as_progress, first_use

COMPILE = """
import numpy as np
from kernelfit.linalg.product import _largest
from kernelfit.progress import as_progress
shown = as_progress(SHOWN)
for dtype in (np.float64, np.float32):
    _largest(np.ones(3, dtype))
"""
NOWHERE = "from numba.core.caching import CacheImpl\nCacheImpl._locator_classes = []\n"


def said(cache: Path, before: str = "", *, progress: bool = True) -> str:
    done = subprocess.run(
        [sys.executable, "-c", before + COMPILE.replace("SHOWN", str(progress))],
        capture_output=True,
        text=True,
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache)},
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_it_is_said_once_also_where_there_is_no_terminal_and_not_when_it_was_stored(tmp_path: Path) -> None:
    expected = (
        "note: compiling what is used for the first time, once per installation and kind of CPU; it is stored in "
        f"{tmp_path}\n"
    )
    assert said(tmp_path) == expected
    assert said(tmp_path) == ""


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    full = (
        "import errno\nfrom numba.core import caching\n"
        "def save(self, key, data):\n    raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "caching.IndexDataCacheFile.save = save\n"
    )
    assert said(tmp_path, full).splitlines()[1] == (
        f"note: what is compiled cannot be stored in {tmp_path} (No space left on device), and is compiled again the "
        "next time; make room there, or set NUMBA_CACHE_DIR"
    )


def test_python_says_it_where_progress_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("kernelfit.cpu.jit")
    shown = as_progress(True)
    log.info("compiling for a test of %s", "Python")
    other = Silent()
    first_use.announce(other)
    log.info("compiling, where nobody looks")
    assert shown.notes == ["compiling for a test of Python"]
    assert capsys.readouterr().err == "note: compiling for a test of Python\n"


def test_a_call_that_has_ended_shows_nothing_of_later_ones(
    rng: np.random.Generator, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Silent calls that compiled said so where an earlier one had shown its progress, and told other handlers."""
    log = logging.getLogger("kernelfit.cpu.jit")
    solution = kernelfit.solve(rng.random((9, 2)), rng.random(9), progress=True)
    solution.predict(rng.random((2, 2)), True)
    capsys.readouterr()
    log.info("compiling for a silent call")
    log.warning("what a silent call compiles cannot be stored")
    assert capsys.readouterr().err == ""
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert not logging.getLogger("kernelfit").handlers


def test_what_cannot_be_stored_is_said_to_python_as_well(tmp_path: Path) -> None:
    line = (
        "compiling, as in every process: no folder to store code in can be written to; set NUMBA_CACHE_DIR\n"
    )
    assert said(tmp_path, NOWHERE) == f"note: {line}"
    assert said(tmp_path, NOWHERE, progress=False) == line
    assert said(tmp_path, progress=False) == ""


def test_a_level_that_the_user_set_stands(tmp_path: Path) -> None:
    chosen = "import logging\nlogging.getLogger('kernelfit').setLevel(logging.ERROR)\n"
    assert said(tmp_path, chosen) == ""
