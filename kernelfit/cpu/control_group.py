"""What the control groups of Linux allow this process, which is what a container is given: processors and memory.

Both versions: the unified hierarchy, and the older one with a tree for every resource. A limit of any group above the
process's own counts as well. Elsewhere there are none.
"""

from __future__ import annotations

import math
import os
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from kernelfit.cpu import kernel_files
from kernelfit.cpu.recent import recent

_ROOT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


class _Version(NamedTuple):
    """Where a version of control groups has a limit, and what belongs to it: what is used of it, or its period."""

    limit: str
    other: str = ""
    #: pages of files that are given up as soon as memory is asked for
    reclaimable: tuple[str, ...] = ()


_CACHED = ("inactive_file", "active_file", "slab_reclaimable")
_VERSIONS = {
    "cpu": (_Version("cpu.max"), _Version("cpu.cfs_quota_us", "cpu.cfs_period_us")),
    "memory": (
        _Version("memory.max", "memory.current", _CACHED),
        # Beyond it processes are held up until they all but stand still.
        _Version("memory.high", "memory.current", _CACHED),
        _Version(
            "memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")
        ),
    ),
}
# The older version has a number where there is no limit.
_UNLIMITED = 2**60
# Such pages that must be written first.
_UNWRITTEN = ("file_dirty", "file_writeback", "total_dirty", "total_writeback")


@recent
def cpu_quota() -> int | None:
    """Processors' worth of time, rounded up; None without a quota."""
    quotas = []
    for folder, version in _limited("cpu"):
        if version.limit == "cpu.max":
            quota, period = _numbers(folder, version.limit) or (-1, 0)
        else:
            quota, *_ = _numbers(folder, version.limit) or (-1,)
            period, *_ = _numbers(folder, version.other) or (0,)
        if quota > 0 and period > 0:
            quotas.append(max(1, math.ceil(quota / period)))
    return min(quotas, default=None)


def free_memory(enough: int | None = None) -> int | None:
    """Bytes up to the least limit; None without one, or where every limit leaves `enough` of them without asking for
    more than two numbers. Pages of files that can be given up count as free."""
    free = []
    for folder, version in _limited("memory"):
        bounds = _numbers(folder, version.limit)
        taken = _numbers(folder, version.other) if bounds and bounds[0] < _UNLIMITED else None
        if bounds and taken and (enough is None or bounds[0] - taken[0] < enough):
            cached = _cached(f"{folder}/memory.stat", version.reclaimable)
            free.append(bounds[0] - max(0, taken[0] - cached))
    return min(free, default=None)


def _cached(stat: str, names: tuple[str, ...]) -> int:
    text = kernel_files.read(stat)
    try:
        values = dict(line.split() for line in (text or b"").decode("ascii").splitlines())
        return max(
            0, sum(int(values.get(n, 0)) for n in names) - sum(int(values.get(n, 0)) for n in _UNWRITTEN)
        )
    except ValueError:
        return 0


def _limited(controller: str) -> tuple[tuple[str, _Version], ...]:
    """The groups that may limit this process, and by which version's files: its own and those above it."""
    # There is no such file on other systems, or without control groups.
    return _limited_of(str(_ROOT), kernel_files.read(str(_MEMBERSHIP)) or b"", controller)


@lru_cache(maxsize=8)
def _limited_of(root: str, membership: bytes, controller: str) -> tuple[tuple[str, _Version], ...]:
    """To look for files that are not there takes longer than to read those that are: it is done once."""
    own = {"": "/", controller: "/"}
    for line in os.fsdecode(membership).splitlines():
        if line.count(":") < 2:
            break
        _, names, path = line.split(":", 2)
        if names == "" or controller in names.split(","):
            own[controller if names else ""] = path
    limited = []
    for name, path in own.items():
        group = PurePosixPath(path)
        # In a container the path may be that of the host, where only the root is seen.
        for folder in (group, *group.parents):
            inside = Path(root, name, folder.relative_to("/") if folder.is_absolute() else "")
            limited += [
                (str(inside), version)
                for version in _VERSIONS[controller]
                if Path(inside, version.limit).exists()
            ]
    return tuple(limited)


def _numbers(folder: str, name: str) -> tuple[int, ...] | None:
    """The numbers in a file; None where there is no file, or it says `max`."""
    text = kernel_files.read(f"{folder}/{name}")
    try:
        return None if text is None else tuple(int(word) for word in text.split())
    except ValueError:
        return None
