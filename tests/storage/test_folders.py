"""Where what no run keeps goes: a folder on a disk, asked for only where something is written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

import kernelfit
from kernelfit.cpu import kernel_files, memory
from kernelfit.errors import PlanError, StorageError
from kernelfit.storage import folders


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that can only be read."""

    def none() -> NoReturn:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp', '/var/tmp', '/']")

    monkeypatch.setattr(tempfile, "gettempdir", none)


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A temporary folder on tmpfs, and another on the disk in place of /var/tmp."""
    folder, disk = tmp_path / "tmp", tmp_path / "var"
    folder.mkdir()
    disk.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(folders, "_ON_DISK", disk)
    monkeypatch.setattr(folders, "file_system_in_memory", lambda path: "tmpfs" if path == folder else None)
    return disk


def rows(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((20, 3)), rng.standard_normal(20)


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(
    "given", [{}, {"precision": "mixed"}, {"solver": "auto"}, {"solver": "pcg"}], ids=str
)
def test_a_solve_in_memory_asks_for_no_folder(rng: np.random.Generator, given: dict[str, str]) -> None:
    x, y = rows(rng)
    solution = kernelfit.solve(x, y, panel_width=8, **given)
    assert np.allclose(solution.predict(x), y)


@pytest.mark.usefixtures("nowhere")
def test_a_disk_tier_without_a_folder_says_so(rng: np.random.Generator) -> None:
    x, y = rows(rng)
    with pytest.raises(StorageError, match="scratch: got none, and the system has no temporary folder"):
        kernelfit.solve(x, y, tier="disk")
    with pytest.raises(PlanError, match=r"memory: .* missing"):
        kernelfit.solve(x, y, tier="ram", memory="100MB")


def test_a_temporary_folder_in_memory_gives_way_to_one_on_a_disk(
    rng: np.random.Generator, in_memory: Path
) -> None:
    x, y = rows(rng)
    seen = []
    at_disk = kernelfit.solver.cpu_system.PanelFile.create

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            kernelfit.solver.cpu_system.PanelFile,
            "create",
            lambda path, *others, **named: (seen.append(path.parent), at_disk(path, *others, **named))[1],
        )
        solution = kernelfit.solve(x, y, tier="disk", gamma=1.0)
    solution.close()
    assert seen == [in_memory]
    assert f"scratch: {in_memory}, as {in_memory.parent / 'tmp'} lies in memory (tmpfs)" in solution.notes
    in_memory.rmdir()
    with pytest.raises(StorageError, match=r"scratch: got none, and .* lies in memory \(tmpfs\)"):
        kernelfit.solve(x, y, tier="disk", gamma=1.0)
    named = kernelfit.solve(x, y, tier="disk", gamma=1.0, scratch=in_memory.parent / "tmp")
    named.close()
    assert not any("scratch" in note for note in named.notes)


def test_the_mounts_say_what_lies_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    device = os.stat(tmp_path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    table = "22 1 8:1 / / rw - ext4 /dev/sda rw\n36 22 {} / /tmp rw,nosuid shared:1 - {} none rw\n"
    for name, expected in (("tmpfs", "tmpfs"), ("ramfs", "ramfs"), ("xfs", None)):
        mounts = table.format(number, name).encode()
        monkeypatch.setattr(kernel_files, "read", lambda path, mounts=mounts: mounts)
        assert memory.file_system_in_memory(tmp_path) == expected
    monkeypatch.setattr(kernel_files, "read", lambda path: table.format("0:999999", "tmpfs").encode())
    assert memory.file_system_in_memory(tmp_path) is None
    monkeypatch.setattr(kernel_files, "read", lambda path: None)
    assert memory.file_system_in_memory(tmp_path) is None
