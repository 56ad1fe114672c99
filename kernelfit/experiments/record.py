"""The record of one solve: the keys that `--json` promises. Keys may be added; none is renamed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kernelfit.cpu import environment
from kernelfit.datasets import Dataset
from kernelfit.metrics import coefficient_of_determination, compare
from kernelfit.solver.ridge import RidgeChoice
from kernelfit.solver.solution import Solution
from kernelfit.typing import Float

if TYPE_CHECKING:
    from kernelfit.streaming.gram import FeatureGram


#: Phases in the order in which they run.
PHASES = ("load", "features", "gram", "factor", "solve", "predict", "certify", "loo")

#: What is repeated for the interpolating solution where a ridge was chosen.
_OF_A_SOLUTION = (
    "ridge",
    "n_distinct",
    "test_error",
    "train_error",
    "loo_error",
    "test_rmse",
    "test_r2",
    "train_rmse",
    "loo_rmse",
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


def solve_record(
    *,
    dataset: Dataset,
    features: str,
    n_features: int,
    solution: Solution,
    predictions: Float,
    left_out: Float | None,
    seconds: dict[str, float],
    seed: int,
    command: str,
) -> dict[str, Any]:
    """Errors as fractions in [0, 1], times in seconds, sizes in bytes.

    `predictions` (n_test, c) are scores of the test rows, `left_out` (n, c) leave-one-out scores of the training
    rows that were kept, `seconds` what the caller measured (`load`, `features`, `total`). For regression the error
    rates are None and root mean squares stand beside them.
    """
    classification = dataset.classes is not None
    certificate, plan = solution.certificate, solution.plan
    kept = dataset.y_train[solution.kept]
    test_error, test_rmse = compare(predictions, dataset.y_test, classification)
    train_error, train_rmse = compare(solution.fitted, kept, classification)
    loo_error, loo_rmse = (None, None) if left_out is None else compare(left_out, kept, classification)
    r2 = None if classification else coefficient_of_determination(predictions, dataset.y_test)
    # The certificate counts rows that were kept; the reader counts rows of the data set.
    weakest = certificate.min_pivot_row
    weakest = None if weakest is None else int(solution.kept[weakest])
    measured = {**solution.seconds, **seconds}
    return {
        "dataset": dataset.name,
        "task": "classification" if classification else "regression",
        "n_train": dataset.n_train,
        "n_test": dataset.n_test,
        "n_distinct": len(solution.kept),
        "n_classes": len(dataset.classes) if dataset.classes is not None else None,
        "n_features": n_features,
        "features": features,
        "kernel": solution.kernel.describe() if solution.kernel is not None else {"name": "precomputed"},
        "ridge": solution.ridge,
        "jitter": certificate.jitter,
        "precision": solution.precision,
        "factor_precision": certificate.factor_precision,
        "device": solution.device,
        "tier": plan.tier,
        "n_rhs": plan.n_rhs,
        "test_error": test_error,
        "train_error": train_error,
        "loo_error": loo_error,
        "test_rmse": test_rmse,
        "test_r2": r2,
        "train_rmse": train_rmse,
        "loo_rmse": loo_rmse,
        "rkhs_norm": certificate.rkhs_norm,
        "rkhs_norm_per_class": list(certificate.rkhs_norm_per_column),
        "backward_error": certificate.backward_error,
        "residual": certificate.residual,
        "interpolates": certificate.interpolates,
        "condition_estimate": certificate.condition_estimate,
        "min_pivot": certificate.min_pivot,
        "min_pivot_row": weakest,
        "weak_pivots": certificate.weak_pivots,
        "log_det": certificate.log_det,
        "rank": certificate.rank,
        "refinements": certificate.refinements,
        "seconds": {name: measured.get(name, 0.0) for name in (*PHASES, "total")},
        "gflops_factor": solution.gflops_factor,
        "peak_rss_bytes": environment.peak_rss_bytes(),
        "traffic": solution.traffic,
        "plan": plan.as_dict(),
        "seed": seed,
        "notes": [*dataset.notes, *solution.notes],
        "versions": environment.versions(),
        "command": command,
    }


def streamed_record(record: dict[str, Any], streamed: FeatureGram) -> dict[str, Any]:
    """The record of a solve with a Gram of streamed features: what its kernel is, and where the time went.

    Two keys are added: `mean_diagonal` of K, and `ridge_relative`, the ridge in units of it. The record's own time for
    features is that of fitting them.
    """
    spent = record["seconds"]
    return {
        **record,
        "kernel": {"name": "linear"},
        "mean_diagonal": streamed.mean_diagonal,
        "ridge_relative": record["ridge"] / streamed.mean_diagonal,
        "seconds": {
            **spent,
            "features": spent["features"] + streamed.seconds["features"],
            "gram": streamed.seconds["gram"] + spent["gram"],
        },
    }


def ridge_record(choice: RidgeChoice, interpolation: dict[str, Any] | None) -> dict[str, Any]:
    """The keys that `--ridge auto` adds: how the ridge was chosen, the whole path, and the solution without one.

    `interpolation` is the record of the solve with ridge 0; None where no function interpolates.
    """
    path = [asdict(trial) for trial in choice.trials]
    chosen = {key: value for key, value in asdict(choice).items() if key != "trials"}
    kept = None if interpolation is None else {key: interpolation[key] for key in _OF_A_SOLUTION}
    return {"interpolation": kept, "ridge_choice": {**chosen, "at_edge": choice.at_edge}, "ridge_path": path}
