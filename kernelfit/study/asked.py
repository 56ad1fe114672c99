"""A study of labels asked of an experiment: solved now, or a run that is stored, whose folder keeps the answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any

from kernelfit.arguments import integer
from kernelfit.cpu import environment
from kernelfit.errors import DataError, InputError
from kernelfit.experiments.experiment import Experiment, Solved
from kernelfit.experiments.run_dir import difference
from kernelfit.experiments.task import whole_digest
from kernelfit.kernels import Linear
from kernelfit.progress import Progress, ProgressLike, as_progress
from kernelfit.runs import folder as run_folder
from kernelfit.solver.method import require_factor
from kernelfit.solver.solution import Solution
from kernelfit.storage import json_output
from kernelfit.study.labelled import labelled_rows, require_full_rank, require_true_labels
from kernelfit.study.labels import LEVELS, LabelStudy, LabelTrial, labellings, study_labels

#: the trials, in the folder of a run
LABELS = "labels.json"


def ask_labels(
    experiment: Experiment,
    *,
    levels: Sequence[float] = LEVELS,
    seeds: Sequence[int] = (0,),
    loo: bool = False,
    run_dir: str | Path | None = None,
    command: str = "",
    progress: ProgressLike = None,
) -> dict[str, Any]:
    """Solve the experiment once and fit every labelling by its factor; the record of `kernelfit study labels`.

    Parameters
    ----------
    experiment : of a classification data set
    levels, seeds, loo : see `kernelfit.study.labels.study_labels`; the experiment's seed is added to each of `seeds`
    run_dir : a new folder for the run and the trials; or one that holds a run of the same experiment, finished or not,
        whose factor is used and whose trials are taken over
    command : what the record says it came from

    Raises
    ------
    InputError : levels or seeds out of range, regression, labels that are corrupted already, a linear kernel with fewer
        features than rows, a folder of another experiment or of other test rows
    DataError : a run whose training rows have changed since
    StorageError, and what `Experiment.run` raises
    """
    require_factor(experiment.solver.solver, "a study of labels")
    require_true_labels(experiment)
    draws = [experiment.inputs.seed + integer("seeds", seed, 0) for seed in seeds]
    labellings(levels, draws)  # refused before anything is solved
    progress = as_progress(progress)
    folder = None if run_dir is None else Path(run_dir).absolute()
    with ExitStack() as stack:
        if folder is None:
            solved = stack.enter_context(experiment.solved(progress))
        else:
            solved = _stored(experiment, folder, stack, command, progress)
        require_full_rank(solved.solution)
        rows = labelled_rows(solved)
        about = {"dataset": solved.dataset.name, "n_classes": rows.n_classes, **_of_solution(solved)}
        about["data"] = whole_digest(solved.dataset)

        def record_of(content: dict[str, Any]) -> dict[str, Any]:
            versions = environment.versions()
            return {
                **about,
                **content,
                "notes": list(dict.fromkeys([*about["notes"], *content["notes"]])),
                "experiment": experiment.to_dict(),
                "versions": versions,
                "command": command,
            }

        finished = [] if folder is None else _finished(folder / LABELS, about["data"])

        def store(trials: Sequence[LabelTrial]) -> None:
            if folder is not None:
                # Labellings that were asked for earlier stay in the file.
                every = {(trial.p, trial.seed): trial for trial in (*finished, *trials)}
                study = LabelStudy(tuple(every[key] for key in sorted(every)), about["seconds"])
                json_output.write(record_of(study.to_dict()), folder / LABELS)

        study = study_labels(
            solved.solution,
            rows,
            levels=levels,
            seeds=draws,
            loo=loo,
            finished=finished,
            after_group=store,
            progress=progress,
        )
        return record_of(study.to_dict() | {"seconds": {**about["seconds"], **study.seconds}})


def _stored(
    experiment: Experiment, folder: Path, stack: ExitStack, command: str, progress: Progress
) -> Solved:
    """The run in the folder with its factor: finished, resumed or new."""
    _refuse_primal(folder)
    if not run_folder.is_finished(folder) or not (folder / run_folder.RESULT).exists():
        unfinished = (folder / run_folder.RUN).exists()
        if unfinished:
            _refuse_other(experiment, folder)
        if run_folder.is_finished(folder):  # it stopped between its solution and its record
            Experiment.resume(folder, command=command, progress=progress)
        else:
            experiment.run(folder, resume=unfinished, command=command, progress=progress)
            _refuse_primal(folder)
    _refuse_other(experiment, folder)
    _, solved = stack.enter_context(
        Experiment.opened(folder, threads=experiment.solver.threads, progress=progress)
    )
    return solved


def _refuse_primal(folder: Path) -> None:
    """Raise `InputError` where a solution stands without a run: that of a linear kernel, which has no factor."""
    if (folder / run_folder.SOLUTION).exists() and not (folder / run_folder.RUN).exists():
        require_full_rank(Solution.load(folder / run_folder.SOLUTION))


def _refuse_other(experiment: Experiment, folder: Path) -> None:
    other = Experiment.remembered(folder)
    # Leave-one-out only adds to the record.
    if different := difference(experiment.to_dict(), {} if other is None else other.to_dict(), ("loo",)):
        raise InputError(
            f"run_dir: {folder} holds a run whose {different}; name another folder, or ask for the same"
        )


def _of_solution(solved: Solved) -> dict[str, Any]:
    solution = solved.solution
    kernel = solution.kernel or solution.problem.source.formula or Linear()
    return {
        "n_train": solved.dataset.n_train,
        "n_test": solved.dataset.n_test,
        "n_distinct": len(solution.kept),
        "kernel": kernel.describe(),
        "ridge": solution.ridge,
        "precision": solution.precision,
        "device": solution.device,
        "seconds": {"gram": solution.seconds["gram"], "factor": solution.seconds["factor"]},
        "notes": [*solved.dataset.notes, *solution.notes],
    }


def _finished(path: Path, data: str) -> list[LabelTrial]:
    """The trials in the file; none where there is no file. `data` is the digest of the rows that they are to be of.

    Raises `DataError` where the file is damaged, `InputError` where its trials are of other rows.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        names = [field.name for field in fields(LabelTrial)]
        trials = [
            LabelTrial(**{name: trial[name] for name in names} | {"notes": tuple(trial["notes"])})
            for trial in stored["trials"]
        ]
        of = stored["data"]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, KeyError):
            reason = f"it has no {error}, as where an earlier version stored it"
        raise DataError(
            f"{path}: is no record of a study ({reason}); remove it to compute it again"
        ) from None
    if of != data:
        raise InputError(
            f"run_dir: {path} holds labellings of other test rows than there are now, expected the same; restore the "
            "data, or name another folder"
        )
    return trials
