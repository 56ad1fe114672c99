"""Readable tables of reproductions. No torch here."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from kernelfit.deep.training.tables import count, new_table, points, share
from kernelfit.experiments.paper import FIGURE1A, TABLE2_ALEXNET_TOP5
from kernelfit.report.grid import Grid
from kernelfit.report.tables import MISSING, number, seconds

GATE_SEEDS = 5
_SEEDS = ("seeds",)
# What is drawn of one seed (`compare.first_history`).
_OF_ONE_SEED = ("figure1a", "figure2a", "figure2b")
METRICS = {
    "train_accuracy": "train",
    "test_accuracy": "test",
    "online_accuracy": "train, online",
    "train_top5": "train top 5",
    "test_top5": "test top 5",
    "best_test_accuracy": "best",
    "best_test_top5": "best top 5",
}


def plan(record: dict[str, Any]) -> list[RenderableType]:
    """What a reproduction would train: runs, arithmetic and time by model; on CUDA the shortest time, at the peak."""
    measured = record["device"] == "cpu"
    columns = ("model", "runs", "epochs", "PFLOP", *(("images/s", "time") if measured else ("at the peak",)))
    table = new_table("to train", columns)
    for model, row in record["models"].items():
        rate = [f"{row['images_per_second']:,.0f}"] if measured else []
        table.add_row(
            model,
            f"{row['runs']:,}",
            f"{row['epochs']:,}",
            number(row["petaflop"], 3),
            *rate,
            seconds(row["seconds"]),
        )
    total = record["seconds"]
    blank = [""] if measured else []
    table.add_row("all", f"{record['runs']:,}", "", number(record["petaflop"], 3), *blank, seconds(total))
    if measured:
        line = "time: from steps that were measured on this CPU now, one run or stack at a time"
    else:
        peak = record["peak_flops_per_second"] / 1e12
        shares = ", ".join(f"{share:.0%} of it: {seconds(total / share)}" for share in (0.3, 0.2, 0.1))
        line = f"the peak is {peak:g} TFLOP/s; at {shares}"
    return [table, Text(f"{line} (evaluations come on top)")]


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
    seeds = len(record["seeds"])
    if "cells" in record:
        parts.append(_cells(record["target"], record["cells"], seeds))
    if record["target"] == "table2":
        parts.append(
            Text(
                f"AlexNet (Krizhevsky et al., 2012): test top 5 {TABLE2_ALEXNET_TOP5} %, the paper's reference"
            )
        )
    if "weight_decay_sweep" in record:
        parts.append(_cells("weight decay that the paper leaves open", record["weight_decay_sweep"], seeds))
    if record.get("figure1a"):
        parts.append(_figure1a(record["figure1a"], record["order"], seeds))
    for model, curve in record.get("figure1bc", {}).items():
        parts.append(_figure1bc(model, curve, seeds))
    if record.get("figure2b"):
        parts.append(_figure2b(record["figure2b"]))
    if not parts:
        parts.append(Text(f"{record['target']}: no run has come as far as what is shown"))
    parts += [Text(line) for line in _remarks(record)]
    return parts


def _figure1a(curves: dict[str, dict[str, Any]], order: list[str], seeds: int) -> Grid:
    finished = {name: curve["test_accuracy"]["seeds"] for name, curve in curves.items()}
    fewer = any(count < seeds for count in finished.values())
    columns = ("images and labels", "steps to loss .1", "replication", "train %", "test %")
    table = new_table("figure 1a", (*columns, *_SEEDS) if fewer else columns)
    for name in order:
        curve = curves[name]
        ours, replication = curve["converged_step"], curve["replication_step"]
        steps = [
            _unless_some(ours, MISSING if ours["mean"] is None else f"{ours['mean']:,.0f}"),
            MISSING if replication is None else f"{replication:,.0f}",
        ]
        accuracies = [share(curve[f"{part}_accuracy"]["mean"]) for part in ("train", "test")]
        words = name.replace("-", " ") + (", unfinished" if curve["unfinished"] else "")
        table.add_row(words, *steps, *accuracies, *([_finished(finished[name], seeds)] if fewer else []))
    return table


def _figure1bc(model: str, curve: list[dict[str, Any]], seeds: int) -> Grid:
    fewer = any(point["train_accuracy"]["seeds"] < seeds for point in curve)
    columns = ("p", "time to loss", "time to 99 %", "train %", "test error %", "corrupted alike %")
    table = new_table(f"figures 1b, 1c: {model}", (*columns, *_SEEDS) if fewer else columns)
    for point in curve:
        table.add_row(
            f"{point['p']:.1f}",
            _unless_some(point["converged_step"], number(point["relative_time"], 3)),
            _unless_some(point["accuracy_step"], number(point["relative_time_by_accuracy"], 3)),
            share(point["train_accuracy"]["mean"]),
            share(point["test_error"]),
            share(point["corrupted_test_error"]),
            *([_finished(point["train_accuracy"]["seeds"], seeds)] if fewer else []),
        )
    return table


def _finished(done: int, seeds: int) -> str:
    """Of how many seeds a mean is."""
    return f"{done} of {seeds}"


def _unless_some(steps: Any, shown: str) -> str:
    """`shown`, or how many of the seeds got there where some did and others did not; older records do not say."""
    reached = steps.get("reached", 0) if isinstance(steps, dict) else 0
    return f"{reached} of {steps['seeds']}" if 0 < reached < steps["seeds"] else shown


def _figure2b(curves: dict[str, dict[str, Any]]) -> Grid:
    table = new_table("figure 2b", ("model", "last test %", "best test %"))
    for name, curve in curves.items():
        words = name + (", unfinished" if curve.get("unfinished") else "")
        table.add_row(words, share(curve["test"][-1]), share(curve["best"][-1]))
    return table


def _remarks(record: dict[str, Any]) -> Iterable[str]:
    """What the reader of the tables must know."""
    if record["unfinished"]:
        yield (
            f"{len(record['unfinished'])} of {record['runs']} runs are not finished: the same command resumes them"
        )
    if failed := record.get("failed"):  # which older records lack
        ends = ", ".join(f"{key} {status}" for key, status in failed.items())
        yield f"{len(failed)} of {record['runs']} runs failed, and count in the means: {ends}"
    if "figure1a" in record and (missing := [name for name in FIGURE1A if name not in record["figure1a"]]):
        yield f"figure 1a: no epoch yet of {', '.join(name.replace('-', ' ') for name in missing)}"
    judged = [cell["within_gate"] for cell in record.get("cells", []) if cell["within_gate"] is not None]
    if record["target"] == "table1" and judged:
        of = sorted({cell["seeds"] for cell in record["cells"] if cell["within_gate"] is not None})
        few = "" if of[0] >= GATE_SEEDS else f" where the comparison asks for {GATE_SEEDS}"
        yield (
            f"{sum(judged)} of {len(judged)} means agree with the paper (within 1 point, 1.5 for the MLPs; test after "
            f"random labels 10 ± 0.9); {'' if len(of) == 1 else f'{of[0]} to '}{count(of[-1], 'seed')}{few}"
        )
    if len(record["seeds"]) > 1 and any(record.get(name) for name in _OF_ONE_SEED):
        yield "curves along training, and the accuracies of figure 2, are of one seed: the first that is finished"
    yield record["scaled_down"] or "at the paper's size"
    if record.get("figures"):
        yield "figures: " + ", ".join(path for path in map(str, record["figures"]) if path.endswith(".png"))
    yield ""


def _cells(title: str, cells: list[dict[str, Any]], seeds: int) -> Grid:
    """A line for each cell of the paper's table, two metrics side by side as the paper prints them; with the number of
    seeds where some of the `seeds` are not finished."""
    lines: list[tuple[str, str, list[dict[str, Any]]]] = []
    for (row, column), group in groupby(cells, key=lambda cell: (cell["row"], cell["column"])):
        metrics_of = list(group)
        lines += [(row, column, metrics_of[k : k + 2]) for k in range(0, len(metrics_of), 2)]
    metrics = {_metric(pair) for _, _, pair in lines}
    spread = any(cell["spread"] is not None for cell in cells)
    paper = any(cell["paper"] is not None or cell["paper_fails_to_converge"] for cell in cells)
    fewer = any(cell["seeds"] < seeds for cell in cells)
    # A column that would say the same, or nothing, in every line is left out.
    columns = ["model", "setting"] + ["metric"] * (len(metrics) > 1) + ["paper"] * paper
    columns += ["ours"] + ["spread"] * spread + ["difference"] * paper + ["seeds"] * fewer
    measured = f"{metrics.pop()} accuracy" if len(metrics) == 1 else "accuracy"
    table = new_table(f"{title}: {measured} in %", tuple(columns), 2 + ("metric" in columns))
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
            "seeds": _finished(pair[0]["seeds"], seeds),
        }
        before = (row, column)
        table.add_row(*(words[name] for name in columns))
    return table


def _pair(pair: list[dict[str, Any]], name: str, signed: bool = False) -> str:
    return "/".join(points(cell[name], signed) for cell in pair)


def _metric(pair: list[dict[str, Any]]) -> str:
    """train/test; train 1/5 for top 1 and top 5, ..."""
    names = [METRICS[cell["metric"]] for cell in pair]
    return f"{names[0]} 1/5" if names[-1] == f"{names[0]} top 5" else "/".join(names)
