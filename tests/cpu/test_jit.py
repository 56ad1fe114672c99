"""Numba where it cannot store what it compiles, or is turned off; each in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
from numba.core.cpu import CPUContext
from numba.core.registry import cpu_target

import kernelfit
from kernelfit.cpu import jit
from kernelfit.solver.norms import _relative

SOLVE = """
import numpy as np
import kernelfit
X = np.random.default_rng(0).standard_normal((60, 3))
assert kernelfit.solve(X, X[:, 0], kernel="linear").certificate.interpolates
print("solved")
"""
ONE_FUNCTION = """
import numpy as np
from kernelfit.solver.norms import _relative
_relative(np.ones(1), np.ones(1), np.empty(1))
print("called")
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
    done = run(full + ONE_FUNCTION, NUMBA_CACHE_DIR=str(tmp_path))
    assert done.stdout == "called\n", done.stderr[-2000:]


def test_stored_code_is_read_without_what_numba_compiles_with(monkeypatch):
    """To register that takes a fifth of a second and 30 MB of every process."""
    one, ratios = np.ones(1), np.empty(1)
    _relative(one, one, ratios)  # stored from now on

    def refresh(context):
        raise AssertionError("types and functions are registered before stored code is read")

    monkeypatch.setattr(CPUContext, "refresh", refresh)
    stored = jit._Cache(_relative.py_func).load_overload(_relative.signatures[0], cpu_target.target_context)
    stored.entry_point(3.0 * one, 2.0 * one, ratios)
    assert ratios[0] == 1.5


def test_two_processes_that_store_compiled_code_at_once_store_both(tmp_path, monkeypatch):
    """Two descriptors of one lock are as two processes. The second comes when the first has read the index."""
    first, second = (jit._OneAtATime(str(tmp_path), "kernel", "stamp") for _ in range(2))
    others = threading.Thread(target=second.save, args=("bytes", "code for bytes"))
    honest = first._load_index

    def load_index():
        index = honest()
        if not others.ident:
            others.start()
            others.join(0.3)
        return index

    monkeypatch.setattr(first, "_load_index", load_index)
    first.save("float64", "code for float64")
    others.join()
    assert [first.load(key) for key in ("float64", "bytes")] == ["code for float64", "code for bytes"]


def test_code_that_another_process_is_about_to_store_is_not_read_too_early(tmp_path, monkeypatch):
    """The index names a file before it is written: one of an older source may stand there."""
    stale, writer, reader = (
        jit._OneAtATime(str(tmp_path), "kernel", stamp) for stamp in ("old", "new", "new")
    )
    stale.save("float64", "old code")
    seen = []
    others = threading.Thread(target=lambda: seen.append(reader.load("float64")))
    honest = writer._save_data

    def save_data(name, data):
        others.start()
        others.join(0.3)
        honest(name, data)

    monkeypatch.setattr(writer, "_save_data", save_data)
    writer.save("float64", "new code")
    others.join()
    assert seen == ["new code"]


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
