"""One solve of MNIST with its factor in memory, on disk, or on disk with a journal; run by `bench_disk`.

Prints one JSON object on the last line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path

from kernelfit import datasets, solve
from kernelfit.evaluation import training_targets
from kernelfit.report import environment
from kernelfit.report.progress import TerminalProgress


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--n", type=int, required=True)
    parser.add_argument("--gamma", type=float, required=True)
    parser.add_argument("--where", choices=("ram", "disk", "journal"), required=True)
    parser.add_argument("--memory")
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    data = datasets.load("mnist", n_train=arguments.n)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        started = time.perf_counter()
        solution = solve(
            data.X_train,
            training_targets(data),
            kernel="gaussian",
            gamma=arguments.gamma,
            tier="ram" if arguments.where == "ram" else "disk",
            memory=None if arguments.where == "ram" else arguments.memory,
            directory=Path(folder) / "run" if arguments.where == "journal" else None,
            scratch=folder,
            scale=data.scale,
            progress=TerminalProgress(),
        )
        total = time.perf_counter() - started
        solution.close()
    plan = solution.plan
    record = {
        "alpha": hashlib.blake2b(solution.alpha.tobytes(), digest_size=16).hexdigest(),
        "backward_error": solution.certificate.backward_error,
        "seconds": {**solution.seconds, "total": total},
        "factor_flops_per_second": plan.flops_factor
        / (solution.seconds["factor"] + solution.seconds["gram"]),
        "peak_rss_bytes": environment.peak_rss_bytes(),
        "planned_bytes": plan.bytes_memory,
        "traffic": solution.traffic,
        "planned_traffic": {
            "factor_read": plan.bytes_read,
            "factor_written": plan.bytes_written,
            "solve_read": plan.bytes_read_solve,
        },
    }
    sys.stdout.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
