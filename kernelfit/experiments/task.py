"""One run under way: from the data set to what is reported."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kernelfit.datasets import Dataset
from kernelfit.errors import DataError, DuplicateRowsError, NotPositiveDefiniteError, StorageError
from kernelfit.experiments import record as records
from kernelfit.experiments.file_rows import named_as_in_the_file
from kernelfit.experiments.new_row_checks import are_whole
from kernelfit.experiments.prepare import Prepared, prepare
from kernelfit.experiments.result import Result
from kernelfit.experiments.specs import Settings
from kernelfit.experiments.stream import Checkpoint, stream
from kernelfit.progress import Aside, Progress
from kernelfit.runs import result_file
from kernelfit.solver.solution import Solution
from kernelfit.solver.solve import solve
from kernelfit.storage.hdf5 import array_digest
from kernelfit.typing import Float

# A column whose values vary by a thirtieth has a thousandth of the say in a squared distance.
_DIFFERENT_SCALES = 30.0


def data_digest(dataset: Dataset) -> str:
    """128 bits that tell the training rows and labels from others."""
    return array_digest(dataset.X_train) + array_digest(dataset.y_train)


def test_digest(dataset: Dataset) -> str:
    """128 bits each that tell the test rows and their labels from others."""
    return array_digest(dataset.X_test) + array_digest(dataset.y_test)


def whole_digest(dataset: Dataset) -> str:
    """128 bits that tell all rows and labels of a data set, of both parts, from others."""
    every = (data_digest(dataset) + test_digest(dataset)).encode()
    return array_digest(np.frombuffer(every, dtype=np.uint8))


def require_same_rows(where: Path, name: str, part: str, stored: str | None, digest: str) -> None:
    """Raise `DataError` where the `part` rows of a data set are no longer those of the run `where`, whose digest was
    `stored`; None is that of a run that stored none."""
    if stored not in (None, digest):
        raise DataError(
            f"{where}: the {part} rows of {name} are no longer those of the run; restore the data, or solve again into "
            "another folder"
        )


def _scales(dataset: Dataset) -> str:
    """A note where the columns of a table differ so much that the largest decide alone; else nothing."""
    X = dataset.X_train
    if dataset.table is None or (X.min() >= 0 and X.max() <= 255 and are_whole(X)):
        return ""  # pixels: those at the edge vary little, and should decide little
    X = X if dataset.indicators is None else X[:, ~dataset.indicators]
    spread = X.std(axis=0)[X.max(axis=0, initial=-np.inf) > X.min(axis=0, initial=np.inf)]
    if not len(spread) or spread.max() <= _DIFFERENT_SCALES * spread.min():
        return ""
    return (
        f"columns have standard deviations from {spread.min():.2g} to {spread.max():.2g}: the largest decide most "
        "distances; standardise=True brings all to 1"
    )


class Task:
    """One run under way: the data set, what the kernel sees, and what is to be reported."""

    def __init__(
        self, settings: Settings, dataset: Dataset, prepared: Prepared, seconds_load: float, command: str
    ) -> None:
        self.settings, self.dataset, self.prepared = settings, dataset, prepared
        self.command, self.seconds_load = command, seconds_load
        #: whether an earlier process did some of the work
        self.resumed = False

    @classmethod
    def load(cls, settings: Settings, checkpoint: Checkpoint, command: str, progress: Progress) -> Task:
        """Read the data set and compute its features; those that stream store their sums in the checkpoint."""
        began = time.perf_counter()
        inputs, solver = settings.inputs, settings.solver
        dataset = inputs.load(progress)
        for note in ("" if inputs.standardise else _scales(dataset), inputs.features.unseeded(inputs.seed)):
            if note:
                dataset = replace(dataset, notes=(*dataset.notes, note))
                progress.note(note)
        seconds = time.perf_counter() - began
        if settings.streams:
            with named_as_in_the_file(dataset):
                prepared = stream(dataset, inputs.features, settings.kernel, solver, checkpoint, progress)
        else:
            prepared = prepare(dataset, inputs.features, solver.threads, progress)
            prepared = prepared.standardised(dataset.indicators) if inputs.standardise else prepared
        prepared = prepared.counted(settings.kernel, solver)
        prepared = prepared.centred(dataset) if inputs.centre else prepared
        return cls(settings, dataset, prepared, seconds, command)

    @property
    def transformed(self) -> str:
        """What was done to rows and targets of the data set before the solver had them, in words."""
        table, inputs = self.dataset.table, self.settings.inputs
        done = {
            "words as columns of 0 and 1": table is not None and bool(table.of_words),
            f"features {inputs.features.name}": bool(inputs.features),
            "columns standardised": inputs.standardise,
            "targets less their mean": inputs.centre,
        }
        return ", ".join(what for what, holds in done.items() if holds)

    def kernel_arguments(self) -> dict[str, Any]:
        """As `kernelfit.solve` takes them."""
        if self.prepared.streamed is not None:
            return {"kernel": "precomputed"}
        return self.settings.kernel.arguments(self.prepared.gamma_factor)

    def report(self, solution: Solution, run_dir: Path | None, started: float, progress: Progress) -> Result:
        """Errors, norms and times since `started`; the record is stored in `run_dir`. The factor is given back."""
        features = self.settings.inputs.features
        try:
            record, left_out = self._record(solution, started, progress)
        finally:
            choice, width = solution.ridge_choice, solution.gamma_choice
            solution.close()  # the memory of its factor is wanted
        record |= {} if width is None else records.gamma_record(width)
        without, remarks = None, list(self.prepared.notes if self.prepared.streamed is not None else ())
        earlier = self._earlier_choices(run_dir, solution)
        if choice is not None and not earlier:
            without = record
            if solution.ridge > 0:
                begun = time.perf_counter()
                without, said = self._interpolate(solution, progress)
                record["seconds"]["interpolate"] = time.perf_counter() - begun
                remarks += said
                record["notes"] = [*record["notes"], *said]
            record = record | records.ridge_record(choice, without)
            record["seconds"]["total"] = time.perf_counter() - started
        record |= {**earlier, "seconds": {**record["seconds"], **earlier.get("seconds", {})}}
        streamed = self.prepared.streamed is not None
        standardisation, target_mean = self.prepared.standardisation, self.prepared.target_mean
        if run_dir is not None:
            stored = {
                **record,
                "classes": self.dataset.classes,
                "table": self.dataset.table and self.dataset.table.to_dict(),
                "streamed": streamed,
                "data_digest": data_digest(self.dataset),
                "test_digest": test_digest(self.dataset),
                "rows_digest": array_digest(self.dataset.X_train) if features else None,
                "standardisation": standardisation and standardisation.to_dict(),
                "target_mean": target_mean,
                "experiment": self.settings.to_dict(),
            }
            result_file.write(run_dir, stored, solution.alpha)
        fitted = None if self.prepared.feature is None else (self.prepared.feature, self.prepared.rows)
        return Result(
            record=record,
            solution=solution,
            classes=self.dataset.classes,
            table=self.dataset.table,
            inputs=self.settings.inputs,
            streamed=streamed,
            standardisation=standardisation,
            target_mean=target_mean,
            run_dir=run_dir,
            data_digest=None if run_dir is None else stored["data_digest"],
            test_digest=None if run_dir is None else stored["test_digest"],
            without_ridge=without,
            remarks=tuple(remarks),
            fitted=fitted if features else None,
            left_out=left_out,
        )

    def close(self) -> None:
        """Give back a device or a file that holds a Gram."""
        self.prepared.close()

    def _earlier_choices(self, run_dir: Path | None, solution: Solution) -> dict[str, Any]:
        """What an earlier report of this solution on the same test rows says of the choice of gamma and ridge, with
        their seconds; nothing where there is none."""
        if run_dir is None or not self.resumed:
            return {}
        try:
            earlier = result_file.read(run_dir, solution.alpha)
        except (DataError, StorageError):  # there is none, or it is of another solution
            return {}
        chosen = {key: earlier[key] for key in records.OF_CHOICES if key in earlier}
        if not chosen or earlier.get("test_digest") != test_digest(self.dataset):
            return {}
        return {**chosen, "seconds": {name: earlier["seconds"][name] for name in records.SECONDS_OF_CHOICES}}

    def _record(
        self, solution: Solution, started: float, progress: Progress
    ) -> tuple[dict[str, Any], Float | None]:
        """The record, and leave-one-out predictions of the rows that were kept (n, c) where they are asked for."""
        predictions = self.prepared.predict(solution, progress)
        left_out: Float | None = None
        likely: list[Float] = []
        if self.settings.loo:
            left_out = solution.leave_one_out(progress, distinct=True)
            left_out = self.prepared.restored(left_out.reshape(len(left_out), -1))
            likely = [self.prepared.restored(each) for each in solution.likely_left_out(progress)]
        inputs = self.settings.inputs
        record = records.solve_record(
            self.dataset,
            self.prepared,
            solution,
            predictions=predictions,
            left_out=left_out,
            likely=likely,
            seconds={"load": self.seconds_load, "total": time.perf_counter() - started},
            about={"features": inputs.features.name, "seed": inputs.seed, "command": self.command},
        )
        record |= {"standardise": True} if inputs.standardise else {}
        record |= {"centre": True} if inputs.centre else {}
        record |= inputs.corruption.to_dict() if inputs.corruption else {}
        return record | ({"resumed": True} if self.resumed else {}), left_out

    def _interpolate(
        self, chosen: Solution, progress: Progress
    ) -> tuple[dict[str, Any] | None, Sequence[str]]:
        """The record of the same solve without a ridge and the notes of it; or None and why there is none."""
        started = time.perf_counter()
        arguments = self.prepared.solver_arguments(self.settings.solver) | {"ridge": 0.0}
        aside = Aside(progress, "without a ridge", chosen.notes)
        try:
            solution = solve(
                self.prepared.X_train,
                self.prepared.targets(self.dataset),
                kernel=chosen.kernel or "precomputed",
                **arguments,
                progress=aside,
            )
        except (DuplicateRowsError, NotPositiveDefiniteError) as error:
            reason = f"no solution without a ridge: {error}"
            progress.note(reason)
            return None, [reason]
        try:
            return self._record(solution, started, aside)[0], aside.lines
        finally:
            solution.close()
