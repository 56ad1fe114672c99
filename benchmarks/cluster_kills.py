"""A Dask worker, or the scheduler, killed with -9 when half of the factor is made: the same answer, and the extra time.

Two workers of one thread with nannies, which start a killed worker again. The run of the killed scheduler is resumed on
a new cluster, whose start does not count.
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

_WORKERS: list[list[str]] = [[], []]


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--n", type=int, default=6_000)
    parser.add_argument("--d", type=int, default=784)
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        solve(options, folder, ["--threads", "2"])
        rows: list[dict[str, Any]] = []
        for stored in (False, True):
            run = folder / "whole"
            whole = _case(options, folder, ["--run-dir", str(run)] if stored else [])
            rows.append(_row("nothing killed", stored, whole, whole))
            run = folder / "worker"
            killed = _case(
                options, folder, ["--kill", "worker", *(["--run-dir", str(run)] if stored else [])]
            )
            rows.append(_row("a worker killed", stored, killed, whole))
        place = ["--run-dir", str(folder / "scheduler")]
        stopped = _case(options, folder, ["--kill", "scheduler", *place])
        resumed = _case(options, folder, ["--resume", *place])
        resumed["total"] += stopped["total"]
        rows.append({**_row("the scheduler killed", True, resumed, whole), "message": stopped.get("refused")})
    for row in rows:
        print(json.dumps(row))
    faults = [
        f"{row['case']}: alpha differs by {row['difference']:.1e}"
        for row in rows
        if not row["difference"] <= SAME
    ]
    if not str(stopped.get("refused", "")).startswith("scheduler: "):
        faults.append("the scheduler killed: the solve did not say so")
    results = {"n": options.n, "d": options.d, "rows": rows}
    harness.finish("benchmarks.cluster_kills", words, options.out, results, faults)


def _case(options: Any, folder: Path, words: list[str]) -> dict[str, Any]:
    with running(_WORKERS, folder, nanny=True) as hub:
        return solve(options, folder, words, hub)


def _row(case: str, stored: bool, result: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    return {
        "case": case,
        "stored": stored,
        "seconds_total": result["total"],
        "seconds_extra": result["total"] - whole["total"],
        "seconds_factor": result["seconds"]["gram"] + result["seconds"]["factor"],
        "difference": result["difference"],
        "backward_error": result["backward_error"],
        "notes": result["notes"],
    }


if __name__ == "__main__":
    main()
