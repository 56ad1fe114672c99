"""`kernelfit report`: runs, studies, networks and benchmarks as one HTML file, and their figures as files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from kernelfit.deep.paper import exhibits as deep_exhibits
from kernelfit.errors import DataError, InputError
from kernelfit.experiments.examination import Examination, examine
from kernelfit.experiments.experiment import way_to_result
from kernelfit.experiments.fit import LEADERBOARD
from kernelfit.progress import Progress
from kernelfit.report import exhibits, figures, plot
from kernelfit.report.chart import Chart
from kernelfit.report.html.page import Entry, page_and_charts
from kernelfit.report.tables import size
from kernelfit.runs.folder import RESULT
from kernelfit.storage import atomic
from kernelfit.study.asked import LABELS
from kernelfit.study.questions import STUDIES

from .features import FEATURES
from .options import PATH
from .output import GroupedCommand
from .output_folder import staged
from .wording import terminal_progress

#: records that stand in a folder, in the order in which they are shown
RECORDS = (
    LEADERBOARD,
    LABELS,
    *(f"{study}.json" for study in STUDIES),
    "table3.json",
    "section5.json",
    "section5/section5.json",
    *(f"{target}.json" for target in deep_exhibits.TARGETS),
    FEATURES,
)


@click.command(name="report", cls=GroupedCommand)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=PATH)
@click.option(
    "-o",
    "--out",
    type=PATH,
    metavar="FILE",
    default=Path("report.html"),
    help="The file to write.",
)
@click.option("--title", default="kernelfit report", help="What stands above it.")
@click.option(
    "--figures",
    "figures_dir",
    type=PATH,
    metavar="DIR",
    help="Also every figure as PNG, SVG and CSV, in a new folder.",
)
def command(runs: tuple[Path, ...], out: Path, title: str, figures_dir: Path | None) -> None:
    """Write a report of runs as one HTML file, which needs nothing else to be read, shown on a phone or printed.

    RUN is a folder from solve, study, fit, features, deep or reproduce, or a JSON file from one of them or from bench.
    Test rows of a solve are predicted again; one with --loo also shows which training rows are fitted by heart.
    """
    check_target(out, "out")
    progress = terminal_progress()
    with staged(figures_dir, "--figures") as folder:
        entries = [entry for run in runs for entry in _entries(run, progress)]
        content, charts = page_and_charts(entries, title)
        if folder is not None:
            write_figures(charts, folder)
    written = _write(content, out)  # perhaps beside the figures, whose folder is there now
    click.echo(f"report: {out}, {size(written)}")
    if figures_dir is not None:
        click.echo(f"figures: {figures_dir}, {len(charts)} as PNG, SVG and CSV")


def check_target(target: Path, argument: str) -> None:
    """Raise InputError before the work where no file can be written after it."""
    folder = target.absolute().parent
    if not folder.is_dir():
        raise InputError(f"{argument}: the folder {target.parent} does not exist; make it first")
    if target.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"{argument}: got {target}, expected a file in a folder that can be written to")


def write_page(entries: list[Entry], target: Path, title: str) -> int:
    """Write the report, whole or not at all; its bytes."""
    return _write(page_and_charts(entries, title)[0], target)


def _write(page: str, target: Path) -> int:
    content = page.encode("utf-8", "replace")  # a file name may hold bytes that are no text
    atomic.write_bytes(target, content)
    return len(content)


def write_figures(charts: dict[str, Chart], folder: Path) -> None:
    """NAME.png, NAME.svg and NAME.csv of each chart."""
    for name, chart in charts.items():
        drawn = plot.figure([chart])
        for ending in (".png", ".svg"):
            figures.save(drawn, folder / f"{name}{ending}")
        atomic.write_bytes(folder / f"{name}.csv", chart.csv().encode("utf-8", "replace"))


def _entries(run: Path, progress: Progress) -> list[Entry]:
    """What a file or a folder holds: a run, the records beside it, the runs of a sweep in folders below it."""
    if not run.is_dir():
        return _of_file(run)
    records = [entry for name in RECORDS if (run / name).is_file() for entry in _of_file(run / name)]
    if (run / RESULT).is_file():
        if deep_exhibits.is_run(_json(run / RESULT)):
            return [*_of_file(run / RESULT), *records]
        return [examine(run, progress), *records]
    sweep = [] if records else deep_exhibits.finished_below(run)
    if sweep:
        return [*deep_exhibits.of_sweep(sweep)]
    if not records:
        raise InputError(
            f"runs: got {run}, expected a folder of a finished run or study; {way_to_result(run)}"
        )
    return records


def _json(path: Path) -> dict[str, Any]:
    try:
        record: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise DataError(f"runs: got {path}, expected a folder of a run or a JSON file; {reason}") from None
    except (ValueError, RecursionError):
        raise DataError(
            f"runs: got {path}, which is no JSON, expected a folder of a run or a JSON file of --json"
        ) from None
    if not isinstance(record, dict):
        raise DataError(
            f"runs: got {path}, expected the JSON of kernelfit solve, study, fit, bench, features, deep or reproduce"
        )
    return record


def _of_file(path: Path) -> list[Entry]:
    record = _json(path)
    several = record.get("reproductions")  # of one call, each target by its name
    if isinstance(several, dict):
        return [_of_record(each, path) for each in several.values()]
    return [_of_record(record, path)]


def _of_record(record: dict[str, Any], path: Path) -> Entry:
    if "backward_error" in record and "kernel" in record and "test_error" in record:
        return Examination(record)
    if path.name == FEATURES:
        return exhibits.of_features(record, path.parent)
    return deep_exhibits.of_record(record, str(path)) or exhibits.of_record(record, path.name)
