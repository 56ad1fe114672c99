"""A comparison of kernels as a person reads it."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kernelfit.report.advice import predict_command
from kernelfit.report.tables import MISSING, kernel_formula, number, percent, seconds

# What a kernel of scikit-learn's grid is called beside its model.
_PARAMETERS = ("gamma", "length_scale", "degree", "nu")


def table(record: dict[str, Any]) -> RenderableType:
    """Entries with their errors, the winner, how it compares with scikit-learn, and the code that makes it."""
    classes = record["task"] == "classification"
    measure = "error" if classes else "RMSE"
    grid = Table(box=None, pad_edge=False)
    grid.add_column("", no_wrap=True)
    grid.add_column("left out", justify="right", style="green", no_wrap=True)
    for heading in ("test", "norm", "ridge", "width", "time"):
        grid.add_column(heading, justify="right", no_wrap=True)
    best = next(
        entry for entry in record["entries"] if entry["library"] == "kernelfit" and not entry["failed"]
    )
    for entry in record["entries"]:
        ours = entry["library"] == "kernelfit"
        name = entry["name"] if ours else f"sklearn {entry['name']}"
        if entry["failed"]:
            grid.add_row(f"  {name}", MISSING, "", "", "", "", "failed", style="dim")
            continue
        grid.add_row(
            f"{'>' if entry is best else ' '} {name}",
            _error(entry, "loo", classes) + ("" if entry["by"] == "leave-one-out" else "*"),
            _error(entry, "test", classes),
            number(entry["rkhs_norm"]),
            number(entry["ridge"], 3),
            _width(entry["kernel"]),
            seconds(entry["seconds"]),
            style="bold" if entry is best else "",
        )
    of = f" drawn from {record['of']:,}" if record["rows"] < record["of"] else ""
    parts: list[RenderableType] = [
        Text(f"{measure} of each of {record['rows']:,} rows{of}, left out of the fit", style="bold"),
        grid,
    ]
    if any(entry["by"] != "leave-one-out" and not entry["failed"] for entry in record["entries"]):
        parts.append(Text("* a fifth of the rows left out at a time", style="dim"))
    parts += [Text(line) for line in _beside(record, best, classes)]
    parts += [
        Text(f"{entry['name']}: {entry['failed']}", style="dim")
        for entry in record["entries"]
        if entry["failed"]
    ]
    if record.get("result") is not None:
        parts.append(Text(_run(record["result"], classes)))
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


def _beside(record: dict[str, Any], best: dict[str, Any], classes: bool) -> list[str]:
    """The winner beside scikit-learn's grid of the same kernels."""
    grid = next((entry for entry in record["entries"] if entry["name"] == "KernelRidge grid"), None)
    if grid is None or grid["failed"]:
        return []
    ours, theirs = _error(best, "loo", classes), _error(grid, "loo", classes)
    kernel = kernel_formula(grid["kernel"])
    return [
        f"{best['name']} {ours}, scikit-learn's KernelRidge at the best of {grid['settings']} {theirs}: {kernel}"
    ]


def _run(result: dict[str, Any], classes: bool) -> str:
    """The winner on all rows."""
    line = f"{kernel_formula(result['kernel'])}, ridge {number(result['ridge'])}, on {result['n_train']:,} rows: "
    errors = [f"{_error(result, 'loo', classes)} left out"]
    if result["n_test"]:
        rows = "row" if result["n_test"] == 1 else "rows"
        errors.append(f"{_error(result, 'test', classes)} on {result['n_test']:,} test {rows}")
    return line + ", ".join(errors) + f", {seconds(result['seconds']['total'])}"
