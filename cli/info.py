"""`kernelfit info`: what this machine has, and how fast it multiplies matrices."""

from __future__ import annotations

from typing import Any

import click
import numpy as np

from kernelfit.cpu import environment
from kernelfit.experiments import gemm_rate
from kernelfit.report.grid import Pairs
from kernelfit.report.tables import counted
from kernelfit.storage import json_output

from .options import json_option
from .output import GroupedCommand, emit


def gather(measure: bool) -> dict[str, Any]:
    """The machine's description and, on request, its float64 and float32 GEMM rates in GFLOP/s."""
    record = environment.describe()
    if measure:
        record["gemm_gflops"] = {
            np.dtype(dtype).name: gemm_rate.measure(dtype) / 1e9 for dtype in (np.float64, np.float32)
        }
    record["peak_rss_bytes"] = environment.peak_rss_bytes()
    return record


def table(record: dict[str, Any]) -> Pairs:
    """The record as a person reads it."""
    rows = Pairs()
    processor = record["processor"]
    rows.add_row("System", record["system"])
    rows.add_row(
        "Processor",
        f"{processor['model']}, {counted(processor['cores'], 'core')}, {processor['memory_bytes'] / 1e9:.1f} GB",
    )
    for pool in record["blas"]:
        threads = None if pool["threads"] is None else counted(pool["threads"], "thread")
        words = [f"{pool['name']} {pool['version']}", threads, pool["architecture"]]
        rows.add_row("BLAS", f"{', '.join(filter(None, words))} ({pool['file']})")
    for device in record["gpu"]:
        memory = device["memory_bytes"]
        words = [
            device["name"],
            None if memory is None else f"{memory / 1e9:.1f} GB",
            f"driver {device['driver']}",
        ]
        rows.add_row("GPU", ", ".join(filter(None, words)))
    if not record["gpu"]:
        rows.add_row("GPU", "none found")
    for dtype, rate in record.get("gemm_gflops", {}).items():
        rows.add_row(f"GEMM {dtype}", f"{rate:.1f} GFLOP/s")
    rows.add_row("Versions", ", ".join(f"{name} {version}" for name, version in record["versions"].items()))
    return rows


@click.command(name="info", cls=GroupedCommand)
@click.option(
    "--gemm/--no-gemm", default=True, show_default=True, help="Measure the GEMM rate (some seconds)."
)
@json_option
def command(gemm: bool, json_target: str | None) -> None:
    """Show processor, BLAS, GPU, versions and the measured GEMM rate."""
    json_output.check_target(json_target)
    record = gather(gemm)
    emit(record, json_target, table(record))
