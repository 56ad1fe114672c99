"""One solve of an image data set in a process of its own, beside the GEMM rate of the same process.

    python -m benchmarks.children.solve --dataset mnist --n 10000 --precision float64 --gamma 0.02

Prints one JSON object on the last line. GEMM is measured before and after the solve; the larger rate counts.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np

from kernelfit import datasets, solve
from kernelfit.cpu import environment
from kernelfit.datasets import training_targets
from kernelfit.experiments import gemm_rate
from kernelfit.report.progress import TerminalProgress


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
    started = time.perf_counter()
    data = datasets.load(arguments.dataset, n_train=arguments.n)
    solution = solve(
        data.X_train,
        training_targets(data),
        kernel="gaussian",
        gamma=arguments.gamma,
        precision=arguments.precision,
        tier=arguments.tier,
        memory=arguments.memory,
        scale=data.scale,
        progress=TerminalProgress(),
    )
    scores = solution.predict(data.X_test)
    total = time.perf_counter() - started
    peak = environment.peak_rss_bytes()
    alpha = solution.alpha
    certificate = solution.certificate
    solution.close()
    rate = {name: max(before[name], gemm_rate.measure(name)) for name in before}
    factor = solution.plan.flops_factor / solution.seconds["factor"]
    peer = rate["float64" if certificate.factor_precision == "float64" else "float32"]
    record = {
        "n": arguments.n,
        "precision": arguments.precision,
        "tier": solution.plan.tier,
        "cache": solution.plan.cache,
        "gamma": solution.kernel.describe()["gamma"] if solution.kernel is not None else None,
        "test_error": float(np.mean(scores.argmax(axis=1) != data.y_test)),
        "train_error": float(np.mean(solution.fitted.argmax(axis=1) != data.y_train[solution.kept])),
        "rkhs_norm": certificate.rkhs_norm,
        "backward_error": certificate.backward_error,
        "condition_estimate": certificate.condition_estimate,
        "min_pivot": certificate.min_pivot,
        "refinements": certificate.refinements,
        "alpha_sum_of_squares": float(np.sum(alpha**2)),
        "seconds": {**solution.seconds, "total": total},
        "share_outside_factor": 1.0 - solution.seconds["factor"] / total,
        "factor_flops_per_second": factor,
        "gemm_flops_per_second": rate,
        "factor_share_of_gemm": factor / peer,
        "peak_rss_bytes": peak,
        "planned_bytes": solution.plan.bytes_memory,
        "notes": solution.notes,
    }
    sys.stdout.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
