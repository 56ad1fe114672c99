"""One solve of random bytes in this process, or on a cluster that runs. Prints one JSON object on the last line."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import kernelfit


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, required=True)
    parser.add_argument("--d", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--scheduler")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (options.n, options.d), dtype=np.uint8)
    Y = rng.standard_normal((options.n, 10))
    arguments: dict[str, Any] = {"kernel": "gaussian", "gamma": "median", "scale": 1.0 / 255}
    if options.scheduler is None:
        where: dict[str, Any] = {"threads": options.threads, "device": "cpu"}
    else:
        from distributed import Client

        client = Client(options.scheduler, set_as_default=False)
        where = {"engine": "dask", "scheduler": client}
    kernelfit.solve(
        X[:1_200], Y[:1_200], panel_width=400, **arguments, **where
    ).close()  # compiled, connected
    before = _received(where)
    started = time.perf_counter()
    solution = kernelfit.solve(X, Y, **arguments, **where)
    total = time.perf_counter() - started
    reference = options.folder / "alpha.npy"
    if options.scheduler is None:
        np.save(reference, solution.alpha)
    expected = np.load(reference)
    result = {
        "seconds": solution.seconds,
        "total": total,
        "received": _received(where) - before,
        "received_planned": solution.traffic.get("received", 0),
        "difference": float(np.abs(solution.alpha - expected).max() / np.abs(expected).max()),
        "backward_error": solution.certificate.backward_error,
        "condition": solution.certificate.condition_estimate,
    }
    solution.close()
    print(json.dumps(result))


def _received(where: dict[str, Any]) -> int:
    """Bytes that all workers have received from each other, as Dask counts them."""
    if "scheduler" not in where:
        return 0
    logs = where["scheduler"].run(
        lambda dask_worker: sum(e["total"] for e in dask_worker.transfer_incoming_log)
    )
    return int(sum(logs.values()))


if __name__ == "__main__":
    main()
