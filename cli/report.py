"""`kernelfit report`: runs, studies and benchmarks as one HTML file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from kernelfit.errors import DataError, InputError
from kernelfit.experiments.examination import Examination, examine
from kernelfit.progress import Progress
from kernelfit.report.html.page import Entry, page
from kernelfit.report.tables import size
from kernelfit.runs.folder import RESULT
from kernelfit.storage import atomic
from kernelfit.study.asked import LABELS
from kernelfit.study.questions import STUDIES

from .output import GroupedCommand
from .wording import terminal_progress


@click.command(name="report", cls=GroupedCommand)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    default=Path("report.html"),
    help="The file to write.",
)
@click.option("--title", default="kernelfit report", help="What stands above it.")
def command(runs: tuple[Path, ...], out: Path, title: str) -> None:
    """Write a report of runs as one HTML file, which needs nothing else to be read, shown on a phone or printed.

    RUN is a folder from solve --out, whose test rows are predicted again, one from study --out, or a JSON file from
    solve, study, fit or bench. A run that was solved with --loo also shows which training rows are fitted by heart.
    """
    check_target(out, "out")
    progress = terminal_progress()
    entries = [entry for run in runs for entry in _entries(run, progress)]
    click.echo(f"report: {out}, {size(write_page(entries, out, title))}")


def check_target(target: Path, argument: str) -> None:
    """Raise InputError before the work where no file can be written after it."""
    folder = target.absolute().parent
    if target.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"{argument}: got {target}, expected a file in a folder that can be written to")


def write_page(entries: list[Entry], target: Path, title: str) -> int:
    """Write the report, whole or not at all; its bytes."""
    content = page(entries, title).encode()
    atomic.write_bytes(target, content)
    return len(content)


def _entries(run: Path, progress: Progress) -> list[Entry]:
    """What a file or a folder holds: a run, and the studies that were asked of it or stand alone."""
    if not run.is_dir():
        return [_record(run)]
    asked = [
        _record(run / name)
        for name in (LABELS, *(f"{study}.json" for study in STUDIES))
        if (run / name).is_file()
    ]
    alone = asked and not (run / RESULT).exists()
    return asked if alone else [examine(run, progress), *asked]


def _record(path: Path) -> Entry:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"runs: got {path}, expected a folder of a run or a JSON file ({error})") from None
    if not isinstance(record, dict):
        raise DataError(f"runs: got {path}, expected the JSON of kernelfit solve, study, fit or bench")
    if "backward_error" in record and "kernel" in record and "test_error" in record:
        return Examination(record)
    return record, path.name
