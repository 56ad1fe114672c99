"""The row of the GPU benchmark that factors on the GPUs of Dask workers: one, then two of them on one GPU."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.gpu.settings import GAMMA, Setting, in_core
from kernelfit import solve
from kernelfit.cluster import gpu
from kernelfit.cluster.gpu import Gpu
from kernelfit.device.host import HostDevice

Report = Callable[[dict[str, Any]], None]
_ROWS, _WIDTH = 30_000, 2_048
_HOST_CAPACITY = 4_000_000


def workers(setting: Setting, report: Report) -> dict[str, Any]:
    """K and factor by one process, by one worker and by two on the same GPU; how far their answers lie apart."""
    n = setting.n(_ROWS, in_core(0 if setting.small else setting.capacity()))
    rows, targets, scale = setting.images(n)
    arguments: dict[str, Any] = {
        "gamma": GAMMA,
        "scale": scale,
        "panel_width": setting.width or _WIDTH,
        "condition": False,
    }
    here = solve(rows, targets, device=setting.open(), **arguments)
    record: dict[str, Any] = {"n": n, "seconds_factor": _seconds(here), "seconds_process": dict(here.seconds)}
    alpha = here.alpha
    here.close()
    differences, errors = [], []
    for count in (1, 2):
        report(record)
        with _cluster(setting, count) as client:
            there = solve(rows, targets, engine="dask", scheduler=client, device="cuda", **arguments)
        certificate = there.certificate
        record |= {
            f"seconds_factor_{count}": _seconds(there),
            f"seconds_{count}": dict(there.seconds),
            f"notes_{count}": there.notes,
            f"of_process_{count}": record["seconds_factor"] / _seconds(there),
        }
        differences.append(float(np.abs(there.alpha - alpha).max() / np.abs(alpha).max()))
        errors.append(certificate.backward_error)
    return {**record, "difference": max(differences), "backward_error": max(errors)}


def _seconds(solution: Any) -> float:
    return float(solution.seconds["gram"] + solution.seconds["factor"])


@contextmanager
def _cluster(setting: Setting, count: int) -> Iterator[Any]:
    """A client of so many workers that see the GPU of the setting; threads of this process with the stand-in."""
    from distributed import Client, LocalCluster

    with ExitStack() as stack:
        options: dict[str, Any] = {
            "n_workers": count,
            "dashboard_address": ":0",
            "memory_limit": 0,
            "local_directory": stack.enter_context(tempfile.TemporaryDirectory()),
            "silence_logs": logging.CRITICAL,
        }
        if setting.small:
            stack.enter_context(_stand_ins())
            cluster = LocalCluster(processes=False, threads_per_worker=1, **options)
        else:
            cluster = _with_gpu(setting, options)
        stack.enter_context(cluster)
        yield stack.enter_context(Client(cluster, set_as_default=False))


def _with_gpu(setting: Setting, options: dict[str, Any]) -> Any:
    """Workers that see one GPU alone: one by dask-cuda, or where that is not installed by Dask, which is noted; several
    by Dask, as dask-cuda starts no second one for a GPU."""
    from distributed import LocalCluster

    index = setting.device.partition(":")[2] or "0"
    if options["n_workers"] == 1:
        try:
            from dask_cuda import LocalCUDACluster
        except ImportError as error:
            setting.notes.append(f"workers of Dask, not of dask-cuda, which cannot be imported: {error}")
        else:
            return LocalCUDACluster(CUDA_VISIBLE_DEVICES=index, threads_per_worker=4, **options)
    return LocalCluster(processes=True, threads_per_worker=4, env={"CUDA_VISIBLE_DEVICES": index}, **options)


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Every worker has a stand-in of its own."""

    def look() -> Gpu:
        return Gpu(str(object()), _HOST_CAPACITY + gpu.SPARE)

    def opened(capacity: int | None = None, compute: str = "float32") -> HostDevice:
        return HostDevice(capacity or _HOST_CAPACITY, compute=compute)

    with (
        mock.patch.object(gpu, "look", look),
        mock.patch.object(gpu, "open_gpu", opened),
        mock.patch.object(gpu.measured_rate, "__defaults__", (64,)),
    ):
        yield
