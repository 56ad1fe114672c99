"""How much memory and disk a solve may take."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

# Left to the rest of the system when the limit is not given.
_SPARE = 0.05


def available_memory() -> int:
    """Bytes this process may still take: the least of free physical memory and the control group's limit."""
    candidates = [_free_physical()]
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        try:
            candidates.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
        except (OSError, ValueError):  # no such group, or `max`
            continue
    return int(min(candidates) * (1.0 - _SPARE))


def _free_physical() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return int(os.sysconf("SC_PAGE_SIZE")) * int(os.sysconf("SC_PHYS_PAGES")) * 3 // 4


def free_disk(directory: Path) -> int:
    """Bytes free in the nearest folder above `directory` that exists."""
    folder = directory.absolute()
    while not folder.is_dir():
        folder = folder.parent
    return shutil.disk_usage(folder).free
