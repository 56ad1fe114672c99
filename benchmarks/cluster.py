"""A Dask cluster on this machine against one process and against the scaling model, also over limited links.

Workers of one thread each: processes of this machine, or with `--link` each in a network namespace of its own, whose
links `tc` limits to a rate. The rate of a worker is that which makes the model true of one; what it then says of others
is compared with the clock.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.cluster_processes import running, solve
from kernelfit.experiments.planning import Shape, plan_cluster
from kernelfit.experiments.specs import SolverSettings

#: what alpha may differ by from that of one process, relative to its largest entry
SAME = 1e-12


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--n", type=int, default=8_000)
    parser.add_argument("--d", type=int, default=784)
    parser.add_argument("--workers", default="1,2", help="numbers of workers")
    parser.add_argument("--link", default="", help="rate of each worker's link, such as 1Gbit")
    parser.add_argument(
        "--threads", type=int, help="of the process that is compared; else as many as workers"
    )
    options = parser.parse_args(words)
    counts = [int(word) for word in options.workers.split(",")]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rows, rate = [], None
        for count in counts:
            threads = options.threads or count
            here = solve(options, folder, ["--threads", str(threads)])
            with running([[]] * count, folder, options.link) as hub:
                there = solve(options, folder, [], hub)
            if rate is None:
                rate = _rate(options, count, there["seconds"]["gram"] + there["seconds"]["factor"])
            rows.append(_row(options, count, rate, here, there))
            print(json.dumps(rows[-1]))
    faults = [
        f"{row['workers']} workers: alpha differs by {row['difference']:.1e}"
        for row in rows
        if not row["difference"] <= SAME
    ]
    results = {"n": options.n, "d": options.d, "link": options.link, "rate_of_a_worker": rate, "rows": rows}
    harness.finish("benchmarks.cluster", words, options.out, results, faults)


def _row(
    options: Any, count: int, rate: float, here: dict[str, Any], there: dict[str, Any]
) -> dict[str, Any]:
    """One number of workers: measured, predicted, and beside one process."""
    predicted = _predicted(options, count, rate)
    measured = there["seconds"]["gram"] + there["seconds"]["factor"]
    process = here["seconds"]["gram"] + here["seconds"]["factor"]
    bound = 1.1 * (count - 1) * options.n**2 * 8 / 2
    return {
        "workers": count,
        "seconds_factor": measured,
        "predicted_factor": predicted,
        "predicted_to_measured": predicted / measured,
        "seconds_process": process,
        "process_to_cluster": process / measured,
        "seconds_total": there["total"],
        "process_total_to_cluster": here["total"] / there["total"],
        "difference": there["difference"],
        "bytes_received": there["received"],
        "bytes_received_to_bound": there["received"] / bound if count > 1 else 0.0,
        "cpu_seconds": there["cpu"],
        "cpu_seconds_process": here["cpu"],
        "backward_error": there["backward_error"],
    }


def _predicted(options: Any, count: int, rate: float) -> float:
    shape, solver = Shape(options.n, options.d, 10, "uint8"), SolverSettings(threads=1)
    return plan_cluster(shape, solver, count, options.link or "80Gbit", rate).seconds_factor


def _rate(options: Any, count: int, seconds: float) -> float:
    """flop/s of a worker with which the model is true of the first run."""
    low, high = 1e8, 1e14
    for _ in range(60):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if _predicted(options, count, middle) > seconds else (low, middle)
    return low


if __name__ == "__main__":
    main()
