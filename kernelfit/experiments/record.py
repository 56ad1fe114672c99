"""The record of one solve: the keys that `--json` promises. Keys may be added; none is renamed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from numpy.typing import NDArray

from kernelfit.cpu import environment
from kernelfit.datasets import Dataset
from kernelfit.experiments.new_row_checks import are_byte_values
from kernelfit.experiments.prepare import Prepared
from kernelfit.kernels import Linear
from kernelfit.metrics import Errors, compare, spread
from kernelfit.solver.ridge import RidgeChoice
from kernelfit.solver.search import GammaChoice
from kernelfit.solver.solution import Solution
from kernelfit.storage import schema
from kernelfit.streaming.gram import FeatureGram
from kernelfit.typing import Float

#: Phases in the order in which they run.
#: `choose`: of gamma and ridge; `interpolate`: the solve without the ridge that was chosen
PHASES = (
    *("load", "features", "choose", "gram", "factor", "solve", "predict", "certify", "loo"),
    "interpolate",
)

#: What is repeated for the interpolating solution where a ridge was chosen.
_OF_A_SOLUTION = (
    "ridge",
    "n_distinct",
    "test_error",
    "train_error",
    "loo_error",
    "test_rmse",
    "test_r2",
    "test_mae",
    "train_rmse",
    "train_r2",
    "train_mae",
    "loo_rmse",
    "loo_r2",
    "loo_mae",
    "rkhs_norm",
    "rkhs_norm_per_class",
    "backward_error",
    "residual",
    "interpolates",
    "condition_estimate",
    "min_pivot",
    "min_pivot_row",
    "weak_pivots",
    "log_det",
    "rank",
)
#: Keys that a choice of the ridge adds to a record.
OF_A_CHOICE = ("interpolation", "ridge_choice", "ridge_path")
#: Keys of choices that the files of a run do not have, and its seconds for them.
OF_CHOICES, SECONDS_OF_CHOICES = (*OF_A_CHOICE, "gamma_choice", "gamma_path"), ("choose", "interpolate")
#: what result.json holds of that, and what is read beside it for new rows
STORED = {
    "dataset": schema.TEXT,
    "task": schema.one_of(("classification", "regression")),
    "image_shape": schema.optional(schema.sequence(schema.integer(1), 3, 3)),
    "notes": schema.sequence(schema.TEXT),
    "seconds": schema.mapping(schema.number()),
    "interpolates": schema.BOOLEAN,
    **{
        key: schema.optional(schema.number())
        for key in _OF_A_SOLUTION
        if key not in ("interpolates", "rkhs_norm_per_class")
    },
    "classes": schema.optional(schema.sequence(schema.TEXT, 1)),
    "table": schema.optional(schema.OBJECT),
    "data_digest": schema.TEXT,
    "test_digest": schema.optional(schema.TEXT),
    "rows_digest": schema.optional(schema.TEXT),
    "standardisation": schema.optional(schema.OBJECT),
    "target_mean": schema.optional(schema.sequence(schema.number(), 1)),
    "streamed": schema.BOOLEAN,
    "experiment": schema.OBJECT,
}


def solve_record(
    dataset: Dataset,
    prepared: Prepared,
    solution: Solution,
    *,
    predictions: Float,
    left_out: Float | None,
    likely: Sequence[Float],
    seconds: dict[str, float],
    about: dict[str, Any],
) -> dict[str, Any]:
    """Errors as fractions in [0, 1], times in seconds, sizes in bytes.

    `predictions` (n_test, c) are scores of the test rows, `left_out` (n, c) leave-one-out scores of the training
    rows that were kept and `likely` others as good where those are estimates, `seconds` what the caller measured
    (`load`, `total`), `about` what it was asked for: `features`, `seed`, `command`. For regression the error rates are
    None, and root mean squares, R^2 and mean absolute errors stand beside them.
    """
    classification = dataset.classes is not None
    plan = solution.plan
    # The solution counts rows of its Gram, the reader those of the data set.
    kept = solution.kept if prepared.kept is None else prepared.kept[solution.kept]
    truth = dataset.y_train[kept]
    certified = _certified(solution)
    if certified["min_pivot_row"] is not None and prepared.kept is not None:
        certified["min_pivot_row"] = int(prepared.kept[certified["min_pivot_row"]])
    test = compare(predictions, dataset.y_test, classification)
    train = compare(prepared.restored(solution.fitted), truth, classification)
    loo = Errors() if left_out is None else compare(left_out, truth, classification)
    # Chosen together, a width and a ridge have the seconds of one search.
    chosen = {
        choice.seconds for choice in (solution.gamma_choice, solution.ridge_choice) if choice is not None
    }
    measured = {"features": prepared.seconds, "choose": sum(chosen), **solution.seconds, **seconds}
    notes = [*prepared.notes, *(text for text in solution.notes if text not in prepared.notes)]
    record = {
        "dataset": dataset.name,
        "task": "classification" if classification else "regression",
        "n_train": dataset.n_train,
        "n_test": dataset.n_test,
        "n_distinct": len(kept),
        "n_classes": len(dataset.classes) if dataset.classes is not None else None,
        "n_features": prepared.n_features,
        "image_shape": None if dataset.image_shape is None else list(dataset.image_shape),
        "scale": dataset.scale,
        "byte_values": are_byte_values(dataset.X_train),
        "features": about["features"],
        **_equations(solution),
        **test.named("test"),
        **train.named("train"),
        **loo.named("loo"),
        **_deviations(solution, left_out, likely, truth, classification),
        **certified,
        "seconds": {name: measured.get(name, 0.0) for name in (*PHASES, "total")},
        "gflops_factor": solution.gflops_factor,
        "peak_rss_bytes": environment.peak_rss_bytes(),
        "traffic": solution.traffic,
        "plan": plan.to_dict(),
        **({} if solution.convergence is None else {"convergence": solution.convergence.to_dict()}),
        "seed": about["seed"],
        "notes": [*dataset.notes, *notes],
        "versions": environment.versions(),
        "command": about["command"],
    }
    if prepared.mean_diagonal is not None:
        relative = record["ridge"] / prepared.mean_diagonal
        record |= {"mean_diagonal": prepared.mean_diagonal, "ridge_relative": relative}
    return record if prepared.streamed is None else _streamed(record, prepared.streamed)


def _deviations(
    solution: Solution,
    left_out: Float | None,
    likely: Sequence[Float],
    truth: NDArray[Any],
    classification: bool,
) -> dict[str, Any]:
    """Standard deviations of leave-one-out errors that are estimates, and by how many probes; nothing of a factor."""
    if left_out is None or not likely:
        return {}
    named = spread(left_out, likely, truth, classification).named("loo")
    deviations = {f"{name}_deviation": value for name, value in named.items()}
    return {**deviations, "loo_probes": solution.probes}


def run_record(solution: Solution, command: str) -> dict[str, Any]:
    """The record of a solution whose data set is not at hand."""
    return {
        **solution.to_dict(),
        "rkhs_norm_per_class": list(solution.certificate.rkhs_norm_per_column),
        "peak_rss_bytes": environment.peak_rss_bytes(),
        "versions": environment.versions(),
        "command": command,
    }


def _certified(solution: Solution) -> dict[str, Any]:
    """The certificate under the record's names: columns are classes here."""
    certified = solution.certificate.to_dict()
    certified["rkhs_norm_per_class"] = list(certified.pop("rkhs_norm_per_column"))
    for name in ("norm", "consistent"):
        del certified[name]
    return certified


def _equations(solution: Solution) -> dict[str, Any]:
    described = solution.to_dict()
    return {key: described[key] for key in ("kernel", "ridge", "precision", "device", "tier", "n_rhs")}


def _streamed(record: dict[str, Any], streamed: FeatureGram) -> dict[str, Any]:
    """The record of a solve with a Gram of streamed features: what its kernel is, and where the time went.

    The record's own time for features is that of fitting them.
    """
    spent = record["seconds"]
    return {
        **record,
        "kernel": (streamed.gram.formula or Linear()).describe(),
        "seconds": {
            **spent,
            "features": spent["features"] + streamed.seconds["features"],
            "gram": streamed.seconds["gram"] + spent["gram"],
        },
    }


def gamma_record(choice: GammaChoice) -> dict[str, Any]:
    """The keys that an "auto" gamma or length scale adds: how it was chosen, and every value tried."""
    chosen = {key: value for key, value in asdict(choice).items() if key != "trials"}
    return {"gamma_choice": chosen, "gamma_path": [asdict(trial) for trial in choice.trials]}


def ridge_record(choice: RidgeChoice, interpolation: dict[str, Any] | None) -> dict[str, Any]:
    """The keys that `ridge="auto"` adds: how the ridge was chosen, the whole path, and the solution without one.

    `interpolation` is the record of the solve with ridge 0; None where that solve failed.
    """
    path = [asdict(trial) for trial in choice.trials]
    chosen = {key: value for key, value in asdict(choice).items() if key != "trials"}
    without = None if interpolation is None else {key: interpolation[key] for key in _OF_A_SOLUTION}
    return {
        "interpolation": without,
        "ridge_choice": {**chosen, "at_edge": choice.at_edge},
        "ridge_path": path,
    }
