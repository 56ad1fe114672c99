"""Records of studies and benchmarks as chapters: their figure, and their table as it is printed."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType

from kernelfit.errors import DataError
from kernelfit.report import figures, labels, leaderboard, studies, study_figures, tables
from kernelfit.report.html.drawing import Drawings
from kernelfit.report.html.markup import Markup, element

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: columns of a table that is printed into a page
_WIDTH = 110

Shown = tuple[str, RenderableType, Callable[[], "Figure"] | None]


def _shown(record: dict[str, Any], source: str) -> Shown:
    """Title, table and figure of a record, or DataError for one of another kind."""
    if "entries" in record and "winner" in record:
        return "Kernels compared by leave-one-out", leaderboard.table(record), None
    if "study" in record:
        title = f"Study: {record['study'].replace('-', ' ')}"
        return title, studies.table(record), partial(study_figures.figure, record)
    if "trials" in record and "summary" in record:
        make = partial(labels.figure, record["summary"], record["n_classes"])
        return "Study: labels drawn at random", labels.table(record), make
    if record.get("benchmark") == "solve time against n":
        return "Benchmark: time of a solve", tables.bench_table(record), partial(figures.bench, record)
    raise DataError(
        f"runs: got {source}, expected the JSON of kernelfit solve, study, fit or bench, or the folder of a run"
    )


def chapter(record: dict[str, Any], source: str, drawings: Drawings, anchor: str) -> tuple[str, Markup]:
    """Title and chapter of a record that was read from `source`."""
    try:
        title, table, make = _shown(record, source)
        text = io.StringIO()
        Console(file=text, width=_WIDTH, markup=False, highlight=False).print(table)
        drawing = (
            Markup("")
            if make is None
            else drawings.draw(make, title + ".", f"{title}; the table has its numbers.")
        )
    except (KeyError, TypeError, IndexError) as error:
        raise DataError(f"runs: got {source}, whose record lacks {error}; make it again") from None
    lines = "\n".join(line.rstrip() for line in text.getvalue().splitlines())
    command = record.get("command", "")
    again = element("pre", element("code", command), tabindex=0) if command else Markup("")
    return title, element(
        "article",
        element("h2", title, id=anchor),
        drawing,
        element("pre", lines, tabindex=0, class_="table"),
        again,
        aria_labelledby=anchor,
    )
