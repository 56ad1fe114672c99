"""A small network on true and corrupted data, to the end: does it fit everything, and in which order?

    python -m benchmarks.corruptions --out benchmarks/results/corruptions_cpu.json

The five runs train side by side in one batched product, so the time is of all five. The benchmark fails unless
every run reaches 99.9 % train accuracy.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import harness
from kernelfit.deep.paper.compare import convergence_order, loss_curves
from kernelfit.deep.recipe import choices, default
from kernelfit.deep.training.hardware import Hardware
from kernelfit.deep.training.sweep import run
from kernelfit.experiments.paper import FIGURE1A
from kernelfit.progress import TerminalProgress

MIN_ACCURACY = 0.999


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--model", default="mlp-1x512")
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--evaluate-every", type=int, default=10)
    parser.add_argument("--runs", type=Path, required=True, help="folder for checkpoints and logs; resumable")
    options = parser.parse_args(words)
    recipes = {
        name: default(options.model, corruption=name, n=options.n, epochs=options.epochs, seed=options.seed)
        for name in FIGURE1A
    }
    start = time.perf_counter()
    hardware = Hardware(evaluate_every=options.evaluate_every)
    results = run(list(recipes.values()), options.runs, hardware=hardware, progress=TerminalProgress())
    seconds = time.perf_counter() - start
    curves = loss_curves({name: (recipe,) for name, recipe in recipes.items()}, results)
    order = convergence_order(curves)
    rows = []
    for name in order:
        outcome = results[recipes[name].key]
        row = {
            "corruption": name,
            "steps_to_loss_0.1": outcome["converged_step"],
            "train_accuracy": outcome["train_accuracy"],
            "test_accuracy": outcome["test_accuracy"],
            "best_test_accuracy": outcome["best_test_accuracy"],
            "loss": outcome["loss"],
            "recipe": outcome["recipe"],
            "loss_curve": [
                {"epoch": r["epoch"], "step": r["step"], "loss": r["loss"]} for r in outcome["history"]
            ],
        }
        rows.append(row)
        print(
            f"{name:>16} steps to loss 0.1: {row['steps_to_loss_0.1']!s:>6}  train {row['train_accuracy']:.4f}  "
            f"test {row['test_accuracy']:.4f}"
        )
    results_of_all = {
        "order": order,
        "seconds": max(results[r.key]["seconds"] for r in recipes.values()),
        "seconds_this_call": seconds,
        "choices": choices(recipes["true"]),
        "rows": rows,
    }
    faults = [
        f"{row['corruption']}: train accuracy {row['train_accuracy']:.4f}, expected {MIN_ACCURACY}"
        for row in rows
        if row["train_accuracy"] < MIN_ACCURACY
    ]
    harness.finish("benchmarks.corruptions", words, options.out, results_of_all, faults)


if __name__ == "__main__":
    main()
