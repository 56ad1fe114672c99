"""What a figure was measured on: versions, processor, BLAS, GPU, memory. Nothing heavy is imported for it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from kernelfit.cpu.linked_blas import accelerate_version, linked_libraries
from kernelfit.cpu.threads import available_cores

# Packages whose version can change a result or a time.
PACKAGES = ("kernelfit", "numpy", "scipy", "numba", "scikit-learn", "h5py")
OPTIONAL_PACKAGES = ("torch", "cupy-cuda12x", "cupy-cuda13x", "numba-cuda")


def versions() -> dict[str, str]:
    """Name -> version of Python and of the packages above that are installed."""
    found = {"python": platform.python_version()}
    for name in (*PACKAGES, *OPTIONAL_PACKAGES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def processor() -> dict[str, Any]:
    """Model, cores that this process may use, and bytes of memory."""
    return {"model": _processor_model(), "cores": available_cores(), "memory_bytes": total_memory()}


def _processor_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()


def total_memory() -> int:
    """Physical memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def peak_rss_bytes() -> int:
    """Largest resident set of this process so far, in bytes.

    `/proc/self/status` and not `getrusage`: a child of a large parent inherits that parent's `ru_maxrss`.
    """
    try:
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:  # not Linux
        pass
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def blas() -> list[dict[str, Any]]:
    """The BLAS libraries that NumPy and SciPy call, with their threads where they say so."""
    linked = linked_libraries()
    if accelerate := accelerate_version(linked):
        about = {"name": "accelerate", "version": accelerate, "threads": None, "architecture": None}
        return [{**about, "file": "Accelerate.framework"}]
    return [
        {
            "name": library.internal_api,
            "version": library.version,
            "threads": library.num_threads,
            "architecture": getattr(library, "architecture", None),
            "file": Path(library.filepath).name,
        }
        for library in linked
    ]


def gpus() -> list[dict[str, Any]]:
    """The CUDA devices that the driver's own tool reports; empty where there is no driver.

    `memory_bytes` is None where the tool has no number for it, as for a device that shares the memory of the machine.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    fields = ("name", "memory.total", "driver_version", "compute_cap")
    query = [tool, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    devices = []
    for line in done.stdout.splitlines():
        parts = [part.strip() for part in line.rsplit(",", len(fields) - 1)]
        if len(parts) != len(fields):  # a sentence
            continue
        name, mebibytes, driver, capability = parts
        devices.append(
            {
                "name": name,
                "memory_bytes": int(mebibytes) * 2**20 if mebibytes.isdecimal() else None,
                "driver": driver,
                "compute_capability": capability,
            }
        )
    return devices


def describe(gpu: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """All of it, as a benchmark stores it beside its figures. `gpu`: what `gpus` answered before, which starts a
    program each time.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": platform.platform(),
        "processor": processor(),
        "blas": blas(),
        "gpu": gpus() if gpu is None else gpu,
        "versions": versions(),
    }
