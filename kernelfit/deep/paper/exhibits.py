"""Runs of networks, sweeps, and the paper's tables and figures of networks as chapters of a report. No torch here."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from kernelfit.deep.analysis.tables import tables as analysis_tables
from kernelfit.deep.options import TARGETS
from kernelfit.deep.paper import figures, tables
from kernelfit.deep.recipe import Recipe, default_fields
from kernelfit.deep.recipe import names as names_among
from kernelfit.deep.training import tables as run_tables
from kernelfit.report.chart import Axis, Chart, Rule, Series, values_of
from kernelfit.report.exhibit import Exhibit, Part, checked
from kernelfit.report.grid import Grid
from kernelfit.report.tables import percent, seconds

__all__ = ["TARGETS", "finished_below", "is_run", "of_record", "of_sweep"]

Record = dict[str, Any]

_TITLES = {
    "table1": "The paper's Table 1: networks on true and random labels",
    "table2": "The paper's Table 2: ImageNet",
    "table4": "The paper's Table 4: random labels under regularisers",
    "fig1": "The paper's Figure 1: fitting random labels and pixels",
    "fig2": "The paper's Figure 2: early stopping and batch normalisation",
}
#: fields of a recipe that have an option of their own
_OPTIONS = (
    "corruption",
    "p",
    "crop",
    "augment",
    "weight_decay",
    "dropout",
    "seed",
    "dataset",
    "n",
    "n_test",
    "side",
    "epochs",
    "batch",
    "rates",
    "rate_decay",
    "plateau",
    "stop_when_fitted",
    "optimizer",
    "label_smoothing",
)
#: runs of a sweep whose losses are drawn in one chart
_MAX_CURVES = 8
#: runs of a sweep whose commands are shown
_MAX_COMMANDS = 12


def is_run(record: Record) -> bool:
    """Whether a record is that of one training run."""
    return "recipe" in record and "history" in record


def finished_below(folder: Path) -> list[Path]:
    """The results of runs in the folders of a sweep, by name."""
    results = sorted(folder.glob("*/result.json"))
    return [path for path in results if '"recipe"' in path.read_text(encoding="utf-8", errors="replace")]


def of_record(record: Record, source: str) -> Exhibit | None:
    """The chapter of a run, a sweep or a reproduction; None for a record of something else."""
    if is_run(record):
        exhibit = checked(lambda: _run(record, Path(source)), source)
    elif isinstance(record.get("runs"), list):
        exhibit = checked(lambda: _sweep(record["runs"], record), source)
    elif record.get("target") in TARGETS and "choices" in record:
        exhibit = checked(lambda: _reproduction(record), source)
    else:
        return None
    assert isinstance(exhibit, Exhibit)
    return exhibit


def of_sweep(results: list[Path]) -> list[Exhibit]:
    """The chapter of runs that lie in the folders of a sweep: beside each other, or the one that there is."""
    records = [(json.loads(path.read_text(encoding="utf-8")), path) for path in results]
    if len(records) == 1:
        return [checked(lambda: _run(*records[0]), str(results[0]))]
    runs = [record for record, _ in records]
    return [checked(lambda: _sweep(runs, {"runs": runs}), str(results[0].parent.parent))]


def _command(recipe: Recipe) -> str:
    """`kernelfit deep train` with what differs from the model's own values; empty where an option is missing for it."""
    usual = dataclasses.asdict(Recipe(**default_fields(recipe.model)))
    changed = {name: value for name, value in dataclasses.asdict(recipe).items() if value != usual[name]}
    changed.pop("network_source", None)
    if not set(changed) <= set(_OPTIONS):
        return ""
    words = ["kernelfit", "deep", "train", "--model", recipe.model]
    if recipe.dataset == "imagenet":
        changed.pop("dataset", None)
        words += ["--images", "ROOT"]
    for name in _OPTIONS:
        if name not in changed:
            continue
        value = changed[name]
        words.append(f"--{'rate' if name == 'rates' else name.replace('_', '-')}")
        if value is not True:
            words.append(",".join(map(repr, value)) if name == "rates" else str(value))
    return shlex.join(words)


def _run(record: Record, path: Path) -> Exhibit:
    recipe, analysis = record["recipe"], path.parent / "analysis.json"
    rows: list[RenderableType] = [run_tables.run(record)]
    learned = run_tables.memorisation([record])
    if learned is not None:
        rows.append(learned)
    parts = [
        Part("Along training", charts=tuple(figures.of_history(record["history"]))),
        Part("The run", table=Group(*rows)),
    ]
    known = record.get("analysis")
    if known is None and analysis.is_file():
        known = json.loads(analysis.read_text(encoding="utf-8"))
    if known:
        parts.append(Part("Norms and margins of the network", table=Group(*analysis_tables(known))))
    parts.append(_choices(record["choices"]))
    shown = (
        ("train accuracy", percent(record["train_accuracy"])),
        ("test accuracy", percent(record["test_accuracy"])),
        ("best test accuracy", percent(record["best_test_accuracy"])),
        ("steps", f"{record['steps']:,}"),
        ("time", seconds(record["seconds"])),
    )
    about = (
        f"{recipe['model']} on {recipe['dataset']}, {recipe['corruption'].replace('-', ' ')}: "
        f"{record['status']} after {record['epochs']:,} epochs."
    )
    made_by = _command(Recipe.from_json(recipe))
    (name,) = run_tables.names_of([record])
    return Exhibit(f"Network: {name}", about, tuple(parts), record, shown, made_by)


def _choices(choices: list[Record]) -> Part:
    """What the paper does not say, and what was taken."""
    grid = Grid(("setting", "taken", "why"), words=(1, 2))
    for choice in choices:
        taken = choice["values"] if "values" in choice else [choice.get("value")]
        # Of one that is no field, such as the initial weights, the reason says what it is.
        shown = ", ".join(str(value) for value in taken if value is not None)
        grid.add_row(choice["name"].replace("_", " "), shown, choice["reason"])
    return Part("What the paper leaves open", table=grid) if grid.rows else Part()


def _sweep(runs: list[Record], record: Record) -> Exhibit:
    parts = []
    # Which older records lack: their runs are told apart from each other alone.
    left = [Recipe.from_json(recipe) for recipe in record.get("unfinished_recipes", [])]
    recipes = [*(Recipe.from_json(run["recipe"]) for run in runs), *left]
    names = tuple(run_tables.names_of(runs, recipes))
    curves = tuple(
        Series(
            name,
            values_of(step for epoch in run["history"] for step in epoch["window_steps"]),
            values_of(loss for epoch in run["history"] for loss in epoch["window_losses"]),
            "curve",
        )
        for name, run in zip(names[:_MAX_CURVES], runs[:_MAX_CURVES], strict=True)
    )
    of = f" of the first {_MAX_CURVES} of {len(runs):,} runs" if len(runs) > _MAX_CURVES else ""
    places = tuple(float(index) for index in range(len(runs)))
    accuracies = tuple(
        Series(
            part,
            values_of((run[f"{part}_accuracy"] for run in runs), 100.0),
            places,
            "bars",
            colour=number,
        )
        for number, part in enumerate(("train", "test"))
    )
    charts = (
        Chart("sweep-loss", f"Training loss{of}", Axis("steps", low=0), Axis("mean loss", low=0), curves),
        Chart(
            "sweep-accuracy", "Accuracy at the end", Axis("accuracy, %", low=0), Axis(names=names), accuracies
        ),
    )
    parts.append(Part("What came out", charts=charts))
    table: list[RenderableType] = [run_tables.runs(runs, recipes)]
    learned = run_tables.memorisation(runs, recipes)
    if learned is not None:
        table.append(learned)
    unfinished = names_among(recipes)[len(runs) :] if left else record.get("unfinished") or []
    if unfinished:
        table.append(Text(f"not finished: {', '.join(unfinished)}"))
    parts.append(Part("Numbers", table=Group(*table)))
    commands = [_command(Recipe.from_json(run["recipe"])) for run in runs[:_MAX_COMMANDS]]
    return Exhibit(
        f"Networks: {len(runs):,} runs",
        "Runs side by side: what each fits of its training labels, and what it makes of test rows.",
        tuple(parts),
        record,
        made_by="\n".join(filter(None, commands)),
    )


def _reproduction(record: Record) -> Exhibit:
    charts: list[Chart] = []
    if record.get("figure1a"):
        charts.append(figures.losses(record["figure1a"]))
    if record.get("figure1bc"):
        charts += [figures.overfitting_time(record["figure1bc"]), figures.test_errors(record["figure1bc"])]
    if record.get("memorisation"):
        charts.append(figures.memorisation(record["memorisation"]))
    curves = record.get("figure2a") or {}
    if "stand_in" in curves:
        charts.append(figures.stand_in(curves["stand_in"], curves["curves"]))
    elif curves:
        charts.append(figures.accuracies("fig2a", figures.EARLY_STOPPING, curves))
    if record.get("figure2b"):
        title = "2b: with and without batch normalisation"
        charts.append(figures.accuracies("fig2b", title, record["figure2b"]))
    if record.get("cells"):
        charts.append(_beside(record["target"], record["cells"]))
    return Exhibit(
        _TITLES[record["target"]],
        f"{(record['scaled_down'] or 'at the size of the paper').capitalize()}; beside Zhang et al. (2016).",
        (
            Part("What came out", charts=tuple(chart for chart in charts if chart.series)),
            Part("Numbers", table=Group(*tables.reproduction(record))),
            _choices(record["choices"]),
        ),
        record,
    )


def _beside(target: str, cells: list[Record]) -> Chart:
    """Each figure of the paper across, ours upward: what agrees lies on the line."""
    from_train = [cell for cell in cells if cell["metric"].startswith(("train", "online"))]
    from_test = [cell for cell in cells if cell not in from_train]

    def series(name: str, shown: list[Record], colour: int) -> Series:
        return Series(
            name,
            values_of(cell["paper"] for cell in shown),
            values_of(cell["ours"] for cell in shown),
            "dots",
            spread=values_of(cell["spread"] for cell in shown),
            texts=tuple(f"{cell['row']}, {cell['column']}" for cell in shown),
            colour=colour,
        )

    return Chart(
        f"{target}-beside",
        "Ours against the paper's",
        Axis("paper, %"),
        Axis("here, %"),
        tuple(
            each
            for each in (series("train", from_train, 0), series("test", from_test, 1))
            if any(value is not None for value in each.y)
        ),
        (Rule("equal", "diagonal"),),
    )
