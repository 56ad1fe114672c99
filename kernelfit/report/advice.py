"""What to try after a result: at most three commands that follow from what the result shows."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from kernelfit.experiments import paper

MAX_STEPS = 3
# Below this many rows a single-precision factor saves too little time to be worth naming.
MIXED_PAYS_FROM = 20_000
# Solutions lose about log10(condition) of float64's 16 digits.
ILL_CONDITIONED = 1e12


def next_steps(record: dict[str, Any]) -> list[str]:
    """The next commands, most useful first; of a run that is stored the last one predicts."""
    steps = []
    condition = record["condition_estimate"]
    if condition is not None and condition > ILL_CONDITIONED:
        # Of streamed features it is in units of the mean diagonal; elsewhere K may be of any size.
        ridge = "1e-8" if "mean_diagonal" in record else "auto"
        steps.append(f"--ridge {ridge}   K is nearly singular; a small ridge steadies alpha")
    if record["dataset"] == "digits":
        steps.append("kernelfit solve --dataset mnist --n 10000   the paper's data")
    row = paper.find(record["dataset"], record["features"])
    if row is not None and record["n_train"] < row.n_train:
        steps.append(f"--n {row.n_train}   the whole training set (kernelfit plan shows the cost)")
    if record["features"] == "none" and not record.get("corruption"):
        better = next(
            (
                other
                for other in paper.ROWS
                if other.dataset == record["dataset"] and other.features != "none"
            ),
            None,
        )
        if better is not None:
            steps.append(f"--features {better.features}   the paper's {100 * better.test_error:.2g} % row")
    has_factor = "convergence" not in record
    if has_factor and record["loo_error"] is None and record["loo_rmse"] is None:
        steps.append("--loo   compare kernels by leave-one-out, without the test rows")
    if has_factor and record["precision"] == "float64" and record["n_train"] >= MIXED_PAYS_FROM:
        steps.append("--precision mixed   float32 factor, refined to the same accuracy")
    if record.get("out") is not None:
        return [*steps[: MAX_STEPS - 1], predict_command(record["out"])]
    steps.append("--out DIR   keep the solution for kernelfit predict")
    return steps[:MAX_STEPS]


def predict_command(run_dir: str | Path) -> str:
    """What predicts new rows by the run that is stored there."""
    return f"kernelfit predict {shlex.quote(str(run_dir))} --rows FILE"
