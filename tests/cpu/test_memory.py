"""Free memory and disk."""

from __future__ import annotations

import mmap
import os
import shutil

import numpy as np
import pytest

import kernelfit
from kernelfit.cpu import control_group, memory

GB = 10**9


@pytest.fixture
def group(tmp_path, monkeypatch):
    """Writes the files of control groups: `group(path, name=text)`, the process being in /ours."""

    def write(path, **files):
        folder = tmp_path / path
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text)
        control_group._limited_of.cache_clear()  # a group has its files from the beginning

    membership = tmp_path / "membership"
    membership.write_text("4:memory:/ours\n1:cpu,cpuacct:/ours\n0::/ours\n")
    monkeypatch.setattr(control_group, "_ROOT", tmp_path)
    monkeypatch.setattr(control_group, "_MEMBERSHIP", membership)
    monkeypatch.setattr(memory, "_free_physical", lambda: 1000 * GB)
    monkeypatch.setattr(memory, "resident_bytes", lambda: 0)
    return write


def test_available_memory_is_below_what_the_machine_has():
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < memory.available_memory() < physical


def test_the_control_group_bounds_it(group):
    assert memory.available_memory() == int(1000 * GB * 0.95)
    group("ours", memory__max="4000000000\n", memory__current="1000000000\n")
    assert memory.available_memory() == int(3 * GB * 0.95)
    group("ours", memory__max="max\n")
    assert memory.available_memory() == int(1000 * GB * 0.95)


def test_memory_beyond_which_a_group_is_held_up_bounds_it(group):
    """`MemoryHigh=` of systemd, and what Kubernetes sets beside a request: a solve was planned into a crawl."""
    group("ours", memory__max="4000000000\n", memory__high="3000000000\n", memory__current="1000000000\n")
    assert memory.available_memory() == int(2 * GB * 0.95)
    group("ours", memory__high="max\n")
    assert memory.available_memory() == int(3 * GB * 0.95)


def test_a_group_above_the_own_one_bounds_it(group):
    group("ours", memory__max="max\n", memory__current="5\n")
    group(".", memory__max="2000000000\n", memory__current="500000000\n")
    assert memory.available_memory() == int(1.5 * GB * 0.95)


@pytest.mark.parametrize("version", [1, 2])
def test_pages_of_files_count_as_free(group, version):
    """A container with a limit of 8 GiB, 7 of them cache: n = 100 was refused."""
    limit, used, cache = 8 * 2**30, 8 * 2**30 - 100_000, 7 * 2**30
    if version == 2:
        stat = f"anon 1\ninactive_file {cache // 2}\nactive_file {cache // 2}\nfile_dirty 4096\n"
        group("ours", memory__max=str(limit), memory__current=str(used), memory__stat=stat)
    else:
        stat = f"rss 1\ntotal_inactive_file {cache // 2}\ntotal_active_file {cache // 2}\ntotal_dirty 4096\n"
        files = {"memory__limit_in_bytes": str(limit), "memory__usage_in_bytes": str(used)}
        group("memory/ours", memory__stat=stat, **files)
    assert memory.available_memory() == int((100_000 + cache - 4096) * 0.95)
    rng = np.random.default_rng(0)
    solution = kernelfit.solve(rng.standard_normal((100, 3)), rng.standard_normal(100))
    assert solution.certificate.interpolates


def test_what_the_interpreter_holds_is_not_asked_for_again(group, monkeypatch):
    """With 100 MB free and the interpreter in memory, a small solve needs next to nothing more."""
    monkeypatch.setattr(memory, "_free_physical", lambda: GB // 10)
    X = np.random.default_rng(0).standard_normal((100, 3))
    with pytest.raises(kernelfit.errors.PlanError):
        kernelfit.solve(X, X[:, 0])
    monkeypatch.setattr(memory, "resident_bytes", lambda: 10 * GB)  # most of it is somebody else's data
    assert memory.available_memory() == int(GB // 10 * 0.95) + memory.INTERPRETER
    assert kernelfit.solve(X, X[:, 0]).certificate.interpolates


def test_resident_bytes_are_those_of_this_process():
    # Mapped for this alone: freed blocks that the process keeps for new ones are resident already.
    with mmap.mmap(-1, 80_000_000) as block:
        before = memory.resident_bytes()
        block.write(bytes(len(block)))
        assert memory.resident_bytes() - before > 0.9 * len(block)


def test_free_disk_of_a_folder_that_is_not_there_yet(tmp_path):
    free = memory.free_disk(tmp_path / "not" / "yet")
    assert abs(free - shutil.disk_usage(tmp_path).free) < 2**30
