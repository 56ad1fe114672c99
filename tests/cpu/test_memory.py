"""Free memory and disk."""

from __future__ import annotations

import os
import shutil

from kernelfit.cpu import memory


def test_available_memory_is_below_what_the_machine_has():
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < memory.available_memory() < physical


def test_the_control_group_bounds_it(monkeypatch):
    contents = {"/sys/fs/cgroup/memory.max": "4000000000\n", "/sys/fs/cgroup/memory.current": "1000000000\n"}

    def read_text(path):
        if str(path) in contents:
            return contents[str(path)]
        raise FileNotFoundError(path)

    monkeypatch.setattr(memory.Path, "read_text", read_text)
    monkeypatch.setattr(memory, "_free_physical", lambda: 10**12)
    assert memory.available_memory() == int(3e9 * 0.95)
    contents["/sys/fs/cgroup/memory.max"] = "max\n"
    assert memory.available_memory() == int(1e12 * 0.95)


def test_free_disk_of_a_folder_that_is_not_there_yet(tmp_path):
    free = memory.free_disk(tmp_path / "not" / "yet")
    assert abs(free - shutil.disk_usage(tmp_path).free) < 2**30
