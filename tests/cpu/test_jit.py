"""Numba where it cannot store what it compiles, or is turned off; each in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import kernelfit

SOLVE = """
import numpy as np
import kernelfit
X = np.random.default_rng(0).standard_normal((60, 3))
assert kernelfit.solve(X, X[:, 0]).certificate.interpolates
print("solved")
"""


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, **environment},
    )


def test_no_folder_for_compiled_code():
    """As in a container where neither the package, nor HOME, nor NUMBA_CACHE_DIR can be written."""
    nowhere = "from numba.core.caching import CacheImpl\nCacheImpl._locator_classes = []\n"
    done = run(nowhere + SOLVE)
    assert done.stdout == "solved\n", done.stderr[-2000:]


def test_a_full_disk_for_compiled_code(tmp_path):
    full = (
        "import errno\nfrom numba.core import caching\n"
        "def save(self, key, data):\n    raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "caching.IndexDataCacheFile.save = save\n"
    )
    done = run(full + SOLVE, NUMBA_CACHE_DIR=str(tmp_path))
    assert done.stdout == "solved\n", done.stderr[-2000:]


def test_numba_turned_off_is_one_line():
    off = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-m", "kernelfit"]
    subprocess.run([*command, "--help"], capture_output=True, timeout=280, env=off, check=True)
    solve = [*command, "solve", "--dataset", "digits", "--n", "50"]
    done = subprocess.run(solve, capture_output=True, text=True, timeout=280, env=off)
    assert done.returncode == 2
    assert done.stderr == "kernelfit: NUMBA_DISABLE_JIT: got 1, expected 0: kernels are compiled; unset it\n"


def test_everything_compiled_for_the_cpu_goes_through_one_decorator():
    """Another one would bring the traceback back where nothing can be stored."""
    direct = re.compile(r"^from numba import .*\bnjit\b|numba\.njit|numba\.jit\b", re.MULTILINE)
    root = Path(kernelfit.__file__).parent
    users = {path.relative_to(root) for path in root.rglob("*.py") if direct.search(path.read_text("utf-8"))}
    assert users == {Path("cpu", "jit.py")}
