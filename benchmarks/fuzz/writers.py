"""Everything that writes a file, for `benchmarks.fuzz.full_disk`: what is there before, the write, what is right."""

from __future__ import annotations

import json
import logging
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import kernelfit
from kernelfit.cluster import tasks
from kernelfit.cluster.connect import Engine
from kernelfit.datasets import Dataset
from kernelfit.deep.training import epoch_log
from kernelfit.deep.training.epoch_log import EpochLog
from kernelfit.errors import Interrupted
from kernelfit.experiments.finished_rows import FinishedRows
from kernelfit.experiments.predictions import Predictions
from kernelfit.features import RandomConv
from kernelfit.progress import Silent
from kernelfit.report import figures
from kernelfit.runs.folder import JOURNAL, RUN
from kernelfit.solver import checkpoints
from kernelfit.storage import atomic, journal, json_output
from kernelfit.streaming import gram_file, weights
from kernelfit.streaming.gram import feature_gram
from kernelfit.typing import Float

ROWS, WIDTH, COLUMNS = 320, 32, 5
TARGET = "target"
#: what alpha of workers may differ by from that of one process, relative to its largest entry
SAME = 1e-12
#: bytes that workers see free
DISK = 2**40


@dataclass(frozen=True)
class Writer:
    """One kind of file or folder.

    `before` makes what is there already, with room enough; `write` writes; `faults` says what is wrong afterwards,
    with room again, where `refused` is the error's line or None.
    """

    before: Callable[[Path], None]
    write: Callable[[Path], None]
    faults: Callable[[Path, str | None], list[str]]


def nothing(folder: Path) -> None:
    """There is nothing before."""


@cache
def problem(seed: int = 0) -> tuple[Float, Float]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(ROWS, 6)), rng.normal(size=(ROWS, COLUMNS))


def solved(targets: Float | None = None, **settings: Any) -> kernelfit.Solution:
    X, Y = problem()
    Y = Y if targets is None else targets
    return kernelfit.solve(X, Y, gamma=0.3, panel_width=WIDTH, threads=1, device="cpu", **settings)


def other_targets() -> Float:
    return problem(1)[1]


@cache
def reference(version: int) -> tuple[Float, Float]:
    """alpha and predictions for 50 rows with the targets of that version."""
    with_factor = solved(problem(version)[1])
    try:
        return with_factor.alpha, with_factor.predict(problem()[0][:50])
    finally:
        with_factor.close()


def warm_up() -> None:
    """What every writer loads and compiles, once for all processes that are forked later."""
    reference(0)
    reference(1)


# --- runs


def new_run(folder: Path) -> None:
    solved(run_dir=folder / TARGET, tier="disk").close()


def run_faults(folder: Path, refused: str | None) -> list[str]:
    """A run in TARGET is right, or is resumed without losing a panel that its journal has, or is not there."""
    run = folder / TARGET
    if refused is not None and not (run / RUN).exists():
        left = sorted(path.name for path in folder.rglob("*"))
        return [f"left behind: {left}"] if left else []
    recorded = len(journal.read(run / JOURNAL).panels)
    notes = Silent()
    try:
        solution = kernelfit.resume(run, device="cpu", threads=1, progress=notes)
    except Exception as error:
        return [f"lost panels: cannot be resumed ({error})" if recorded else f"cannot be resumed ({error})"]
    alpha, predictions = reference(int(np.array_equal(solution.targets, other_targets())))
    faults = [f"lost panels: {note}" for note in notes.notes if "computed again" in note]
    if not np.array_equal(solution.alpha, alpha):
        faults.append("wrong alpha")
    solution.close()
    checked = kernelfit.check(run)
    faults += [f"check: {line}" for line in checked.problems]
    loaded = kernelfit.load(run / "solution.h5")
    if not np.array_equal(loaded.predict(problem()[0][:50]), predictions):
        faults.append("wrong predictions of the file")
    return faults


def new_targets(folder: Path) -> None:
    solved(other_targets(), run_dir=folder / TARGET, resume=True, tier="disk").close()


def new_target_faults(folder: Path, refused: str | None) -> list[str]:
    faults = run_faults(folder, refused)
    targets = kernelfit.load(folder / TARGET / "solution.h5").targets
    known = [Y for Y in (problem()[1], other_targets()) if np.array_equal(targets, Y)]
    if not known or (refused is None and known[0] is not other_targets()):
        faults.append("targets of neither solution" if not known else "the old targets without an error")
    return faults


class StopAfter(Silent):
    """Asks a run to stop once its journal has `panels` panels."""

    def __init__(self, run: Path, panels: int) -> None:
        super().__init__()
        self.run, self.panels, self.asked = run, panels, False

    @contextmanager
    def phase(self, name: str, total: float, unit: str = "flop") -> Iterator[Callable[[float], None]]:
        def advance(amount: float) -> None:
            if not self.asked and len(journal.read(self.run / JOURNAL).panels) >= self.panels:
                self.asked = True
                os.kill(os.getpid(), signal.SIGTERM)

        yield advance


def unfinished_run(folder: Path) -> None:
    stop = StopAfter(folder / TARGET, 3)
    try:
        solved(run_dir=folder / TARGET, tier="disk", progress=stop)
    except Interrupted:
        return
    raise AssertionError("the run was to stop")


def resume_run(folder: Path) -> None:
    kernelfit.resume(folder / TARGET, device="cpu", threads=1).close()


def damaged_run(folder: Path) -> None:
    new_run(folder)
    (folder / TARGET / RUN).write_bytes(b"damaged")


def mended_faults(folder: Path, refused: str | None) -> list[str]:
    """run.h5 is written again from the solution, or all stays as it was."""
    untouched = (folder / TARGET / RUN).read_bytes() == b"damaged"
    if untouched and refused is None:
        return ["not written and no error"]
    kernelfit.resume(folder / TARGET, device="cpu", threads=1).close()
    return run_faults(folder, refused)


def epochs(folder: Path) -> None:
    EpochLog(folder / TARGET, [{"epoch": 0, "loss": 1.0}])


def more_epochs(folder: Path) -> None:
    log = EpochLog(folder / TARGET, [{"epoch": 0, "loss": 1.0}])
    for epoch in range(1, 200):
        log.write({"epoch": epoch, "loss": 1.0 / epoch, "learning_rate": 0.1, "note": "x" * 100})


def epoch_faults(folder: Path, refused: str | None) -> list[str]:
    """Whole lines of the first epochs, none twice; all of them without an error."""
    path = folder / TARGET / "log.jsonl"
    lines = epoch_log.read(path)
    if not path.read_bytes().endswith(b"\n"):
        return ["half a line"]
    if [line["epoch"] for line in lines] != list(range(len(lines))):
        return ["epochs are lost or repeated"]
    return ["epochs are missing and no error"] if refused is None and len(lines) < 200 else []


def experiment(folder: Path) -> None:
    kernelfit.Experiment("digits", n_train=300, threads=1).run(folder / TARGET)


def experiment_faults(folder: Path, refused: str | None) -> list[str]:
    run = folder / TARGET
    if not (run / RUN).exists():
        return [] if refused is not None else ["no run and no error"]
    if refused is not None and not (run / "result.json").exists():
        solution = kernelfit.resume(run)
        alpha = kernelfit.Experiment("digits", n_train=300, threads=1).run().solution.alpha
        return [] if np.array_equal(solution.alpha, alpha) else ["wrong alpha"]
    record = json.loads((run / "result.json").read_text())
    return [] if record["n_train"] == 300 and kernelfit.check(run).ok else ["wrong record"]


def spilled(folder: Path) -> None:
    """The disk tier without a run: an unnamed file in the scratch folder."""
    solution = solved(tier="disk", scratch=folder)
    if not np.array_equal(solution.alpha, reference(0)[0]):
        raise AssertionError("wrong alpha")
    solution.close()


def spill_faults(folder: Path, refused: str | None) -> list[str]:
    left = [path.name for path in folder.iterdir()]
    return [f"left behind: {left}"] if left else []


# --- single files


def replaced(write: Callable[[Path, int], None], read: Callable[[Path], Any], name: str = TARGET) -> Writer:
    """A file `name` of which version 0 is there when version 1 is written, and which `read` gives back."""

    def faults(folder: Path, refused: str | None) -> list[str]:
        wanted = read_version(0 if refused is not None else 1)
        there = read(folder / name)
        found = [] if _same(there, wanted) else ["neither what was there nor what was written"]
        left = [path.name for path in folder.iterdir() if path.name != name]
        return found + ([f"left behind: {left}"] if left else [])

    def read_version(version: int) -> Any:
        scratch = Path("/tmp") / f"kernelfit-full-disk-{os.getpid()}-{name}"
        write(scratch, version)
        value = read(scratch)
        scratch.unlink()
        return value

    return Writer(lambda folder: write(folder / name, 0), lambda folder: write(folder / name, 1), faults)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    return bool(np.array_equal(a, b))


def save_solution(path: Path, version: int) -> None:
    solved(problem(version)[1]).save(path)


def read_solution(path: Path) -> dict[str, Any]:
    solution = kernelfit.load(path)
    return {"alpha": solution.alpha, "rows": solution.predict(problem()[0][:20]), "targets": solution.targets}


def save_record(path: Path, version: int) -> None:
    json_output.write({"version": version, "values": np.arange(4000.0) + version}, path)


def save_predictions(path: Path, version: int) -> None:
    scores = problem(version)[1]
    Predictions(scores, scores, None).write(path)


def save_figure(path: Path, version: int) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot(np.arange(50) ** (version + 1))
    figures.save(figure, path)


def read_bytes_of_figure(path: Path) -> int:
    """Its size: dates and names of parts differ between two of the same."""
    return len(path.read_bytes())


def save_weights(path: Path, version: int) -> None:
    weights.write(path, problem(version)[1], "digest")


def read_weights(path: Path) -> Float | None:
    return weights.read(path, "digest", ROWS)


def save_network(path: Path, version: int) -> None:
    import torch

    from kernelfit.deep.training import checkpoint

    checkpoint.save({"epoch": version, "weight": torch.full((100, 100), float(version))}, path)


def read_network(path: Path) -> dict[str, Any]:
    import torch

    from kernelfit.deep.training import checkpoint

    state = checkpoint.load(path, torch.device("cpu"))
    return {"epoch": state["epoch"], "weight": state["weight"].numpy()}


# --- iterations


#: K has some digits only
RIDGES = {"pcg": 1e-6, "askotch": 1.0}


def iterated(solver: str) -> Writer:
    """A run of an iteration, whose state is stored after every step."""
    return Writer(nothing, partial(run_iteration, solver), partial(iterated_faults, solver))


def iterated_again(solver: str) -> Writer:
    """The same from its first state on."""
    return Writer(partial(stopped_iteration, solver), resume_iterated, partial(iterated_faults, solver))


def run_iteration(solver: str, folder: Path) -> None:
    with every_step():
        solved(run_dir=folder / TARGET, solver=solver, ridge=RIDGES[solver]).close()


def resume_iterated(folder: Path) -> None:
    with every_step():
        resume_run(folder)


def stopped_iteration(solver: str, folder: Path) -> None:
    """Its first iteration is stored."""

    class Stop(Silent):
        @contextmanager
        def phase(self, name: str, total: float, unit: str = "flop") -> Iterator[Callable[[float], None]]:
            yield lambda amount: name == "iterate" and os.kill(os.getpid(), signal.SIGTERM)

    try:
        solved(run_dir=folder / TARGET, solver=solver, ridge=RIDGES[solver], progress=Stop())
    except Interrupted:
        return
    raise AssertionError("the run was to stop")


def iterated_faults(solver: str, folder: Path, refused: str | None) -> list[str]:
    """A run in TARGET is right, or is resumed to the same bits, or is not there."""
    run = folder / TARGET
    if refused is not None and not (run / RUN).exists():
        left = sorted(path.name for path in folder.rglob("*"))
        return [f"left behind: {left}"] if left else []
    alpha = iterated_reference(solver)
    faults = []
    if refused is None and not np.array_equal(kernelfit.load(run / "solution.h5").alpha, alpha):
        faults.append("wrong alpha of the file")
    try:
        solution = kernelfit.resume(run, threads=1)
    except Exception as error:
        return [*faults, f"cannot be resumed ({error})"]
    if not np.array_equal(solution.alpha, alpha):
        faults.append("wrong alpha")
    solution.close()
    return faults + [f"check: {line}" for line in kernelfit.check(run).problems]


@cache
def iterated_reference(solver: str) -> Float:
    return solved(solver=solver, ridge=RIDGES[solver]).alpha


@contextmanager
def every_step() -> Iterator[None]:
    """Checkpoints that are always due."""
    due, checkpoints._due = checkpoints._due, lambda last, state: True
    try:
        yield
    finally:
        checkpoints._due = due


# --- sums of Gram matrices, rows, folders


def images() -> Dataset:
    return kernelfit.datasets.load("digits", n_train=200, n_test=50)


def gram_sums(folder: Path, engine: Engine | None = None, **options: Any) -> None:
    """A checkpoint after every block."""
    data = images()
    net = RandomConv(
        image_shape=data.image_shape,
        patch_size=3,
        pooling="quadrants",
        n_filters=24,
        n_patches=500,
        threads=1,
        **options,
    )
    net.fit(data.X_train)
    feature_gram(
        net,
        data.X_train,
        data.X_test,
        per_block=8,
        checkpoint=folder / TARGET,
        checkpoint_share=1e9,
        engine=engine,
    )


def gram_faults(folder: Path, refused: str | None, **options: Any) -> list[str]:
    path = folder / TARGET
    if refused is None or path.exists():
        sums = gram_file.read(path)
        if refused is None and not sums.finished:
            return ["unfinished without an error"]
    gram_sums(folder, **options)
    reference = Path("/tmp") / f"kernelfit-full-disk-{os.getpid()}"
    reference.mkdir()
    try:
        gram_sums(reference, **options)
        pairs = zip(gram_file.read(path).panels(), gram_file.read(reference / TARGET).panels(), strict=True)
        faults = [] if all(np.array_equal(*pair) for pair in pairs) else ["wrong sums"]
    finally:
        (reference / TARGET).unlink()
        reference.rmdir()
    left = [entry.name for entry in folder.iterdir() if entry.name != TARGET]
    return faults + ([f"left behind: {left}"] if left else [])


# --- workers of a cluster


@contextmanager
def workers(folder: Path) -> Iterator[Engine]:
    """Two, which are threads of this process and store what does not fit into memory in `folder`.

    They are planned as if its disk were empty, as when another fills it after they were.
    """
    from distributed import Client, LocalCluster

    logging.disable()  # what Dask logs of connections that close is no fault of the writer's
    with (
        tempfile.TemporaryDirectory() as elsewhere,
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            dashboard_address=":0",
            memory_limit=0,
            local_directory=elsewhere,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
        mock.patch.object(tasks, "free_disk", return_value=DISK),
    ):
        for worker in cluster.workers.values():
            worker.local_directory = str(folder)
        yield Engine("dask", client)


def dealt(folder: Path, **settings: Any) -> kernelfit.Solution:
    with workers(folder) as engine:
        solution = solved(tier="disk", engine=engine.name, scheduler=engine.scheduler, **settings)
        solution.close()
    if difference(solution.alpha, reference(0)[0]) > SAME:
        raise AssertionError("wrong alpha")
    return solution


def dealt_run(folder: Path) -> None:
    dealt(folder, run_dir=folder / TARGET)


def dealt_run_faults(folder: Path, refused: str | None) -> list[str]:
    """As `run_faults`; but workers add in another order than one process."""
    run, alpha = folder / TARGET, reference(0)[0]
    if refused is not None and not (run / RUN).exists():
        left = sorted(path.name for path in folder.rglob("*"))
        return [f"left behind: {left}"] if left else []
    notes = Silent()
    try:
        solution = kernelfit.resume(run, device="cpu", threads=1, progress=notes)
    except Exception as error:
        return [f"lost panels: cannot be resumed ({error})"]
    faults = [f"lost panels: {note}" for note in notes.notes if "computed again" in note]
    if difference(solution.alpha, alpha) > SAME:
        faults.append("wrong alpha")
    solution.close()
    return faults + [f"check: {line}" for line in kernelfit.check(run).problems]


def difference(alpha: Float, other: Float) -> float:
    return float(np.abs(alpha - other).max() / np.abs(other).max())


def dealt_spilled(folder: Path) -> None:
    dealt(folder)


def dealt_sums(folder: Path) -> None:
    with workers(folder) as engine:
        gram_sums(folder, engine, quantise=True)


ROW = {"parameters": {"seed": 1}, "values": list(range(3000))}


def finished_row(folder: Path) -> None:
    FinishedRows(folder).write("row", ROW)


def unfinished_row(folder: Path) -> None:
    FinishedRows(folder).checkpoint("row").write_bytes(b"so far")


def row_faults(folder: Path, refused: str | None) -> list[str]:
    rows = FinishedRows(folder)
    there = rows.read("row", {"seed": 1})
    if refused is None:
        return [] if there == ROW else ["wrong row"]
    return (
        []
        if there is None and rows.checkpoint("row").read_bytes() == b"so far"
        else ["the checkpoint is lost"]
    )


def picture_folder(folder: Path) -> None:
    with atomic.replacing_folder(folder / TARGET) as pictures:
        for number in range(2):
            save_figure(pictures / f"{number}.png", number)


def picture_faults(folder: Path, refused: str | None) -> list[str]:
    there = sorted(path.name for path in folder.rglob("*"))
    expected = [] if refused is not None else ["0.png", "1.png", TARGET]
    return [] if there == expected else [f"there is {there}"]


WRITERS: dict[str, Writer] = {
    "run": Writer(nothing, new_run, run_faults),
    "run, new targets": Writer(new_run, new_targets, new_target_faults),
    "run, resumed": Writer(unfinished_run, resume_run, run_faults),
    "run, mended": Writer(damaged_run, resume_run, mended_faults),
    "run with its record": Writer(nothing, experiment, experiment_faults),
    "iteration": iterated("pcg"),
    "iteration, resumed": iterated_again("pcg"),
    "sketches": iterated("askotch"),
    "sketches, resumed": iterated_again("askotch"),
    "factor in scratch": Writer(nothing, spilled, spill_faults),
    "solution": replaced(save_solution, read_solution),
    "Gram sums": Writer(nothing, gram_sums, gram_faults),
    "run of workers": Writer(nothing, dealt_run, dealt_run_faults),
    "shares of workers": Writer(nothing, dealt_spilled, spill_faults),
    "Gram sums of workers": Writer(nothing, dealt_sums, partial(gram_faults, quantise=True)),
    "feature weights": replaced(save_weights, read_weights),
    "record": replaced(save_record, lambda path: json.loads(path.read_text())),
    "scores": replaced(save_predictions, np.load, "scores.npy"),
    "predictions": replaced(save_predictions, Path.read_text, "predictions.csv"),
    "figure, png": replaced(save_figure, read_bytes_of_figure, "figure.png"),
    "figure, svg": replaced(save_figure, read_bytes_of_figure, "figure.svg"),
    "figure, pdf": replaced(save_figure, read_bytes_of_figure, "figure.pdf"),
    "finished row": Writer(unfinished_row, finished_row, row_faults),
    "folder of pictures": Writer(nothing, picture_folder, picture_faults),
    "epoch log": Writer(epochs, more_epochs, epoch_faults),
    "network": replaced(save_network, read_network),
}
