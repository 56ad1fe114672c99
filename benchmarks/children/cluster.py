"""One solve of random bytes in this process, or on a cluster that runs. Prints one JSON object on the last line.

The answer of this process is left in the folder, for the cluster's to be compared with. With `--kill` a worker, or the
scheduler, is killed when half of the factor is made; with `--resume` the run in the folder is resumed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import kernelfit
from kernelfit.cluster import costs
from kernelfit.errors import KernelfitError
from kernelfit.progress import Silent

_ARGUMENTS: dict[str, Any] = {"kernel": "gaussian", "gamma": "median", "scale": 1.0 / 255}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, required=True)
    parser.add_argument("--d", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--scheduler")
    parser.add_argument("--panel-width", type=int)
    parser.add_argument("--run-dir", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--kill", choices=["worker", "scheduler"])
    parser.add_argument("--evenly", action="store_true", help="deal rows out as if all were as fast")
    options = parser.parse_args()
    if options.evenly:
        costs._SLOWER = 0.0
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (options.n, options.d), dtype=np.uint8)
    Y = rng.standard_normal((options.n, 10))
    client, where = None, {"threads": options.threads, "device": "cpu"}
    if options.scheduler is not None:
        from distributed import Client

        client = Client(options.scheduler, set_as_default=False)
        where = {"engine": "dask", "scheduler": client}
    try:
        result = _measured(options, X, Y, client, where)
    except KernelfitError as error:
        result = {"refused": str(error)}
    print(json.dumps(result), flush=True)
    os._exit(0)  # a client whose scheduler is gone would wait for it


def _measured(options: Any, X: Any, Y: Any, client: Any, where: dict[str, Any]) -> dict[str, Any]:
    # Compiled, connected.
    width = options.panel_width or 400
    kernelfit.solve(X[: 3 * width], Y[: 3 * width], panel_width=width, **_ARGUMENTS, **where).close()
    received, cpu, started = _received(client), _cpu(client), time.perf_counter()
    progress = Killing(options.kill, client)
    try:
        if options.resume:
            solution = kernelfit.resume(options.run_dir, progress=progress, **where)
        else:
            sizes = {"panel_width": options.panel_width, "run_dir": options.run_dir}
            solution = kernelfit.solve(X, Y, progress=progress, **sizes, **_ARGUMENTS, **where)
    except kernelfit.errors.ClusterError as error:
        return {"refused": str(error), "total": time.perf_counter() - started}
    total = time.perf_counter() - started
    reference = options.folder / "alpha.npy"
    if client is None:
        np.save(reference, solution.alpha)
    expected = np.load(reference)
    result = {
        "seconds": solution.seconds,
        "total": total,
        "cpu": 0.0 if options.kill else _cpu(client) - cpu,
        "received": 0 if options.kill else _received(client) - received,
        "received_planned": solution.traffic.get("received", 0),
        "difference": float(np.abs(solution.alpha - expected).max() / np.abs(expected).max()),
        "backward_error": solution.certificate.backward_error,
        "condition": solution.certificate.condition_estimate,
        "notes": list(progress.notes),
    }
    solution.close()
    return result


class Killing(Silent):
    """Kills a worker, or the scheduler, when half of the factor is made."""

    def __init__(self, victim: str | None, client: Any) -> None:
        super().__init__()
        self._process: int | None = None
        if victim == "worker":
            self._process = min(client.run(os.getpid).values())
        elif victim == "scheduler":
            self._process = client.run_on_scheduler(os.getpid)

    @contextmanager
    def phase(self, name: str, total: float, unit: str = "flop") -> Iterator[Any]:
        done = 0.0

        def advance(amount: float) -> None:
            nonlocal done
            done += amount
            if name == "factor" and done > 0.5 * total and self._process is not None:
                os.kill(self._process, signal.SIGKILL)
                self._process = None

        yield advance


def _cpu(client: Any) -> float:
    """CPU seconds of this process and of all workers so far."""
    own = sum(os.times()[:2])
    return own if client is None else own + sum(client.run(lambda: sum(os.times()[:2])).values())


def _received(client: Any) -> int:
    """Bytes that all workers have received from each other, as Dask counts them."""
    if client is None:
        return 0
    logs = client.run(lambda dask_worker: sum(e["total"] for e in dask_worker.transfer_incoming_log))
    return int(sum(logs.values()))


if __name__ == "__main__":
    main()
