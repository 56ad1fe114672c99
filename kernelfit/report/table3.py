"""Table 3 beside its reproduction: the summary that goes into JSON, a table, and a figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from kernelfit.experiments.paper import CITATION, ROWS, PaperRow
from kernelfit.report.grid import Grid
from kernelfit.report.style import own_style
from kernelfit.report.tables import kernel_formula, number, percent, seconds

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def summary(records: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Paper and measurement row by row; `records`: name -> what `kernelfit.experiments.table3.run_row` returned."""
    return {
        "paper": CITATION,
        "rows": [_summary_row(row, records[row.name]) for row in ROWS if row.name in records],
        "missing": [row.name for row in ROWS if row.name not in records],
    }


def _summary_row(row: PaperRow, record: dict[str, Any]) -> dict[str, Any]:
    chosen, without = record["chosen"], record["interpolation"] or {}
    return {
        "row": row.name,
        "paper": asdict(row),
        "n_train": record["n_train"],
        "n_test": record["n_test"],
        "filters": record["filters"],
        "n_features": record["n_features"],
        "scaled_down": scaled_down(row, record),
        "corruption": corruption(record),
        "kernel": chosen["kernel"],
        "test_error": without.get("test_error"),
        "rkhs_norm": without.get("rkhs_norm"),
        "backward_error": without.get("backward_error"),
        "ridge": chosen["ridge"],
        "ridge_relative": record["ridge_choice"]["relative"],
        "test_error_with_ridge": chosen["test_error"],
        "rkhs_norm_with_ridge": chosen["rkhs_norm"],
        "ridge_rows": record["ridge_choice"]["rows"],
        "remarks": record["notes"],
        "seconds": record["seconds"],
        "peak_rss_bytes": chosen["peak_rss_bytes"],
        "notes": [*chosen["notes"], *record["notes"]],
    }


def scaled_down(row: PaperRow, record: dict[str, Any]) -> list[str]:
    """What is smaller than in the paper, such as `n = 5,000 of 60,000`; empty for a row at full size."""
    sizes = (
        ("n =", record["n_train"], row.n_train),
        ("test rows", record["n_test"], row.n_test),
        ("filters", record["filters"], row.filters),
    )
    return [f"{name} {ours:,} of {theirs:,}" for name, ours, theirs in sizes if theirs and ours < theirs]


def corruption(record: dict[str, Any]) -> str | None:
    """What was done to labels or pixels, such as `corrupt-labels, p = 0.5`; None for the data as they are."""
    parameters = record.get("parameters", {})
    name = parameters.get("corruption")
    return f"{name}, p = {parameters['corruption_p']:g}" if name == "corrupt-labels" else name


def table(content: dict[str, Any]) -> RenderableType:
    """The summary as a person reads it, at most 80 columns wide."""
    grid = Grid(("", "error", "paper", "norm", "paper", "+ridge", "paper"), right=range(1, 7))
    for row in content["rows"]:
        theirs = row["paper"]
        grid.add_row(
            row["row"],
            percent(row["test_error"]),
            percent(theirs["test_error"]),
            number(row["rkhs_norm"]),
            number(theirs["rkhs_norm"]),
            percent(row["test_error_with_ridge"]),
            percent(theirs["test_error_with_ridge"]),
        )
    lines: list[RenderableType] = [grid]
    for row in content["rows"]:
        other = differences(row)
        size = ", ".join(other) or "full size"
        ridge = f"ridge {row['ridge_relative']:g} of K's mean diagonal" if row["ridge"] else "ridge 0"
        lines.append(
            Text.assemble(
                (f"{row['row']}: ", "bold"),
                (size, "yellow" if other else ""),
                "; ".join(
                    [
                        "",
                        f"{kernel_formula(row['kernel'])}, {ridge}",
                        *row["remarks"],
                        seconds(row["seconds"]),
                    ]
                ),
            )
        )
    if content["missing"]:
        lines.append(Text(f"not computed yet: {', '.join(content['missing'])}", style="yellow"))
    lines.append(
        Text("gamma and ridge by leave-one-out on training rows; norms of one-hot targets", style="dim")
    )
    lines.append(Text(f"paper: {content['paper']}", style="dim"))
    return Group(*lines)


def differences(row: dict[str, Any]) -> list[str]:
    """What is other than in the paper: sizes, and what was done to labels or pixels."""
    corrupted = row.get("corruption")  # which older records lack
    return [*row["scaled_down"], *([corrupted] if corrupted else [])]


@own_style()
def figure(content: dict[str, Any]) -> Figure:
    """Bars of test error (interpolating, with ridge) and of norm, paper beside measurement."""
    from matplotlib.figure import Figure

    rows = content["rows"]
    picture = Figure(figsize=(11.0, 4.8), layout="constrained")
    errors, norms = picture.subplots(1, 2, width_ratios=(5, 3))
    series = [
        ("paper", "tab:gray", None, [row["paper"]["test_error"] for row in rows]),
        ("here", "tab:blue", None, [row["test_error"] for row in rows]),
        ("paper, ridge", "lightgray", "//", [row["paper"]["test_error_with_ridge"] for row in rows]),
        ("here, ridge", "lightblue", "//", [row["test_error_with_ridge"] for row in rows]),
    ]
    _bars(errors, rows, [(name, color, hatch, _percentages(values)) for name, color, hatch, values in series])
    errors.set(yscale="log", ylabel="test error, %", title="Table 3")
    with_norm = [row for row in rows if row["rkhs_norm"] is not None]
    _bars(
        norms,
        with_norm,
        [
            ("paper", "tab:gray", None, [row["paper"]["rkhs_norm"] for row in with_norm]),
            ("here", "tab:blue", None, [row["rkhs_norm"] for row in with_norm]),
        ],
    )
    norms.set(yscale="log", ylabel="norm of the interpolant", title="Norms")
    other = [f"{row['row']}: {', '.join(differences(row))}" for row in rows if differences(row)]
    if other:
        picture.supxlabel("\n".join(["* other than in the paper", *other]), fontsize=7)
    return picture


def _percentages(values: list[float | None]) -> list[float | None]:
    return [None if value is None else 100.0 * value for value in values]


def _bars(
    axes: Any, rows: list[dict[str, Any]], series: list[tuple[str, str, str | None, list[Any]]]
) -> None:
    """Bars side by side, each with its value on it; what the paper does not give has no bar."""
    width = 0.8 / len(series)
    for index, (name, color, hatch, values) in enumerate(series):
        positions = [position for position, value in enumerate(values) if value]
        heights = [value for value in values if value]
        left = np.array(positions) + (index - (len(series) - 1) / 2) * width
        bars = axes.bar(left, heights, width, label=name, color=color, hatch=hatch)
        axes.bar_label(bars, labels=[f"{height:.3g}" for height in heights], fontsize=7)
    labels = [row["row"].replace("-", "\n", 1) + ("*" if differences(row) else "") for row in rows]
    axes.set_xticks(range(len(rows)), labels, fontsize=8)
    axes.margins(y=0.25)
    axes.legend(fontsize=7, ncols=len(series), loc="upper center")
