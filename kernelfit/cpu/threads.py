"""How many threads a computation uses by default: the least of what the machine, its container and its user allow."""

from __future__ import annotations

import os
import sys

from kernelfit.cpu.blas_threads import BLAS_THREADS
from kernelfit.cpu.control_group import cpu_quota

#: variables that say how many threads a process may use; joblib sets them for its workers
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# The same of Apple's Accelerate.
_OF_MACOS = ("VECLIB_MAXIMUM_THREADS",)


def available_cores() -> int:
    """Cores that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # Linux alone has it
        return os.cpu_count() or 1


def available_threads() -> int:
    """The least of the cores, the control group's quota, `OMP_NUM_THREADS`, `OPENBLAS_NUM_THREADS`, on macOS
    `VECLIB_MAXIMUM_THREADS`, and the number of threads that BLAS is limited to, such as by
    `threadpoolctl.threadpool_limits`."""
    variables = VARIABLES + (_OF_MACOS if sys.platform == "darwin" else ())
    limits = [available_cores(), cpu_quota(), *map(_variable, variables), BLAS_THREADS.limit()]
    return max(1, min(limit for limit in limits if limit is not None))


def _variable(name: str) -> int | None:
    """Its number; of several, one for each level of nested loops, the first."""
    first = os.environ.get(name, "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None
