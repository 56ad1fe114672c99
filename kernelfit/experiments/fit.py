"""The kernel that suits a data set: all compared on some rows, the best fitted to all of them and stored as a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kernelfit.errors import InputError, NotPositiveDefiniteError
from kernelfit.experiments.comparison import Compared, Entry
from kernelfit.experiments.experiment import Experiment
from kernelfit.experiments.finished_rows import FinishedRows
from kernelfit.experiments.leaderboard import Choices, Leaderboard, SolveOptions, compare
from kernelfit.experiments.reproduction import Model
from kernelfit.experiments.result import Result
from kernelfit.experiments.run_dir import claim, difference
from kernelfit.progress import Notes, Progress, ProgressLike, as_progress
from kernelfit.runs.folder import RESULT, RUN, SOLUTION, is_finished
from kernelfit.storage import json_output
from kernelfit.storage.hdf5 import array_digest

#: the comparison, in the folder of the winner's run
LEADERBOARD = "leaderboard.json"
# Times the mean diagonal of K: what lets a factor exist where none was chosen.
_LEAST_RIDGE = 1e-10
# Arguments of the run that the comparison decides.
_DECIDED = ("kernel", "gamma", "kernel_params", "ridge", "standardise", "centre")


@dataclass(frozen=True)
class Fitted:
    """The comparison, and the winner's run on all rows; None where it was not asked for."""

    board: Leaderboard
    result: Result | None

    def record(self, command: str) -> dict[str, Any]:
        """What `kernelfit fit --json` writes."""
        return {
            **self.board.to_dict(),
            "result": None if self.result is None else self.result.record,
            "command": command,
        }


def fit(
    experiment: Experiment,
    choices: Choices,
    *,
    run_dir: str | Path | None = None,
    command: str = "",
    progress: ProgressLike = None,
) -> Fitted:
    """Compare kernels on the data set of an experiment, and solve all of its rows with the best.

    Parameters
    ----------
    experiment : its data, seed and machine count; its kernel and ridge are what is looked for
    choices : what is compared
    run_dir : a folder for the run. A call that stopped continues there: models that were compared are not fitted again

    Raises
    ------
    InputError : features in the experiment, or a folder that holds the comparison of other rows, or another run
    DataError, and what `Experiment.run` raises
    """
    progress = _Once(as_progress(progress))
    folder = None if run_dir is None else _claimed(Path(run_dir))
    begun = None if folder is None or not _holds_run(folder) else _begun(folder, experiment)
    board = compare_experiment(experiment, choices, folder, progress)
    if begun is not None and begun.solver.ridge != board.winner.ridge == 0:
        board = _with_ridge(board, float(begun.solver.ridge), f"the run in {folder} took it", progress)
    try:
        result = _run(experiment, board.winner, folder, command, progress)
    except NotPositiveDefiniteError as error:
        if board.winner.ridge > 0:
            raise
        # Chosen on some of the rows, of which K has a factor.
        board = _with_ridge(board, _LEAST_RIDGE * error.mean_diagonal, str(error), progress)
        result = _run(experiment, board.winner, folder, command, progress)
    fitted = Fitted(board, result)
    if folder is not None:
        json_output.write(fitted.record(command), folder / LEADERBOARD)
    return fitted


def _claimed(run_dir: Path) -> Path:
    """The folder of a call, or of one that stopped: within the comparison, the solve, or what is reported of it."""
    folder = run_dir.absolute()
    if _is_solved(folder) and not (folder / LEADERBOARD).exists():
        return folder
    return claim(folder, resume=True)


def _is_solved(folder: Path) -> bool:
    """Whether it holds a solution; that of a linear kernel has no run beside it."""
    return is_finished(folder) or ((folder / SOLUTION).is_file() and not (folder / RUN).exists())


def _holds_run(folder: Path) -> bool:
    return (folder / RUN).is_file() or _is_solved(folder)


def _begun(folder: Path, experiment: Experiment) -> Experiment:
    """What the run in the folder is of; raises `InputError` where no comparison of these rows can have begun it."""
    begun = _remembered(folder)
    there = begun.to_dict()
    _require_same(folder, difference({**experiment.to_dict(), "loo": True}, there, _DECIDED))
    for name in ("gamma", "ridge"):
        if isinstance(there[name], str):
            _require_same(folder, f"{name} is {there[name]!r}, here a number that the comparison chooses")
    return begun


def _remembered(folder: Path) -> Experiment:
    begun = Experiment.remembered(folder)
    if begun is None:
        raise InputError(f"run_dir: {folder} holds a run whose experiment is not known; name a new folder")
    return begun


def _require_same(folder: Path, different: str) -> None:
    if different:
        raise InputError(f"run_dir: {folder} holds a run whose {different}; name a new folder")


def _with_ridge(board: Leaderboard, ridge: float, reason: str, progress: Progress) -> Leaderboard:
    """With a ridge for the winner, which was chosen without one."""
    progress.note(
        f"no ridge was chosen, but K of all rows has no factor: ridge {ridge:.0e} is taken ({reason})"
    )
    return replace(board, winner=replace(board.winner, ridge=ridge))


def _run(
    experiment: Experiment, winner: Model, folder: Path | None, command: str, progress: Progress
) -> Result:
    chosen = {
        "kernel": winner.kernel["name"],
        "gamma": winner.gamma,
        "kernel_params": winner.kernel_params,
        "ridge": winner.ridge,
        "standardise": winner.standardise,
        "centre": not winner.classification,
        "loo": True,
    }
    final = Experiment(**{**experiment.to_dict(), **chosen})
    if folder is None or not _holds_run(folder):
        return final.run(folder, command=command, progress=progress)
    _require_same(folder, difference(final.to_dict(), _remembered(folder).to_dict()))
    if not _is_solved(folder):
        return final.run(folder, resume=True, command=command, progress=progress)
    if (folder / RESULT).exists():
        return Experiment.load(folder, experiment.solver.threads)
    return Experiment.resume(folder, threads=experiment.solver.threads, command=command, progress=progress)


def compare_experiment(
    experiment: Experiment, choices: Choices, run_dir: Path | None = None, progress: ProgressLike = None
) -> Leaderboard:
    """Kernels compared on the data set of an experiment; with `run_dir` what was compared there is not fitted again."""
    if experiment.inputs.features:
        raise InputError(
            f"features: got {experiment.inputs.features.name!r}, expected none, as kernels are compared on the rows "
            "themselves; leave it out, or compare them on features by kernelfit.leaderboard"
        )
    progress = as_progress(progress)
    solver, seed = experiment.solver, experiment.inputs.seed
    dataset = experiment.inputs.load(progress)
    data = Compared.of(dataset)
    finished = None
    if run_dir is not None:
        about = {
            "rows": min(choices.rows, len(data.X)),
            "seed": seed,
            "data": "-".join(array_digest(part) for part in (data.X, data.y, data.X_test, data.y_test)),
            "version": version("kernelfit"),
        }
        finished = _finished(FinishedRows(run_dir), about)
    options = SolveOptions(seed, solver.threads, solver.memory)
    return compare(data, choices, options, Notes(progress, dataset.notes), finished)


class _Once:
    """A note that is repeated, since the data set is read again for the run, is shown once."""

    def __init__(self, progress: Progress) -> None:
        self.phase, self._progress = progress.phase, progress
        self._shown: set[str] = set()

    def note(self, message: str) -> None:
        if message not in self._shown:
            self._shown.add(message)
            self._progress.note(message)


def _finished(store: FinishedRows, about: dict[str, Any]) -> Callable[[str, Callable[[], Entry]], Entry]:
    """Entries as they were stored, or made and stored."""
    names = {field.name for field in fields(Entry)}

    def take(name: str, make: Callable[[], Entry]) -> Entry:
        stored = store.read(name, about)
        if stored is not None:
            return Entry(**{key: value for key, value in stored.items() if key in names})
        entry = make()
        store.write(name, {"parameters": about, **asdict(entry)})
        return entry

    return take
