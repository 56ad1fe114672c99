"""What the control groups of Linux allow this process, which is what a container is given: processors and memory.

Both versions: the unified hierarchy, and the older one with a tree for every resource. A limit of any group above the
process's own counts as well. Elsewhere there are none.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path, PurePosixPath

_ROOT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
# Pages of files that are given up as soon as memory is asked for, as each version names them.
_RECLAIMABLE = ("inactive_file", "active_file", "slab_reclaimable")
_RECLAIMABLE_OLD = ("total_inactive_file", "total_active_file")
# The older version has a number where there is no limit.
_UNLIMITED = 2**60
# Such pages that must be written first.
_UNWRITTEN = ("file_dirty", "file_writeback", "total_dirty", "total_writeback")


def cpu_quota() -> int | None:
    """Processors' worth of time, rounded up; None without a quota."""
    quotas = []
    for folder in _folders("cpu"):
        quota, period = _numbers(folder, "cpu.max") or (
            *(_numbers(folder, "cpu.cfs_quota_us") or (-1,)),
            *(_numbers(folder, "cpu.cfs_period_us") or (0,)),
        )
        if quota > 0 and period > 0:
            quotas.append(max(1, math.ceil(quota / period)))
    return min(quotas, default=None)


def free_memory(enough: int | None = None) -> int | None:
    """Bytes up to the least limit; None without one, or where every limit leaves `enough` of them without asking for
    more than two numbers. Pages of files that can be given up count as free."""
    free = []
    for folder in _folders("memory"):
        for limit, used, reclaimable in (
            ("memory.max", "memory.current", _RECLAIMABLE),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", _RECLAIMABLE_OLD),
        ):
            bounds = _numbers(folder, limit)
            taken = _numbers(folder, used) if bounds and bounds[0] < _UNLIMITED else None
            if bounds and taken and (enough is None or bounds[0] - taken[0] < enough):
                cached = _cached(Path(folder, "memory.stat"), reclaimable)
                free.append(bounds[0] - max(0, taken[0] - cached))
    return min(free, default=None)


def _cached(stat: Path, names: tuple[str, ...]) -> int:
    try:
        values = dict(line.split() for line in stat.read_text().splitlines())
        return max(
            0, sum(int(values.get(n, 0)) for n in names) - sum(int(values.get(n, 0)) for n in _UNWRITTEN)
        )
    except (OSError, ValueError):
        return 0


def _folders(controller: str) -> tuple[str, ...]:
    """The folders of the process's own group and of those above it, in both versions, where they are seen."""
    try:
        membership = _MEMBERSHIP.read_text()
    except OSError:  # not Linux, or no control groups
        membership = ""
    return _folders_of(_ROOT, membership, controller)


@lru_cache(maxsize=8)
def _folders_of(root: Path, membership: str, controller: str) -> tuple[str, ...]:
    own = {"": "/", controller: "/"}
    for line in membership.splitlines():
        if line.count(":") < 2:
            break
        _, names, path = line.split(":", 2)
        if names == "" or controller in names.split(","):
            own[controller if names else ""] = path
    folders = []
    for name, path in own.items():
        group = PurePosixPath(path)
        # In a container the path may be that of the host, where only the root is seen.
        for folder in (group, *group.parents):
            inside = root / name / folder.relative_to("/") if folder.is_absolute() else root / name
            folders.append(str(inside))
    return tuple(folders)


def _numbers(folder: str, name: str) -> tuple[int, ...] | None:
    """The numbers in a file; None where there is no file, or it says `max`."""
    try:
        with open(f"{folder}/{name}", "rb", buffering=0) as file:
            return tuple(int(word) for word in file.read().split())
    except (OSError, ValueError):
        return None
