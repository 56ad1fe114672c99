"""How much memory and disk a solve may take."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from kernelfit.cpu import kernel_files
from kernelfit.cpu.control_group import free_memory
from kernelfit.cpu.recent import recent

#: what Python, NumPy, SciPy, Numba and their compiled code occupy before any data (resident, measured)
INTERPRETER = 300_000_000
# Left to the rest of the system when the limit is not given.
_SPARE = 0.05
# File systems whose files take memory that no limit of ours counts.
_IN_MEMORY = ("tmpfs", "ramfs")


@recent
def available_memory() -> int:
    """Bytes that this process may hold for a solve, the interpreter's own among them.

    The smaller of free physical memory and what the control group leaves, and what the interpreter occupies already;
    as it was at most `kernelfit.cpu.recent.SECONDS` ago.
    """
    free = _free_physical()
    group = free_memory(enough=free)
    if group is not None:
        free = min(free, group)
    return int(max(0, free) * (1.0 - _SPARE)) + min(resident_bytes(), INTERPRETER)


def _free_physical() -> int:
    _, name, rest = (kernel_files.read("/proc/meminfo") or b"").partition(b"MemAvailable:")
    if name:
        return int(rest.split(maxsplit=1)[0]) * 1024
    # Not Linux.
    return int(os.sysconf("SC_PAGE_SIZE")) * int(os.sysconf("SC_PHYS_PAGES")) * 3 // 4


def resident_bytes() -> int:
    """Bytes of physical memory that this process holds now; 0 where the system does not say."""
    fields = (kernel_files.read("/proc/self/statm") or b"").split()
    pages = int(fields[1]) if len(fields) > 1 else 0
    return pages * int(os.sysconf("SC_PAGE_SIZE"))


def file_system_in_memory(folder: Path) -> str | None:
    """The name of a folder's file system that lies in memory; None for others, and where the system does not say."""
    device = os.stat(folder).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in (kernel_files.read("/proc/self/mountinfo") or b"").decode(errors="replace").splitlines():
        mount, _, rest = line.partition(" - ")
        name = rest.partition(" ")[0]
        if name in _IN_MEMORY and mount.split(" ")[2:3] == [number]:
            return name
    return None


def free_disk(directory: Path) -> int:
    """Bytes free in the nearest folder above `directory` that exists."""
    folder = directory.absolute()
    while not folder.is_dir():
        folder = folder.parent
    return shutil.disk_usage(folder).free
