"""A factor larger than the memory given to it, beside the same factor in memory; and what the journal costs.

    python -m benchmarks.disk --n 40000 --memory 2GB --out benchmarks/results/disk.json

MNIST pixels / 255, gaussian kernel, one-hot targets. `ram`: the factor in memory; `disk`: in a file, without a
journal; `journal`: in a file, every panel checksummed, synced and recorded. Each run has its own process, and the
three take turns.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.children import isolated
from kernelfit.experiments import gemm_rate

GAMMA = 0.02
WHERE = ("ram", "disk", "journal")


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--n", type=int, default=40_000)
    parser.add_argument("--memory", default="2GB", help="for the runs on disk")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()), help="on the disk to measure"
    )
    options = parser.parse_args(words)
    runs: dict[str, list[dict[str, Any]]] = {where: [] for where in WHERE}
    for where in WHERE * options.repeats:
        result = isolated.run(
            "benchmarks.children.disk",
            n=options.n,
            gamma=GAMMA,
            where=where,
            memory=options.memory,
            folder=options.folder,
        )
        if "failed" in result:
            raise SystemExit(f"{where}: {result['failed']}")
        runs[where].append(result)
        show(where, result)
    ratios = summary(runs)
    for name in ("disk_of_ram", "journal_of_ram", "journal_cost", "same_alpha"):
        print(f"{name:>15} {ratios[name]}")
    results = {
        "n": options.n,
        "memory": options.memory,
        "gemm_flops_per_second": gemm_rate.measure(),
        **ratios,
        "runs": runs,
    }
    faults = [] if ratios["same_alpha"] else ["the answers differ"]
    harness.finish("benchmarks.disk", words, options.out, results, faults)


def summary(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Ratios of the median rates of Gram and factor together, and whether all answers are the same bits."""
    rate = {
        where: statistics.median(run["factor_flops_per_second"] for run in results)
        for where, results in runs.items()
    }
    return {
        "factor_flops_per_second": rate,
        "disk_of_ram": rate["disk"] / rate["ram"],
        "journal_of_ram": rate["journal"] / rate["ram"],
        "journal_cost": 1.0 - rate["journal"] / rate["disk"],
        "same_alpha": len({run["alpha"] for results in runs.values() for run in results}) == 1,
    }


def show(where: str, run: dict[str, Any]) -> None:
    """One line of the table."""
    moved = ", ".join(
        f"{name} {run['traffic'][name] / 1e9:.2f} of {planned / 1e9:.2f} GB"
        for name, planned in run["planned_traffic"].items()
    )
    print(
        f"{where:>8} {run['factor_flops_per_second'] / 1e9:>7.1f} GFLOP/s  total {run['seconds']['total']:>7.1f} s  "
        f"peak {run['peak_rss_bytes'] / 1e9:.2f} of {run['planned_bytes'] / 1e9:.2f} GB  {moved}",
        flush=True,
    )


if __name__ == "__main__":
    main()
