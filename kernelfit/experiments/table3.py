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

from numpy.typing import NDArray

from kernelfit import datasets
from kernelfit.arguments import parse_bytes
from kernelfit.cpu.memory import available_memory
from kernelfit.datasets import Dataset, training_targets
from kernelfit.errors import DuplicateRowsError, NotPositiveDefiniteError
from kernelfit.experiments.paper import ROWS, PaperRow
from kernelfit.experiments.record import ridge_record, solve_record, streamed_record
from kernelfit.features.options import make
from kernelfit.features.random_conv import RandomConv
from kernelfit.progress import Progress, Silent
from kernelfit.solver.solution import Solution
from kernelfit.solver.solve import solve
from kernelfit.streaming.gram import FeatureGram, feature_gram, sums_dtype
from kernelfit.typing import Float


@dataclass(frozen=True)
class Settings:
    """What the figures of a row depend on: rows taken from the front (None: all), filters and whether their features
    are rounded to bytes, precision, seed."""

    n_train: int | None = None
    n_test: int | None = None
    filters: int = 32_000
    quantise: bool = False
    precision: str = "float64"
    seed: int = 0


@dataclass(frozen=True)
class Means:
    """What they do not depend on: where the data lies, and what the computation may use.

    `checkpoint` is a file for the sums of a Gram that takes long, from which a row that was killed goes on.
    """

    data_dir: Path | None = None
    memory: str | None = None
    tier: str = "auto"
    scratch: Path | None = None
    threads: int | None = None
    checkpoint: Path | None = None


@dataclass(frozen=True)
class _Rows:
    """Rows or a Gram as `kernelfit.solve` takes them, and the test rows; `seconds` went by for features as such."""

    train: Any
    test: NDArray[Any]
    arguments: dict[str, Any]
    n_features: int
    options: dict[str, Any]
    seconds: float = 0.0
    streamed: FeatureGram | None = None
    note: str = ""

    def predict(self, solution: Solution, progress: Progress) -> Float:
        """f at the test rows (m, c)."""
        if self.streamed is not None:
            return self.streamed.predict(solution)
        return solution.predict(self.test, progress)


def names() -> tuple[str, ...]:
    """The rows of the table, such as `mnist-gabor`."""
    return tuple(row.name for row in ROWS)


def parameters(row: PaperRow, settings: Settings) -> dict[str, Any]:
    """What must be equal for a finished row to be taken over; only what the row depends on."""
    given = {"row": row.name, **asdict(settings), "version": version("kernelfit")}
    if row.filters is None:
        del given["filters"], given["quantise"]
    return given


def run_row(
    row: PaperRow, settings: Settings, means: Means, command: str = "", progress: Progress | None = None
) -> dict[str, Any]:
    """Load, features, Gram, both solutions: the record of one row (`interpolation` and `chosen` as `kernelfit solve`
    writes them; `interpolation` is None where K is singular to rounding)."""
    progress = progress or Silent()
    started = time.perf_counter()
    dataset = datasets.load(
        row.dataset,
        n_train=settings.n_train,
        n_test=settings.n_test,
        data_dir=means.data_dir,
        seed=settings.seed,
        progress=progress,
    )
    loaded = time.perf_counter()
    rows = _rows(row, dataset, settings, means, progress)
    # Rows are counted by the plan of the solve, what Grams hold already is not.
    held = rows.streamed.plan.held if rows.streamed is not None else 0
    memory = means.memory if means.memory is None else max(1, parse_bytes(means.memory) - held)
    prepared = time.perf_counter() - started
    seconds = {"load": loaded - started, "features": rows.seconds}

    def record_of(solution: Solution, began: float) -> dict[str, Any]:
        scores = rows.predict(solution, progress)
        solution.close()
        elapsed = {**seconds, "total": prepared + time.perf_counter() - began}
        record = solve_record(
            dataset=dataset,
            features=row.features,
            n_features=rows.n_features,
            solution=solution,
            predictions=scores,
            left_out=None,
            seconds=elapsed,
            seed=settings.seed,
            command=command,
        )
        return record if rows.streamed is None else streamed_record(record, rows.streamed)

    arguments: dict[str, Any] = {
        "precision": settings.precision,
        "memory": memory,
        "tier": means.tier,
        "scratch": means.scratch,
        "threads": means.threads,
        "seed": settings.seed,
        "progress": progress,
    }
    targets = training_targets(dataset)
    began = time.perf_counter()
    solution = solve(rows.train, targets, ridge="auto", **rows.arguments, **arguments)
    choice = solution.ridge_choice
    assert choice is not None
    chosen = record_of(solution, began)
    notes = [rows.note] if rows.note else []
    interpolation: dict[str, Any] | None = chosen
    if choice.ridge > 0:
        kernel = {} if solution.kernel is None else {"kernel": solution.kernel, "gamma": None}
        began = time.perf_counter()
        try:
            interpolation = record_of(
                solve(rows.train, targets, **{**rows.arguments, **kernel, **arguments}), began
            )
        except (DuplicateRowsError, NotPositiveDefiniteError) as error:
            interpolation = None
            notes.append(f"no solution without a ridge: {error}")
            progress.note(notes[-1])
    if rows.streamed is not None:
        rows.streamed.close()
    decided = ridge_record(choice, None)
    return {
        "row": row.name,
        "parameters": parameters(row, settings),
        "n_train": dataset.n_train,
        "n_test": dataset.n_test,
        "n_features": rows.n_features,
        "filters": settings.filters if row.filters else None,
        "feature_options": rows.options,
        "interpolation": interpolation,
        "chosen": chosen,
        "ridge_choice": decided["ridge_choice"],
        "ridge_path": decided["ridge_path"],
        "seconds": time.perf_counter() - started,
        "notes": notes,
    }


def _rows(row: PaperRow, dataset: Dataset, settings: Settings, means: Means, progress: Progress) -> _Rows:
    gaussian = {"kernel": "gaussian", "gamma": "auto"}
    if row.features == "none":
        arguments = {**gaussian, "scale": dataset.scale}
        d = dataset.n_features
        return _Rows(dataset.X_train, dataset.X_test, arguments, d, {})
    given = {}
    if row.filters is not None:
        given = {
            "n_filters": settings.filters,
            "quantise": settings.quantise,
            "random_state": settings.seed,
        }
    began = time.perf_counter()
    feature = make(
        row.features,
        image_shape=dataset.image_shape,
        scale=dataset.scale,
        threads=means.threads,
        given=given,
    )
    feature.fit(dataset.X_train, progress=progress)
    options = feature.get_params()
    if row.filters is None:
        train = feature.transform(dataset.X_train, progress=progress)
        test = feature.transform(dataset.X_test, progress=progress)
        return _Rows(train, test, gaussian, train.shape[1], options, time.perf_counter() - began)
    assert isinstance(feature, RandomConv)
    fitted = time.perf_counter() - began
    limit = available_memory() if means.memory is None else parse_bytes(means.memory)
    streamed = feature_gram(
        feature,
        dataset.X_train,
        dataset.X_test,
        dtype=sums_dtype(settings.precision),
        memory=limit,
        checkpoint=means.checkpoint,
        scratch=means.scratch,
        way_on="give the same command again",
        device="auto",
        progress=progress,
    )
    precomputed = {"kernel": "precomputed"}
    return _Rows(
        streamed.gram,
        streamed.cross,
        precomputed,
        streamed.n_features,
        options,
        fitted,
        streamed,
        "; ".join(feature.notes),
    )
