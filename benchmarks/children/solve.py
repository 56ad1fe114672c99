"""One solve of an image data set in a process of its own, beside the GEMM rate of the same process.

    python -m benchmarks.children.solve --dataset mnist --n 10000 --precision float64 --gamma 0.02

Prints one JSON object on the last line. GEMM is measured before and after the solve; the larger rate counts.
"""

from __future__ import annotations

import argparse
import json
import sys

import numpy as np

from kernelfit.experiments import gemm_rate
from kernelfit.experiments.experiment import Experiment
from kernelfit.progress import TerminalProgress

#: what is taken from the record of the experiment as it stands there
_TAKEN = (
    "precision",
    "tier",
    "test_error",
    "train_error",
    "rkhs_norm",
    "backward_error",
    "condition_estimate",
    "min_pivot",
    "refinements",
    "peak_rss_bytes",
    "notes",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--n", type=int, required=True)
    parser.add_argument("--precision", default="float64")
    parser.add_argument("--gamma", default="median")
    parser.add_argument("--tier", default="auto")
    parser.add_argument("--memory", default=None)
    arguments = parser.parse_args()

    before = {name: gemm_rate.measure(name) for name in ("float64", "float32")}
    experiment = Experiment(
        arguments.dataset,
        n_train=arguments.n,
        kernel="gaussian",
        gamma=arguments.gamma,
        precision=arguments.precision,
        tier=arguments.tier,
        memory=arguments.memory,
    )
    result = experiment.run(progress=TerminalProgress())
    rate = {name: max(before[name], gemm_rate.measure(name)) for name in before}
    record, plan, seconds = result.record, result.record["plan"], result.record["seconds"]
    factor = plan["flops_factor"] / seconds["factor"]
    peer = rate["float64" if record["factor_precision"] == "float64" else "float32"]
    taken = {name: record[name] for name in _TAKEN}
    printed = {
        "n": arguments.n,
        **taken,
        "cache": plan["cache"],
        "gamma": record["kernel"]["gamma"],
        "alpha_sum_of_squares": float(np.sum(result.solution.alpha**2)),
        "seconds": seconds,
        "share_outside_factor": 1.0 - seconds["factor"] / seconds["total"],
        "factor_flops_per_second": factor,
        "gemm_flops_per_second": rate,
        "factor_share_of_gemm": factor / peer,
        "planned_bytes": plan["bytes_memory"],
    }
    sys.stdout.write(json.dumps(printed) + "\n")


if __name__ == "__main__":
    main()
