"""An experiment as one object: data set -> corruption -> features -> exact interpolation -> record.

The command line is a parser of these arguments: whatever `kernelfit solve` does, `Experiment(...).run()` does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kernelfit.arguments import flag, mapping, path_of, suggests_names
from kernelfit.datasets import Dataset
from kernelfit.datasets.table_columns import TableColumns
from kernelfit.errors import DataError, InputError, NotPositiveDefiniteError
from kernelfit.experiments import record as records
from kernelfit.experiments.file_rows import named_as_in_the_file
from kernelfit.experiments.prepare import Prepared
from kernelfit.experiments.result import Result
from kernelfit.experiments.run_dir import claim, require_same_experiment, require_sums
from kernelfit.experiments.specs import (
    MACHINE,
    NONE,
    TRUE,
    CorruptionSpec,
    DataSpec,
    FeatureSpec,
    Inputs,
    KernelSpec,
    Settings,
    SolverSettings,
)
from kernelfit.experiments.standardisation import Standardisation
from kernelfit.experiments.stream import Checkpoint
from kernelfit.experiments.task import Task, data_digest, require_same_rows
from kernelfit.progress import Progress, ProgressLike, as_progress
from kernelfit.runs import asked_file, result_file
from kernelfit.runs.folder import ASKED, GRAM, JOURNAL, RESULT, RUN, SOLUTION, WEIGHTS
from kernelfit.solver import resume as runs
from kernelfit.solver.solution import Solution
from kernelfit.solver.solve import solve
from kernelfit.storage import schema
from kernelfit.storage.regular import require_regular
from kernelfit.streaming import gram_file
from kernelfit.summary import as_html
from kernelfit.typing import (
    Corruption,
    EngineName,
    GammaRule,
    Missing,
    PrecisionLike,
    RidgeRule,
    SolverName,
    TaskName,
    Tier,
)

Pathlike = str | Path | None
_NEVER_HELD = (
    "standardise: features that stream are never held all at once, expected False; or take another kernel"
)


# title -> settings whose values are named, and settings named with their values where they are not the default
_SUMMARY: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "rows",
        (),
        ("n_train", "n_test", "test", "target", "drop", "task", "keys", "missing", "data_dir", "seed"),
    ),
    ("corruption", (), ("corruption", "corruption_p", "corruption_seed")),
    ("features", ("features",), ("feature_options", "standardise")),
    ("kernel", ("kernel",), ("gamma", "gamma_factor", "kernel_params")),
    ("solver", ("precision",), ("ridge", "jitter", "loo", "solver", "tolerance")),
    ("machine", (), MACHINE),
)


class Experiment(Settings):
    """(K + ridge I) alpha = Y for a data set, its features and a kernel: solved exactly, certified and reported.

        >>> result = Experiment("digits", n_train=400, loo=True).run()
        >>> result.record["train_error"], result.record["backward_error"] < 1e-13
        (0.0, True)

    Parameters
    ----------
    dataset : a name of `kernelfit.datasets.REGISTRY`, or the path of a file or folder
    n_train, n_test : take the first rows of each part; None takes all
    data_dir : a folder to look in first for known data sets
    train, test : the user's own files in place of `dataset`
    target, drop, task, keys, missing : how the user's own files are read: label column, columns to leave out,
        "classification" or "regression", names of arrays, whether rows with missing values are refused or left out; as
        for `kernelfit.datasets.load`
    corruption : a name of `kernelfit.datasets.corruptions.CORRUPTIONS`; `corruption_p` is the share of labels that
        "corrupt-labels" draws anew, `corruption_seed` draws the corruption where it is not `seed`
    features : "none", or a name of `kernelfit.features.REGISTRY`, with `feature_options` as its class takes them
    standardise : whether each column of the rows, or of their features, is brought to mean 0 and standard deviation 1
        over the training rows
    centre : whether the mean of a regression's targets is subtracted from them, and added to all predictions: f has no
        constant term of its own
    kernel : a name of `kernelfit.kernels.KERNELS`; by default gaussian, for random convolution features ntk
    gamma, gamma_factor, kernel_params : as for `kernelfit.solve`; by default the factor that suits the features
    ridge, jitter, precision, tier, memory, scratch, device, device_memory, threads, engine, scheduler, solver,
        tolerance : as for `kernelfit.solve`; of random convolution features the ridge is in units of K's mean diagonal
    seed : for rows held out, the corruption, and choices that draw rows; filters are drawn by their own `random_state`
    loo : whether to report leave-one-out errors, n^3/3 flops more

    Raises
    ------
    InputError : an argument that makes no sense
    """

    @suggests_names({"n": "n_train", "random_state": "seed", "n_jobs": "threads"})
    def __init__(
        self,
        dataset: str | Path = "digits",
        *,
        n_train: int | None = None,
        n_test: int | None = None,
        data_dir: Pathlike = None,
        train: Pathlike = None,
        test: Pathlike = None,
        target: str | int | None = None,
        drop: str | Sequence[str | int] | None = None,
        task: TaskName | None = None,
        keys: Mapping[str, str] | None = None,
        missing: Missing = "refuse",
        corruption: Corruption = TRUE,
        corruption_p: float = 1.0,
        corruption_seed: int | None = None,
        features: str = NONE,
        feature_options: Mapping[str, Any] | None = None,
        standardise: bool = False,
        centre: bool = False,
        kernel: str | None = None,
        gamma: float | GammaRule | None = None,
        gamma_factor: float | None = None,
        kernel_params: Mapping[str, Any] | None = None,
        ridge: float | RidgeRule = 0.0,
        jitter: float = 0.0,
        precision: PrecisionLike = "float64",
        tier: Tier = "auto",
        memory: int | str | None = None,
        scratch: Pathlike = None,
        device: str = "auto",
        device_memory: int | str | None = None,
        threads: int | None = None,
        engine: EngineName = "process",
        scheduler: str | None = None,
        solver: SolverName = "cholesky",
        tolerance: float | None = None,
        seed: int = 0,
        loo: bool = False,
    ) -> None:
        data = DataSpec(
            str(path_of("dataset", dataset)) if not isinstance(dataset, str) else dataset,
            n_train,
            n_test,
            _path("data_dir", data_dir),
            _path("train", train),
            _path("test", test),
            target,
            drop,
            task,
            keys,
            missing,
        )
        mapped = FeatureSpec(features, _options("feature_options", feature_options))
        corrupted = CorruptionSpec(corruption, corruption_p, corruption_seed)
        name = kernel if kernel is not None else mapped.default_kernel
        super().__init__(
            Inputs(data, corrupted, mapped, seed, standardise, centre),
            KernelSpec(name, gamma, gamma_factor, _options("kernel_params", kernel_params)),
            SolverSettings(
                ridge,
                jitter,
                precision,
                tier,
                memory,
                _path("scratch", scratch),
                device,
                device_memory,
                threads,
                engine,
                scheduler,
                solver,
                tolerance,
            ),
            loo,
        )
        if standardise and self.streams:
            raise InputError(_NEVER_HELD)

    def __repr__(self) -> str:
        default = Experiment().to_dict()
        given = self.to_dict() | {"feature_options": self.inputs.features.given}
        given = {name: value for name, value in given.items() if value != default[name]}
        if self.kernel.name == self.inputs.features.default_kernel:
            given.pop("kernel", None)
        elif "kernel" not in given:  # the default of other rows
            given["kernel"] = self.kernel.name
        return f"Experiment({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    def summary(self) -> str:
        """What goes in and how it is solved, a line for each; what is left to the defaults is not named."""
        settings = self.to_dict() | {"feature_options": self.inputs.features.given}
        default = Experiment().to_dict()
        lines = [f"Experiment on {settings['train'] or settings['dataset']}"]
        for title, named, names in _SUMMARY:
            said = [f"{settings[name]}" for name in named]
            said += [
                f"{name} {settings[name]}"
                for name in names
                if settings[name] not in (None, {}, False, default[name])
            ]
            if said:
                lines.append(f"  {title:<16}{', '.join(said)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return as_html(self.summary())

    def run(
        self,
        run_dir: Pathlike = None,
        *,
        resume: bool = False,
        checkpoint: Pathlike = None,
        command: str = "",
        progress: ProgressLike = None,
    ) -> Result:
        """Load, prepare, solve and report.

        Parameters
        ----------
        run_dir : a new folder to store the run in: factor, solution and record
        resume : continue the unfinished run that is in `run_dir`, if it is of the same problem
        checkpoint : a file for the sums of features that stream. Those that are complete are taken from it, for any
            kernel of the same rows and features. A run has such a file in its folder: beside `run_dir` it names one
            that is there, which becomes the run's own
        command : what the record says it came from; by default this object and call

        Raises
        ------
        InputError, DataError, and what `kernelfit.solve` raises
        """
        started = time.perf_counter()
        progress = as_progress(progress)
        folder, resume = _path("run_dir", run_dir), flag("resume", resume)
        if folder is not None:
            folder = claim(folder, resume=resume, streams=self.streams)
        command = command or f"{self!r}.run({'' if folder is None else repr(str(folder))})"
        resumed = resume or (folder is not None and (folder / GRAM).exists())
        with self._solved(folder, resume, checkpoint, command, progress) as (task, solution):
            task.resumed = resumed
            return task.report(solution, folder, started, progress)

    @contextmanager
    def solved(self, progress: ProgressLike = None) -> Iterator[Solved]:
        """The solution with its factor, for as long as the block lasts: to ask more of it than `run` reports.

        Raises as `run`.
        """
        with self._solved(None, False, None, "", as_progress(progress)) as (task, solution):
            yield Solved(task.dataset, task.prepared, solution)

    @contextmanager
    def _solved(
        self, folder: Path | None, resume: bool, checkpoint: Pathlike, command: str, progress: Progress
    ) -> Iterator[tuple[Task, Solution]]:
        if checkpoint is not None and not self.streams:
            raise InputError(
                f"checkpoint: got {checkpoint}, but there are no sums of features {self.inputs.features.name} with the "
                f"{self.kernel.name} kernel to be stored there; leave it out"
            )
        remember = {"experiment": self.to_dict(), "command": command}
        stored = Checkpoint(_path("checkpoint", checkpoint), remember=remember)
        if folder is not None:
            require_same_experiment(folder, remember)
            if stored.file is not None:
                require_sums(stored.file, folder)
            stored = Checkpoint(folder / GRAM, folder, remember, taken=stored.file)
        with ExitStack() as stack:
            with _given_up_without_solution(folder):
                task = Task.load(self, stored, command, progress)
                stack.callback(task.close)
                if folder is not None:
                    remember["data_digest"] = data_digest(task.dataset)
                remember |= {"transformed": task.transformed} if task.transformed else {}
                with named_as_in_the_file(task.dataset, task.prepared.kept):
                    solution = solve(
                        task.prepared.X_train,
                        task.prepared.targets(task.dataset),
                        **task.kernel_arguments(),
                        **task.prepared.solver_arguments(self.solver),
                        run_dir=folder,
                        resume=resume,
                        remember=remember,
                        seed=self.inputs.seed,
                        progress=progress,
                    )
            stack.callback(solution.close)
            if folder is not None:
                asked_file.remove(folder)
            yield task, solution

    @staticmethod
    @contextmanager
    def opened(
        run_dir: str | Path, *, threads: int | None = None, progress: ProgressLike = None
    ) -> Iterator[tuple[Experiment, Solved]]:
        """The experiment of a finished run, and its solution with the factor that is stored, while the block lasts.

        Raises as `kernelfit.open`, `InputError` where the run is no experiment's, and `DataError` where its training
        rows have changed since.
        """
        folder, progress = path_of("run_dir", run_dir).absolute(), as_progress(progress)
        remembered = runs.remembered(folder)
        if "experiment" not in remembered:
            raise InputError(
                f"run_dir: {folder} does not say what data it is of, expected a run of an Experiment or of kernelfit "
                "solve --out; take kernelfit.open"
            )
        experiment = _recalled(remembered, folder, {"threads": threads})
        sums = Checkpoint(folder / GRAM, folder, remembered, placed=True)
        task = Task.load(experiment, sums, "", progress)
        try:
            digest = data_digest(task.dataset)
            require_same_rows(
                folder, experiment.inputs.data.called, "training", remembered.get("data_digest"), digest
            )
            solution = runs.open_run(folder, threads=threads)
            try:
                yield experiment, Solved(task.dataset, task.prepared, solution)
            finally:
                solution.close()
        finally:
            task.close()

    @staticmethod
    def resume(
        run_dir: str | Path,
        *,
        device: str = "auto",
        device_memory: int | str | None = None,
        threads: int | None = None,
        engine: EngineName = "process",
        scheduler: str | None = None,
        command: str = "",
        progress: ProgressLike = None,
    ) -> Result:
        """Continue the run in `run_dir` from its first unfinished panel, or report a finished one anew.

        The record says `resumed`: its seconds of `features`, `gram` and `factor` are those of every process that worked
        on the run, all others and `total` those of this one. What it said of the choice of gamma and ridge, and that
        choice's seconds, stay where there is a record of this solution already.

        Where the data set cannot be read again, or the run is of `kernelfit.solve`, the record holds the equations and
        their certificate alone. Raises as `kernelfit.resume`.
        """
        started = time.perf_counter()
        progress = as_progress(progress)
        folder = path_of("run_dir", run_dir).absolute()
        require_regular(folder / RESULT)
        alone = (folder / SOLUTION).exists() and not any((folder / name).exists() for name in (RUN, JOURNAL))
        if alone and ((folder / RESULT).exists() or "experiment" not in runs.remembered(folder)):
            raise InputError(
                f"run_dir: {folder} holds the solution of a linear kernel, which has no factor; it is finished, use it"
            )
        where: dict[str, Any] = {
            "device": device,
            "device_memory": device_memory,
            "threads": threads,
            "engine": engine,
            "scheduler": scheduler,
        }
        then = command or "Experiment.resume"
        if (
            not alone
            and not (folder / RUN).exists()
            and any((folder / name).exists() for name in (ASKED, GRAM))
        ):
            # It stopped while K was summed up.
            remembered = asked_file.read(folder) or gram_file.read(folder / GRAM).remembered
            line = f"{remembered.get('command', 'kernelfit solve')}; {then}"
            return _recalled(remembered, folder, where).run(folder, command=line, progress=progress)
        remembered = runs.remembered(folder)
        experiment = _recalled(remembered, folder, where) if "experiment" in remembered else None
        command = f"{remembered.get('command', 'kernelfit solve')}; {then}"
        # K that is summed up has to be there before its factor.
        task = None
        if experiment is not None and experiment.streams:
            task = _task_or_none(experiment, folder, remembered, command, progress)
        try:
            if alone:
                solution = runs.open_run(folder, threads=threads)
            else:
                solution = runs.resume(folder, **where, progress=progress)
            asked_file.remove(folder)
            try:
                if experiment is not None and not experiment.streams:
                    task = _task_or_none(experiment, folder, remembered, command, progress)
                if task is not None:
                    task.resumed = True
                    return task.report(solution, folder, started, progress)
                record = {**records.run_record(solution, command), "resumed": True}
                return Result(record, solution, run_dir=folder)
            finally:
                solution.close()
        finally:
            if task is not None:
                task.close()

    @staticmethod
    def remembered(run_dir: str | Path) -> Experiment | None:
        """The experiment that a run is of; None for a run of `kernelfit.solve`. Raises `DataError`."""
        folder = path_of("run_dir", run_dir).absolute()
        stored = runs.remembered(folder)
        return _recalled(stored, folder, {}) if "experiment" in stored else None

    @staticmethod
    def load(saved: str | Path, threads: int | None = None) -> Result:
        """The result of a run that was stored in a folder, for new rows; or a solution file alone.

        The solution file of a run is read with what lies beside it: columns, classes, features and their scaling.
        Raises `InputError` where there is none, `DataError` where its record is damaged.
        """
        saved = path_of("saved", saved)
        if saved.name == SOLUTION and saved.is_file() and (saved.parent / RESULT).is_file():
            saved = saved.parent
        alone = saved.is_file()
        result = Result({}, Solution.load(saved)) if alone else _read_result(saved.absolute())
        result.solution.threads = threads
        return result


@dataclass(frozen=True)
class Solved:
    """A solved experiment with its factor: what further questions are asked of."""

    dataset: Dataset
    prepared: Prepared
    solution: Solution


@contextmanager
def _given_up_without_solution(folder: Path | None) -> Iterator[None]:
    """What a folder with sums was asked for is given up where it has no solution."""
    try:
        yield
    except (InputError, NotPositiveDefiniteError):
        if folder is not None:
            asked_file.give_up(folder)
        raise


def _task_or_none(
    experiment: Experiment, run_dir: Path, remembered: dict[str, Any], command: str, progress: Progress
) -> Task | None:
    try:
        sums = Checkpoint(run_dir / GRAM, run_dir, remembered, placed=True)
        task = Task.load(experiment, sums, command, progress)
    except (DataError, InputError) as error:
        progress.note(f"no test error, as the data set cannot be read again: {error}")
        return None
    if remembered.get("data_digest", data_digest(task.dataset)) != data_digest(task.dataset):
        called = experiment.inputs.data.called
        progress.note(f"no test error, as the training rows of {called} are no longer those of the run")
        task.close()
        return None
    return task


def _recalled(remembered: Mapping[str, Any], run_dir: Path, where: Mapping[str, Any]) -> Experiment:
    """The experiment that a run remembers, on the device and threads that are asked for now."""
    try:
        experiment = Experiment(**remembered["experiment"])
    except (InputError, TypeError, LookupError, AttributeError) as error:
        raise DataError(
            f"{run_dir}: does not say what it is a run of ({error}); start again in another folder"
        ) from None
    # Outside: what is wrong with these is no fault of the run.
    return Experiment(**{**experiment.to_dict(), **where})


def way_to_result(run_dir: Path) -> str:
    """How a folder without a result comes to one: a run that was begun is resumed."""
    solved = (run_dir / SOLUTION).exists()
    if solved and "experiment" not in runs.remembered(run_dir):
        return "it is a run of kernelfit.solve, which stores no record: kernelfit.open reads it"
    if solved or any((run_dir / name).exists() for name in (RUN, GRAM, ASKED)):
        return f"finish it with kernelfit resume {run_dir}"
    return "make one with kernelfit solve --out and a new folder; a study or a sweep is finished by its own command"


def _read_result(run_dir: Path) -> Result:
    path = run_dir / RESULT
    if not os.path.lexists(run_dir):
        raise InputError(f"run_dir: got {run_dir}, expected the folder of a run; no such folder")
    for name in (SOLUTION, RESULT):
        if not os.path.lexists(run_dir / name):
            raise InputError(f"run_dir: {run_dir} holds no {name}; {way_to_result(run_dir)}")
    for name in (SOLUTION, RESULT, WEIGHTS):  # of a folder that may come from elsewhere
        require_regular(run_dir / name)
    solution = Solution.load(run_dir / SOLUTION)
    stored = result_file.read(run_dir, solution.alpha)
    stored.setdefault("test_digest", None)  # runs of before have none
    schema.require(path, stored, records.STORED)
    digests = {key: stored.pop(key) for key in ("data_digest", "test_digest", "rows_digest")}
    scaling, mean = stored.pop("standardisation"), stored.pop("target_mean")
    try:
        classes, table = _names(stored.pop("classes")), stored.pop("table")
        table = None if table is None else TableColumns.of_dict(table)
        experiment = Experiment(**stored.pop("experiment"))
        if experiment.inputs.standardise != (scaling is not None):
            raise ValueError("standardisation and experiment do not belong together")
        standardisation = None if scaling is None else Standardisation.from_dict(scaling)
        if (classes is not None) != (stored["task"] == "classification"):
            raise ValueError(f"classes {classes} of a {stored['task']}")
        if classes is not None and len(classes) != solution.alpha.shape[1]:
            raise ValueError(f"{len(classes)} classes, and alpha has {solution.alpha.shape[1]} columns")
        if experiment.inputs.centre != (mean is not None):
            raise ValueError("target_mean and experiment do not belong together")
        if mean is not None and len(mean) != solution.alpha.shape[1]:
            raise ValueError(f"{len(mean)} means, and alpha has {solution.alpha.shape[1]} columns")
    except (InputError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise DataError(
            f"{path}: is not the record of a solve, it is damaged ({error}); solve again into another folder"
        ) from None
    streamed = stored.pop("streamed")
    return Result(
        record=stored,
        solution=solution,
        classes=classes,
        table=table,
        inputs=experiment.inputs,
        streamed=streamed and experiment.streams,
        standardisation=standardisation,
        target_mean=None if mean is None else np.array(mean, dtype=np.float64),
        run_dir=run_dir,
        **digests,
    )


def _names(stored: list[str] | None) -> tuple[str, ...] | None:
    return None if stored is None else tuple(stored)


def _path(name: str, path: Pathlike) -> Path | None:
    return None if path is None else path_of(name, path)


def _options(name: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if options is None else mapping(name, options)
