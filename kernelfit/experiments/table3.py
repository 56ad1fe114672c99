"""The paper's Table 3: what kernels that fit every label reach on MNIST and CIFAR-10, with and without features.

Every choice is made on training rows: gamma and ridge by leave-one-out in closed form, features by their defaults.
For each row both solutions are reported, the interpolating one (ridge 0) and the one of the chosen ridge.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kernelfit.experiments.experiment import Experiment
from kernelfit.experiments.paper import (
    CHOSEN_KERNEL,
    CHOSEN_OPTIONS,
    RANDOM_CONV_KERNEL,
    RANDOM_CONV_OPTIONS,
    ROWS,
    PaperRow,
)
from kernelfit.experiments.record import OF_A_CHOICE
from kernelfit.progress import ProgressLike
from kernelfit.typing import Corruption, PrecisionName, Tier


@dataclass(frozen=True)
class Settings:
    """What the figures of a row depend on: rows taken from the front (None: all), filters and whether their features
    are rounded to bytes, precision, seed, and what was done to labels or pixels (see `kernelfit.Experiment`)."""

    n_train: int | None = None
    n_test: int | None = None
    filters: int = 32_000
    quantise: bool = False
    precision: PrecisionName = "float64"
    seed: int = 0
    corruption: Corruption = "true"
    corruption_p: float = 1.0


@dataclass(frozen=True)
class Means:
    """What they do not depend on: where the data lies, and what the computation may use.

    `checkpoint` is a file for the sums of a Gram that takes long, from which a row that was killed is resumed.
    """

    data_dir: Path | None = None
    memory: str | None = None
    tier: Tier = "auto"
    scratch: Path | None = None
    threads: int | None = None
    checkpoint: Path | None = None


def names() -> tuple[str, ...]:
    """The rows of the table, such as `mnist-gabor`."""
    return tuple(row.name for row in ROWS)


def parameters(row: PaperRow, settings: Settings) -> dict[str, Any]:
    """What must be equal for a finished row to be taken over; only what the row depends on."""
    given = {"row": row.name, **asdict(settings), "version": version("kernelfit")}
    if row.filters is None:
        del given["filters"], given["quantise"]
    if settings.corruption == "true":
        del given["corruption"], given["corruption_p"]
    return given


def run_row(
    row: PaperRow, settings: Settings, means: Means, command: str = "", progress: ProgressLike = None
) -> dict[str, Any]:
    """Load, features, Gram, both solutions: the record of one row (`interpolation` and `chosen` as `kernelfit solve`
    writes them; `interpolation` is None where K is singular to rounding)."""
    started = time.perf_counter()
    experiment = experiment_of(row, settings, means)
    checkpoint = means.checkpoint if experiment.streams else None  # the other rows have no sums to store
    result = experiment.run(checkpoint=checkpoint, command=command, progress=progress)
    record = result.record
    return {
        "row": row.name,
        "parameters": parameters(row, settings),
        "n_train": record["n_train"],
        "n_test": record["n_test"],
        "n_features": record["n_features"],
        "filters": settings.filters if row.filters else None,
        "feature_options": dict(experiment.inputs.features.options),
        "interpolation": result.without_ridge,
        "chosen": {key: value for key, value in record.items() if key not in OF_A_CHOICE},
        "ridge_choice": record["ridge_choice"],
        "ridge_path": record["ridge_path"],
        "seconds": time.perf_counter() - started,
        "notes": list(result.remarks),
    }


def experiment_of(row: PaperRow, settings: Settings, means: Means) -> Experiment:
    """The row as an experiment: a gaussian kernel of chosen width, or the linear one of features that stream; where
    these are the chosen ones, their own default."""
    options: dict[str, Any] = {}
    if row.filters is not None:
        options = {
            **(CHOSEN_OPTIONS if row.chosen else RANDOM_CONV_OPTIONS),
            "n_filters": settings.filters,
            "quantise": settings.quantise,
            "random_state": settings.seed,
        }
    return Experiment(
        row.dataset,
        n_train=settings.n_train,
        n_test=settings.n_test,
        data_dir=means.data_dir,
        corruption=settings.corruption,
        corruption_p=settings.corruption_p,
        features=row.features,
        feature_options=options,
        kernel=None if row.filters is None else CHOSEN_KERNEL if row.chosen else RANDOM_CONV_KERNEL,
        gamma=None if row.filters is not None else "auto",
        ridge="auto",
        precision=settings.precision,
        memory=means.memory,
        tier=means.tier,
        scratch=means.scratch,
        threads=means.threads,
        seed=settings.seed,
    )
