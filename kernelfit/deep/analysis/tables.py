"""Readable tables of an analysis. No torch here."""

from __future__ import annotations

from typing import Any

from kernelfit.deep.training.tables import new_table
from kernelfit.report.grid import Grid
from kernelfit.report.tables import number


def tables(record: dict[str, Any]) -> list[Grid]:
    """Norms, margins, kernels and Rademacher complexity, as far as they were asked for."""
    parts = []
    if "norms" in record:
        parts.append(_norms(record["norms"], record["margins"]))
    if "kernels" in record:
        parts.append(_kernels(record["kernels"]))
    if "rademacher" in record:
        parts.append(_rademacher(record["rademacher"]))
    return parts


def _norms(norms: dict[str, Any], margins: dict[str, Any]) -> Grid:
    table = new_table("norms", ("layer", "spectral", "Frobenius", "from initialisation"))
    for name, row in norms["layers"].items():
        table.add_row(name, number(row["spectral"]), number(row["frobenius"]), number(row["distance"]))
    table.add_row(
        "all", number(norms["spectral_product"]), number(norms["frobenius"]), number(norms["distance"])
    )
    smallest, median = margins["min"], margins["deciles"][4]
    table.caption = (
        f"path norm {number(norms['path'])}; margins: smallest {number(smallest)}, median {number(median)}"
    )
    if norms.get("left_out"):
        table.caption += f"; in no linear or convolution layer: {', '.join(norms['left_out'])}"
    return table


def _kernels(rows: list[dict[str, Any]]) -> Grid:
    table = new_table("y^T K^-1 y", ("kernel", "rows", "true labels", "random labels", "ratio"))
    for row in rows:
        table.add_row(
            f"{row['kernel']}, {row['network']}",
            str(row["rows"]),
            number(row["true"]),
            f"{number(row['random_mean'])} ± {number(row['random_spread'], 2)}",
            number(row["ratio"], 3),
        )
    ridge = max(row["ridge"] for row in rows)
    table.caption = (
        f"random: mean and spread over draws; kernels that are singular with a ridge up to {number(ridge, 2)}"
    )
    return table


def _rademacher(classes: dict[str, dict[str, Any]]) -> Grid:
    table = new_table("empirical Rademacher complexity", ("class", "mean", "standard error", "draws"))
    for name, row in classes.items():
        table.add_row(
            name.replace("_", " "),
            number(row["mean"]),
            number(row["standard_error"], 2),
            str(len(row["draws"])),
        )
    return table
