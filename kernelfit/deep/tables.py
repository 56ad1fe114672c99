"""Readable tables of runs, reproductions and analyses. No torch here."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from kernelfit.report.tables import MISSING, number, percent, seconds

GATE_SEEDS = 5
METRICS = {
    "train_accuracy": "train",
    "test_accuracy": "test",
    "online_accuracy": "train, online",
    "train_top5": "train top 5",
    "test_top5": "test top 5",
    "best_test_accuracy": "best",
    "best_test_top5": "best top 5",
}


def _table(title: str, columns: tuple[str, ...], words: int = 1) -> Table:
    """The first `words` columns hold words, the others numbers."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < words else "right", overflow="fold")
    return table


def _points(value: float | None, signed: bool = False) -> str:
    if value is None:
        return MISSING
    return f"{value:+.2f}" if signed else f"{value:.2f}"


def _share(fraction: float | None) -> str:
    """A fraction in per cent, without the sign that the column's head has."""
    return _points(None if fraction is None else 100 * fraction)


def _name(result: dict[str, Any]) -> str:
    """The key without its hash."""
    return str(result["key"].rsplit("-", 1)[0])


def _end(result: dict[str, Any]) -> str:
    """How a run ended; the rate where there was a ladder."""
    ladder = len(result["recipe"]["rates"]) > 1
    return f"{result['status']}, rate {result['rate']:g}" if ladder else str(result["status"])


def run(result: dict[str, Any], folder: str | None = None) -> Table:
    """One run, line by line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("run", _name(result))
    length = f"{_count(result['epochs'], 'epoch')}, {_count(result['steps'], 'step')}"
    table.add_row("ended", f"{_end(result)} after {length}; loss {number(result['loss'], 3)}")
    table.add_row("train", _with_top5(result, "train"))
    best = result["best_test_accuracy"]
    table.add_row("test", f"{_with_top5(result, 'test')}; best along training {percent(best)}")
    if result["corrupted_test_error"] is not None:
        table.add_row("", f"error {percent(result['corrupted_test_error'])} on test labels corrupted alike")
    step, threshold = result["converged_step"], result["recipe"]["threshold"]
    reached = "not reached in a window of steps" if step is None else f"after {step:,} steps"
    table.add_row(f"loss {threshold:g}", reached)
    table.add_row("time", seconds(result["seconds"]))
    if folder is not None:
        table.add_row("files", folder)
    return table


def _count(value: int, noun: str) -> str:
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def _with_top5(result: dict[str, Any], part: str) -> str:
    top5 = result[f"{part}_top5"]
    said = percent(result[f"{part}_accuracy"])
    return (
        said
        if top5 is None or result["recipe"]["dataset"] != "imagenet"
        else f"{said} (top 5 {percent(top5)})"
    )


def runs(results: list[dict[str, Any]]) -> Table:
    """One line per run."""
    table = _table(
        "runs (accuracies in %)", ("run", "end", "epochs", "train", "test", "best", "steps to .1", "time"), 2
    )
    for result in results:
        step = result["converged_step"]
        table.add_row(
            _name(result),
            _end(result),
            str(result["epochs"]),
            _share(result["train_accuracy"]),
            _share(result["test_accuracy"]),
            _share(result["best_test_accuracy"]),
            MISSING if step is None else f"{step:,}",
            seconds(result["seconds"]),
        )
    return table


def memorisation(results: list[dict[str, Any]]) -> Table | None:
    """Examples with clean and with corrupted labels apart, at the end of each run that has both."""
    columns = ("run", "labels", "right", "learned in epoch", "forgotten")
    table = _table("memorisation (means over examples)", columns, 2)
    for result in results:
        last = result["history"][-1]
        if last["corrupted_accuracy"] is None or last["clean_accuracy"] is None:
            continue
        for name in ("clean", "corrupted"):
            table.add_row(
                _name(result) if name == "clean" else "",
                name,
                percent(last[f"{name}_accuracy"]),
                number(last[f"{name}_first_learned"], 3),
                f"{number(last[f'{name}_forgotten'], 3)} times",
            )
    return table if table.row_count else None


def plan(record: dict[str, Any]) -> list[RenderableType]:
    """What a reproduction would train: runs and arithmetic by model, and the least time at the peak."""
    table = _table("to train", ("model", "runs", "epochs", "PFLOP", "at the peak"))
    for model, row in record["models"].items():
        floor = row["petaflop"] * 1e15 / record["peak_flops_per_second"]
        table.add_row(
            model, f"{row['runs']:,}", f"{row['epochs']:,}", number(row["petaflop"], 3), seconds(floor)
        )
    table.add_section()
    floor = record["floor_seconds"]
    table.add_row("all", f"{record['runs']:,}", "", number(record["petaflop"], 3), seconds(floor))
    peak = record["peak_flops_per_second"] / 1e12
    shares = ", ".join(f"{share:.0%} of it: {seconds(floor / share)}" for share in (0.3, 0.2, 0.1))
    return [table, Text(f"the peak is {peak:g} TFLOP/s; at {shares} (evaluations come on top)")]


def reproductions(records: list[dict[str, Any]]) -> list[RenderableType]:
    """All records, and once the choices that the paper left open, with every value that they took."""
    parts = [part for record in records for part in reproduction(record)]
    taken: dict[tuple[str, str], set[str]] = {}
    for record in records:
        for choice in record["choices"]:
            taken.setdefault((choice["name"], choice["mark"]), set()).update(choice["values"])
    listed = (
        f"{name} [{mark}] {', '.join(sorted(values))}".rstrip() for (name, mark), values in taken.items()
    )
    return [*parts, Text("not stated by the paper: " + "; ".join(listed))]


def reproduction(record: dict[str, Any]) -> list[RenderableType]:
    """Tables of paper, ours and difference (in per cent), or of the figure's curves; what was scaled down."""
    parts: list[RenderableType] = []
    if "cells" in record:
        parts.append(_cells(record["target"], record["cells"]))
    if "weight_decay_sweep" in record:
        parts.append(_cells("weight decay that the paper leaves open", record["weight_decay_sweep"]))
    if record.get("figure1a"):
        table = _table(
            "figure 1a", ("images and labels", "steps to loss .1", "replication", "train %", "test %")
        )
        for name in record["order"]:
            curve = record["figure1a"][name]
            step = curve["converged_step"]["mean"]
            told = curve["replication_step"]
            steps = [MISSING if value is None else f"{value:,.0f}" for value in (step, told)]
            accuracies = [_share(curve[f"{part}_accuracy"]["mean"]) for part in ("train", "test")]
            table.add_row(name.replace("-", " "), *steps, *accuracies)
        parts.append(table)
    for model, points in record.get("figure1bc", {}).items():
        columns = ("p", "relative time", "train %", "test error %", "on corrupted labels %")
        table = _table(f"figures 1b, 1c: {model}", columns)
        for point in points:
            table.add_row(
                f"{point['p']:.1f}",
                number(point["relative_time"], 3),
                _share(point["train_accuracy"]["mean"]),
                _share(point["test_error"]),
                _share(point["corrupted_test_error"]),
            )
        parts.append(table)
    if record.get("figure2b"):
        table = _table("figure 2b", ("model", "last test %", "best test %"))
        for name, curve in record["figure2b"].items():
            table.add_row(name, _share(curve["test"][-1]), _share(curve["best"][-1]))
        parts.append(table)
    parts += [Text(line) for line in _remarks(record)]
    return parts


def _remarks(record: dict[str, Any]) -> Iterable[str]:
    """What the reader of the tables must know."""
    if record["unfinished"]:
        yield (
            f"{len(record['unfinished'])} of {record['runs']} runs are not finished: the same command goes on with them"
        )
    judged = [cell["within_gate"] for cell in record.get("cells", []) if cell["within_gate"] is not None]
    if record["target"] == "table1" and judged:
        few = "" if len(record["seeds"]) >= GATE_SEEDS else f" where the comparison asks for {GATE_SEEDS}"
        yield (
            f"{sum(judged)} of {len(judged)} means agree with the paper (within 1 point, 1.5 for the MLPs; test after "
            f"random labels 10 ± 0.9); {_count(len(record['seeds']), 'seed')}{few}"
        )
    yield record["scaled_down"] or "at the paper's size"
    if record.get("figures"):
        yield "figures: " + ", ".join(path for path in map(str, record["figures"]) if path.endswith(".png"))
    yield ""


def _cells(title: str, cells: list[dict[str, Any]]) -> Table:
    """A line for each cell of the paper's table, two metrics side by side as the paper prints them."""
    lines: list[tuple[str, str, list[dict[str, Any]]]] = []
    for (row, column), group in groupby(cells, key=lambda cell: (cell["row"], cell["column"])):
        found = list(group)
        lines += [(row, column, found[first : first + 2]) for first in range(0, len(found), 2)]
    metrics = {_metric(pair) for _, _, pair in lines}
    spread = any(cell["spread"] is not None for cell in cells)
    paper = any(cell["paper"] is not None or cell["paper_fails_to_converge"] for cell in cells)
    # A column that would say the same, or nothing, in every line is left out.
    columns = ["model", "setting"] + ["metric"] * (len(metrics) > 1) + ["paper"] * paper
    columns += ["ours"] + ["spread"] * spread + ["difference"] * paper
    told = f"{metrics.pop()} accuracy" if len(metrics) == 1 else "accuracy"
    table = _table(f"{title}: {told} in %", tuple(columns), 2 + ("metric" in columns))
    before: tuple[str, str] = ("", "")
    for row, column, pair in lines:
        words = {
            "model": row.removesuffix("-labels") if row != before[0] else "",
            "setting": column if (row, column) != before else "",
            "metric": _metric(pair),
            "paper": "fails" if pair[0]["paper_fails_to_converge"] else _pair(pair, "paper"),
            "ours": _pair(pair, "ours"),
            "spread": _pair(pair, "spread"),
            "difference": _pair(pair, "difference", signed=True),
        }
        before = (row, column)
        table.add_row(*(words[name] for name in columns))
    return table


def _pair(pair: list[dict[str, Any]], name: str, signed: bool = False) -> str:
    return "/".join(_points(cell[name], signed) for cell in pair)


def _metric(pair: list[dict[str, Any]]) -> str:
    """train/test; train 1/5 for top 1 and top 5, ..."""
    names = [METRICS[cell["metric"]] for cell in pair]
    return f"{names[0]} 1/5" if names[-1] == f"{names[0]} top 5" else "/".join(names)


def analysis(record: dict[str, Any]) -> list[Table]:
    """Norms, margins, kernels and Rademacher complexity, as far as they were asked for."""
    parts = []
    if "norms" in record:
        table = _table("norms", ("layer", "spectral", "Frobenius", "from initialisation"))
        for name, row in record["norms"]["layers"].items():
            table.add_row(name, number(row["spectral"]), number(row["frobenius"]), number(row["distance"]))
        found = record["norms"]
        table.add_row(
            "all", number(found["spectral_product"]), number(found["frobenius"]), number(found["distance"])
        )
        least, median = record["margins"]["least"], record["margins"]["deciles"][4]
        table.caption = (
            f"path norm {number(found['path'])}; margins: least {number(least)}, median {number(median)}"
        )
        parts.append(table)
    if "kernels" in record:
        table = _table("y^T K^-1 y", ("kernel", "rows", "true labels", "random labels", "ratio"))
        for row in record["kernels"]:
            table.add_row(
                f"{row['kernel']}, {row['network']}",
                str(row["rows"]),
                number(row["true"]),
                f"{number(row['random_mean'])} ± {number(row['random_spread'], 2)}",
                number(row["ratio"], 3),
            )
        ridge = max(row["ridge"] for row in record["kernels"])
        table.caption = (
            f"random: mean and spread over draws; conjugate kernels with a ridge up to {number(ridge, 2)}"
        )
        parts.append(table)
    if "rademacher" in record:
        table = _table("empirical Rademacher complexity", ("class", "mean", "standard error", "draws"))
        for name, row in record["rademacher"].items():
            table.add_row(
                name.replace("_", " "),
                number(row["mean"]),
                number(row["standard_error"], 2),
                str(len(row["draws"])),
            )
        parts.append(table)
    return parts
