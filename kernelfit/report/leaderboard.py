"""A comparison of kernels as a person reads it."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from kernelfit.report.advice import predict_command
from kernelfit.report.grid import Filled, Grid
from kernelfit.report.tables import MISSING, kernel_formula, number, percent, seconds


def table(record: dict[str, Any]) -> RenderableType:
    """Entries with their errors, the winner, how it compares with scikit-learn, and the code that makes it."""
    classes = record["task"] == "classification"
    measure = "error" if classes else "RMSE"
    headings = ("", "left out", "test", "norm", "ridge", "width", "time")
    grid = Grid(headings, right=range(1, 7), optional=(3, 6, 5, 4, 2))
    best = next(
        entry for entry in record["entries"] if entry["library"] == "kernelfit" and not entry["failed"]
    )
    for entry in record["entries"]:
        ours = entry["library"] == "kernelfit"
        name = entry["name"] if ours else f"sklearn {entry['name']}"
        if entry["failed"]:
            cells = (f"  {name}", MISSING, "", "", "", "", "failed")
            grid.add_row(*(Text(cell, style="dim") for cell in cells))
            continue
        style = "bold" if entry is best else ""
        left_out = _error(entry, "loo", classes) + ("" if entry["by"] == "leave-one-out" else "*")
        grid.add_row(
            Text(f"{'>' if entry is best else ' '} {name}", style=style),
            Text(left_out, style=f"{style} green"),
            Text(_error(entry, "test", classes), style=style),
            Text(number(entry["rkhs_norm"]), style=style),
            Text(number(entry["ridge"], 3), style=style),
            Text(_width(entry["kernel"]), style=style),
            Text(seconds(entry["seconds"]), style=style),
        )
    of = f" drawn from {record['of']:,}" if record["rows"] < record["of"] else ""
    parts: list[RenderableType] = [
        Text(f"{measure} of each of {record['rows']:,} rows{of}, left out of the fit", style="bold"),
        grid,
    ]
    if any(entry["by"] != "leave-one-out" and not entry["failed"] for entry in record["entries"]):
        parts.append(Text("* a fifth of the rows left out at a time", style="dim"))
    parts += [Filled(phrases) for phrases in _beside(record, best, classes)]
    parts += [
        Filled(f"{entry['name']}: {entry['failed']}".split(", "), style="dim")
        for entry in record["entries"]
        if entry["failed"]
    ]
    if record.get("result") is not None:
        parts.append(Filled(_run(record["result"], classes)))
    if record.get("out") is not None:
        parts.append(Text(f"next: {predict_command(record['out'])}"))
    parts.append(Text("the same in Python", style="bold"))
    parts += [Text(f"  {line}", no_wrap=True, overflow="ignore") for line in record["code"]]
    return Group(*parts)


def _error(entry: dict[str, Any], part: str, classes: bool) -> str:
    return percent(entry[f"{part}_error"]) if classes else number(entry[f"{part}_rmse"])


def _width(kernel: dict[str, Any] | None) -> str:
    for name in ("gamma", "length_scale"):
        if kernel is not None and name in kernel:
            return number(kernel[name], 3)
    return MISSING if kernel is None else ""


def _beside(record: dict[str, Any], best: dict[str, Any], classes: bool) -> list[list[str]]:
    """The winner beside scikit-learn's grid of the same kernels, in phrases."""
    grid = next((entry for entry in record["entries"] if entry["name"] == "KernelRidge grid"), None)
    if grid is None or grid["failed"]:
        return []
    ours, theirs = _error(best, "loo", classes), _error(grid, "loo", classes)
    kernel = kernel_formula(grid["kernel"])
    settings = f"scikit-learn's KernelRidge at the best of {grid['settings']} {theirs}"
    return [[f"{best['name']} {ours}", settings, f"by {kernel}"]]


def _run(result: dict[str, Any], classes: bool) -> list[str]:
    """The winner on all rows, in phrases."""
    phrases = [
        kernel_formula(result["kernel"]),
        f"ridge {number(result['ridge'])}",
        f"on {result['n_train']:,} rows: {_error(result, 'loo', classes)} left out",
    ]
    if result["n_test"]:
        rows = "row" if result["n_test"] == 1 else "rows"
        phrases.append(f"{_error(result, 'test', classes)} on {result['n_test']:,} test {rows}")
    return [*phrases, seconds(result["seconds"]["total"])]
