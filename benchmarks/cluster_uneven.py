"""Dask workers that are not alike: 1 to 4 of them, n without divisors, uneven memory, one that is 3 times slower.

Each answer is compared with that of one process, and too little memory has to be refused in one line. CPU seconds count
all workers and the process that asks; the slower worker spends them as well. With fewer cores than workers the clock
says nothing.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.cluster import SAME
from benchmarks.cluster_processes import running, solve
from kernelfit.cluster.costs import ShareCosts
from kernelfit.cluster.deal import Deal
from kernelfit.gram.costs import Costs

# Of a worker's limit that a plan takes, see kernelfit.cluster.tasks.
_OF_LIMIT = 0.7
_SLOW = ("--preload", "benchmarks.children.slow_worker")


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--n", type=int, default=2_999, help="a prime by default")
    parser.add_argument("--d", type=int, default=784)
    parser.add_argument("--panel-width", type=int, default=128)
    parser.add_argument("--cases", default="1,2,3,4,memory,refused,slow,slow-evenly", help="which of them")
    options = parser.parse_args(words)
    width = ["--panel-width", str(options.panel_width)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        here = solve(options, folder, ["--threads", "1", *width])
        rows = [_row("process", 1, here)]
        for case in options.cases.split(","):
            workers = _workers(case, options)
            evenly = ["--evenly"] if case == "slow-evenly" else []
            with running(workers, folder) as hub:
                rows.append(_row(case, len(workers), solve(options, folder, [*width, *evenly], hub)))
            print(json.dumps(rows[-1]))
    results = {"n": options.n, "d": options.d, "panel_width": options.panel_width, "rows": rows}
    harness.finish("benchmarks.cluster_uneven", words, options.out, results, [*_faults(rows)])


def _workers(case: str, options: Any) -> list[list[str]]:
    """Further options of each worker."""
    if case.isdigit():
        return [[]] * int(case)
    if case.startswith("slow"):
        return [[], [*_SLOW]]
    costs = Costs.of(
        n=options.n,
        d=options.d,
        n_rhs=10,
        bytes_points=options.n * options.d,
        panel_width=options.panel_width,
    )
    beside = ShareCosts.of(costs, Deal(costs.layout, 1), 0, 1).beside
    # Of three workers the last has a third of the others' room for rows of L, or not even what comes beside them.
    rooms = [0.6, 0.6, 0.2] if case == "memory" else [0.6, 0.6, -0.5]
    limits = [int((beside + part * costs.bytes_factor) / _OF_LIMIT) for part in rooms]
    return [["--memory-limit", str(limit)] for limit in limits]


def _row(case: str, workers: int, result: dict[str, Any]) -> dict[str, Any]:
    if "refused" in result:
        return {"case": case, "workers": workers, "refused": result["refused"]}
    return {
        "case": case,
        "workers": workers,
        "seconds_factor": result["seconds"]["gram"] + result["seconds"]["factor"],
        "seconds_total": result["total"],
        "cpu_seconds": result["cpu"],
        "difference": result["difference"],
        "backward_error": result["backward_error"],
        "bytes_received": result["received"],
        "notes": result["notes"],
    }


def _faults(rows: Sequence[dict[str, Any]]) -> list[str]:
    faults = []
    for row in rows:
        refused = row.get("refused", "")
        if (row["case"] == "refused") != (refused.startswith("memory: ") and "\n" not in refused):
            faults.append(f"{row['case']}: got {refused or 'an answer'!r}")
        elif not refused and not row["difference"] <= SAME:
            faults.append(f"{row['case']}: alpha differs by {row['difference']:.1e}")
        elif row["case"] in ("memory", "slow") and not any("workers differ" in note for note in row["notes"]):
            faults.append(f"{row['case']}: rows were dealt out evenly")
    return faults


if __name__ == "__main__":
    main()
