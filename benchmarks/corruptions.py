"""A small network on true and corrupted data, to the end: does it fit everything, and in which order?

    python -m benchmarks.corruptions --out benchmarks/results/corruptions_cpu.json

The five runs train side by side in one batched product, so the time is of all five. The benchmark fails unless
every run reaches 99.9 % train accuracy.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

from kernelfit.cpu import environment
from kernelfit.deep.compare import convergence_order, loss_curves
from kernelfit.deep.grid import FIGURE1A
from kernelfit.deep.recipe import choices, default
from kernelfit.deep.sweep import run
from kernelfit.deep.system import System
from kernelfit.report import json_output
from kernelfit.report.progress import TerminalProgress

LEAST_ACCURACY = 0.999


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="mlp-1x512")
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--evaluate-every", type=int, default=10)
    parser.add_argument("--runs", type=Path, required=True, help="folder for checkpoints and logs; resumable")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    recipes = {
        name: default(
            arguments.model, corruption=name, n=arguments.n, epochs=arguments.epochs, seed=arguments.seed
        )
        for name in FIGURE1A
    }
    start = time.perf_counter()
    system = System(evaluate_every=arguments.evaluate_every)
    results = run(list(recipes.values()), arguments.runs, system=system, progress=TerminalProgress())
    seconds = time.perf_counter() - start
    curves = loss_curves({name: (recipe,) for name, recipe in recipes.items()}, results)
    order = convergence_order(curves)
    rows = []
    for name in order:
        kept = results[recipes[name].key]
        row = {
            "corruption": name,
            "steps_to_loss_0.1": kept["converged_step"],
            "train_accuracy": kept["train_accuracy"],
            "test_accuracy": kept["test_accuracy"],
            "best_test_accuracy": kept["best_test_accuracy"],
            "loss": kept["loss"],
            "recipe": kept["recipe"],
            "loss_curve": [
                {"epoch": r["epoch"], "step": r["step"], "loss": r["loss"]} for r in kept["history"]
            ],
        }
        rows.append(row)
        print(
            f"{name:>16} steps to loss 0.1: {row['steps_to_loss_0.1']!s:>6}  train {row['train_accuracy']:.4f}  "
            f"test {row['test_accuracy']:.4f}"
        )
    record = {
        "benchmark": "corruptions",
        "command": "python -m benchmarks.corruptions " + shlex.join(sys.argv[1:]),
        "order": order,
        "seconds": max(results[r.key]["seconds"] for r in recipes.values()),
        "seconds_this_call": seconds,
        "choices": choices(recipes["true"]),
        "load_average": os.getloadavg(),  # above the number of cores, other work shared the machine
        "environment": environment.describe(),
        "rows": rows,
    }
    if arguments.out:
        json_output.write(record, arguments.out)
    unfit = [row["corruption"] for row in rows if row["train_accuracy"] < LEAST_ACCURACY]
    if unfit:
        sys.exit(f"below {LEAST_ACCURACY:.1%} train accuracy: {', '.join(unfit)}")


if __name__ == "__main__":
    main()
