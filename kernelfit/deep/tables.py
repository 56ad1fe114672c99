"""Readable tables of runs, reproductions and analyses. No torch here."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.table import Table

from kernelfit.report.tables import MISSING, number, percent, seconds


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=title)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    return table


def _points(value: float | None, signed: bool = False) -> str:
    if value is None:
        return MISSING
    return f"{value:+.2f}" if signed else f"{value:.2f}"


def runs(results: list[dict[str, Any]]) -> Table:
    """One line per run."""
    table = _table(
        "runs", ("run", "status", "epochs", "train", "test", "best test", "steps to loss 0.1", "time")
    )
    for result in results:
        step = result["converged_step"]
        table.add_row(
            result["key"].rsplit("-", 1)[0],
            f"{result['status']} at rate {result['rate']:g}",
            str(result["epochs"]),
            percent(result["train_accuracy"]),
            percent(result["test_accuracy"]),
            percent(result["best_test_accuracy"]),
            MISSING if step is None else f"{step:,}",
            seconds(result["seconds"]),
        )
    return table


def memorisation(results: list[dict[str, Any]]) -> Table | None:
    """Examples with clean and with corrupted labels apart, at the end of each run that has both."""
    columns = ("run", "labels", "right", "first learned (epoch)", "times forgotten")
    table = _table("memorisation", columns)
    for result in results:
        last = result["history"][-1]
        if last["corrupted_accuracy"] is None or last["clean_accuracy"] is None:
            continue
        for name in ("clean", "corrupted"):
            table.add_row(
                result["key"].rsplit("-", 1)[0],
                name,
                percent(last[f"{name}_accuracy"]),
                number(last[f"{name}_first_learned"], 3),
                number(last[f"{name}_forgotten"], 3),
            )
    return table if table.row_count else None


def reproduction(record: dict[str, Any]) -> list[RenderableType]:
    """Tables of paper, ours and difference (in per cent), or of the figure's curves; what was scaled down."""
    parts: list[RenderableType] = []
    if "cells" in record:
        parts.append(_cells(f"{record['target']}: accuracy in %", record["cells"]))
    if "weight_decay_sweep" in record:
        parts.append(_cells("weight decay that the paper leaves open", record["weight_decay_sweep"]))
    if "figure1a" in record:
        table = _table(
            "figure 1a", ("images and labels", "steps to loss 0.1", "replication", "train", "test")
        )
        for name in record["order"]:
            curve = record["figure1a"][name]
            step = curve["converged_step"]["mean"]
            train, test = curve["train_accuracy"]["mean"], curve["test_accuracy"]["mean"]
            told = curve["replication_step"]
            steps = [MISSING if value is None else f"{value:,.0f}" for value in (step, told)]
            table.add_row(name, *steps, percent(train), percent(test))
        parts.append(table)
    for model, points in record.get("figure1bc", {}).items():
        table = _table(
            f"figures 1b, 1c: {model}", ("p", "relative time", "test error", "on corrupted labels")
        )
        for point in points:
            table.add_row(
                f"{point['p']:.1f}",
                number(point["relative_time"], 3),
                percent(point["test_error"]),
                percent(point["corrupted_test_error"]),
            )
        parts.append(table)
    if "figure2b" in record:
        table = _table("figure 2b", ("model", "last test", "best test"))
        for name, curve in record["figure2b"].items():
            table.add_row(name, percent(curve["test"][-1]), percent(curve["best"][-1]))
        parts.append(table)
    parts.append(record["scaled_down"] or "at the paper's size")
    taken = [f"{c['name']} [{c['mark']}] {', '.join(c['values'])}".rstrip() for c in record["choices"]]
    parts.append("not stated by the paper: " + "; ".join(taken))
    return parts


def _cells(title: str, cells: list[dict[str, Any]]) -> Table:
    table = _table(title, ("model", "setting", "metric", "paper", "ours", "spread", "difference"))
    for cell in cells:
        paper = "fails to converge" if cell["paper_fails_to_converge"] else _points(cell["paper"])
        table.add_row(
            cell["row"],
            cell["column"],
            cell["metric"].replace("_accuracy", "").replace("_", " "),
            paper,
            _points(cell["ours"]),
            _points(cell["spread"]),
            _points(cell["difference"], signed=True),
        )
    return table


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
