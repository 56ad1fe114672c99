"""The same data under other settings: corruptions of labels and pixels, features, kernels, ridges.

Each setting is an `Experiment` of its own: other inputs have another K.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kernelfit.datasets.corruptions import CORRUPTIONS, OF_LABELS
from kernelfit.errors import DuplicateRowsError, NotPositiveDefiniteError
from kernelfit.experiments.experiment import Experiment
from kernelfit.experiments.specs import TRUE
from kernelfit.progress import Progress

#: what a setting's row shows of the experiment's record
MEASURED = (
    "train_error",
    "test_error",
    "loo_error",
    "rkhs_norm",
    "backward_error",
    "condition_estimate",
    "ridge",
)
#: share of the labels that `corrupt-labels` draws anew among the corruptions; all of them are `random-labels`
HALF = 0.5
#: kernels and ridges of `norms`, as arguments of an experiment
KERNELS = ("gaussian", "laplacian", "matern")
RIDGES = (0.0, 1e-3, 1e-1)


@dataclass(frozen=True)
class Setting:
    """What is changed in an experiment, and how it is called in a table."""

    name: str
    changes: dict[str, Any]


def corruption_settings(
    features: Iterable[str], seeds: Iterable[int], of_labels: bool = True
) -> list[Setting]:
    """Every corruption under every feature map and seed, half of the labels where only some are drawn anew; the data as
    they are once.

    The seeds draw corruptions: rows that are held out stay those of the experiment. Without `of_labels` those of labels
    are left out, as numeric targets have no classes to draw.
    """
    draws = list(seeds)
    return [
        Setting(
            f"{feature}, {corruption}" + ("" if corruption == TRUE else f", seed {seed}"),
            {
                "features": feature,
                "corruption": corruption,
                "corruption_p": HALF if corruption == "corrupt-labels" else 1.0,
                **({} if corruption == TRUE else {"corruption_seed": seed}),
            },
        )
        for feature in features
        for corruption in CORRUPTIONS
        if of_labels or corruption not in OF_LABELS
        for seed in (draws if corruption != TRUE else draws[:1])
    ]


def norm_settings(
    kernels: Iterable[str], features: Iterable[str], ridges: Iterable[float] = RIDGES, loo: bool = False
) -> list[Setting]:
    """Every kernel on every feature map with every ridge, as an experiment counts it; with leave-one-out if `loo`."""
    return [
        Setting(
            f"{feature}, {kernel}, ridge {ridge:g}",
            {"features": feature, "kernel": kernel, "ridge": ridge, "loo": loo},
        )
        for feature in features
        for kernel in kernels
        for ridge in ridges
    ]


def run_setting(
    base: dict[str, Any], setting: Setting, progress: Progress | None = None, sums: Path | None = None
) -> dict[str, Any]:
    """The setting's changes and what came of them; or `refused`, where it has no solution, and why.

    `base` holds the arguments of `Experiment` that all settings share, `sums` those of features that stream.
    """
    row = {"name": setting.name, **setting.changes}
    experiment = Experiment(**{**base, **setting.changes})
    try:
        record = experiment.run(checkpoint=sums if experiment.streams else None, progress=progress).record
    except (DuplicateRowsError, NotPositiveDefiniteError) as error:
        return row | {"refused": str(error)}
    return row | {name: record.get(name) for name in MEASURED} | {"seconds": record["seconds"]["total"]}


def rank_correlation(rows: Iterable[dict[str, Any]], first: str, second: str) -> dict[str, float] | None:
    """Spearman's rank correlation of two measured quantities over settings, with its p-value; None for fewer than four,
    and where all values of one of them are equal.

    `rows` whose quantity is not resolved keep out.
    """
    pairs = [
        (row[first], row[second])
        for row in rows
        if all(isinstance(row.get(name), float) and np.isfinite(row[name]) for name in (first, second))
    ]
    if len(pairs) < 4 or any(len(set(values)) == 1 for values in zip(*pairs, strict=True)):
        return None
    from scipy.stats import spearmanr  # a second to import

    ranked = spearmanr(*zip(*pairs, strict=True))
    return {"count": len(pairs), "correlation": float(ranked.statistic), "p_value": float(ranked.pvalue)}
