"""A system that lacks what Linux alone has, as macOS does: everything works, or says so in a line."""

from __future__ import annotations

import subprocess
import sys

WITHOUT_LINUX = """
import os, pathlib, sys
from contextlib import closing
import numpy as np
import kernelfit
from kernelfit.cpu import environment, memory

for name in ("posix_fallocate", "posix_fadvise", "fdatasync", "sched_getaffinity", "memfd_create", "copy_file_range",
             "O_DIRECT", "O_PATH", "preadv", "pwritev", "register_at_fork", "fork", "forkpty", "posix_spawn",
             "getrandom", "pidfd_open", "eventfd", "splice", "sched_setaffinity"):
    if hasattr(os, name):
        delattr(os, name)

def hide(function):
    def call(path, *arguments, **named):
        # threadpoolctl asks by other means on macOS.
        hidden = isinstance(path, (str, pathlib.Path)) and str(path).startswith(("/proc", "/sys"))
        if hidden and str(path) != "/proc/self/maps":
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return function(path, *arguments, **named)
    return call

import builtins, io
builtins.open, os.open, io.open = hide(builtins.open), hide(os.open), hide(io.open)
pathlib.Path.read_text = hide(pathlib.Path.read_text)
"""

USE = """
folder = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(0)
X, Y = rng.standard_normal((200, 3)), rng.standard_normal((200, 2))
for tier in ("ram", "disk"):
    with closing(kernelfit.solve(X, Y, tier=tier, panel_width=32)) as solution:
        expected = solution.alpha
    with closing(kernelfit.solve(X, Y, tier=tier, panel_width=32, run_dir=folder / tier)) as solution:
        assert np.array_equal(solution.alpha, expected)
    with closing(kernelfit.resume(folder / tier)) as solution:
        assert np.array_equal(solution.alpha, expected)
    with closing(kernelfit.open(folder / tier)) as solution:
        assert np.array_equal(solution.alpha, expected)
    solution.save(folder / f"{tier}.h5")
    assert np.array_equal(kernelfit.load(folder / f"{tier}.h5").alpha, expected)
assert memory.available_memory() > 0
record = environment.describe(gpu=[])
assert record["processor"]["cores"] >= 1
assert environment.peak_rss_bytes() > 10_000_000
print("works")
"""


def test_what_linux_alone_has_is_not_needed(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_LINUX + USE, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.stdout == "works\n", done.stderr[-3000:]


def test_windows_is_told_where_it_runs():
    code = "import sys; sys.platform = 'win32'; import kernelfit"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: kernelfit runs on Linux and macOS; on Windows use it in WSL" in done.stderr
