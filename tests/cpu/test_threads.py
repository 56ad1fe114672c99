"""How many threads are used by default."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from threadpoolctl import threadpool_limits

from kernelfit.cpu import control_group, threads
from kernelfit.cpu.blas_threads import BLAS_THREADS
from kernelfit.cpu.pool import CpuBackend
from kernelfit.cpu.threads import available_threads


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Eight cores, and nothing that limits them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(control_group, "_ROOT", tmp_path)
    monkeypatch.setattr(control_group, "_MEMBERSHIP", tmp_path / "none")
    monkeypatch.setattr(threads.BLAS_THREADS, "limit", lambda: None)
    for name in threads.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_cores_where_nothing_limits_them(machine):
    assert CpuBackend().threads == available_threads() == 8


@pytest.mark.parametrize("name", threads.VARIABLES)
@pytest.mark.parametrize(
    ("value", "expected"), [("3", 3), ("2,4", 2), ("16", 8), ("0", 8), ("", 8), ("x", 8)]
)
def test_variables_of_the_environment(machine, monkeypatch, name, value, expected):
    monkeypatch.setenv(name, value)
    assert available_threads() == expected


@pytest.mark.parametrize(("system", "expected"), [("darwin", 3), ("linux", 8)])
def test_the_variable_of_accelerate(machine, monkeypatch, system, expected):
    monkeypatch.setattr(threads.sys, "platform", system)
    monkeypatch.setenv("VECLIB_MAXIMUM_THREADS", "3")
    assert available_threads() == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "20000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
    ],
)
def test_the_quota_of_a_container(machine, files, expected):
    (machine / "cpu").mkdir()
    for name, text in files.items():
        (machine / name).write_text(text)
    assert available_threads() == expected


def test_a_quota_above_the_own_group_counts(machine):
    (machine / "none").write_text("0::/slice/ours\n")
    (machine / "slice" / "ours").mkdir(parents=True)
    (machine / "slice" / "ours" / "cpu.max").write_text("max 100000\n")
    (machine / "slice" / "cpu.max").write_text("400000 100000\n")
    assert available_threads() == 4


def test_limits_of_threadpoolctl_in_force():
    before = available_threads()
    with threadpool_limits(1):
        assert available_threads() == 1
    assert available_threads() == before


def test_the_cap_of_a_solve_is_no_limit_for_one_inside_it():
    before = available_threads()
    with CpuBackend():
        assert BLAS_THREADS.limit() is None or BLAS_THREADS.limit() >= before
        assert CpuBackend().threads == before


def test_joblib_gives_its_workers_few_threads():
    code = (
        "import joblib\n"
        "def threads():\n"
        "    from kernelfit.cpu.threads import available_threads\n"
        "    return available_threads()\n"
        "with joblib.parallel_config('loky', n_jobs=2, inner_max_num_threads=1):\n"
        "    print(joblib.Parallel()(joblib.delayed(threads)() for _ in range(2)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280)
    assert done.stdout == "[1, 1]\n", done.stderr[-2000:]


def test_cores_where_the_system_has_no_affinity(machine, monkeypatch):
    """macOS and Windows have no `sched_getaffinity`."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert available_threads() == 5
