"""The whole page: style, table of contents, chapters, and the records themselves as JSON."""

from __future__ import annotations

import datetime
import json
from importlib import resources
from typing import Any

from kernelfit.errors import DataError, KernelfitError
from kernelfit.experiments.examination import Examination
from kernelfit.report.html import run, study
from kernelfit.report.html.drawing import Drawings
from kernelfit.report.html.markup import Markup, element, join
from kernelfit.storage import json_output

_STYLE = resources.files("kernelfit.report.html").joinpath("style.css")

#: a run, or the record of a study or benchmark with the name of its file
Entry = Examination | tuple[dict[str, Any], str]


def page(entries: list[Entry], title: str = "kernelfit report") -> str:
    """The report of runs and records as one HTML document. Raises DataError for a record of an unknown kind."""
    drawings = Drawings()
    contents, chapters, records = [], [], []
    for number, entry in enumerate(entries, start=1):
        anchor = f"chapter{number}"
        if isinstance(entry, Examination):
            record = entry.record
            name, chapter = _of_a_run(entry, drawings, anchor)
        else:
            record, source = entry
            name, chapter = study.chapter(record, source, drawings, anchor)
        contents.append(element("li", element("a", name, href=f"#{anchor}")))
        chapters.append(chapter)
        records.append(json_output.plain(record))
    today = datetime.date.today().isoformat()
    body = element(
        "body",
        element("header", element("h1", title), element("p", element("small", f"written {today}"))),
        element("nav", element("ol", contents), aria_label="chapters"),
        element("main", chapters),
        _data(records),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(_STYLE.read_text(encoding="utf-8"))),
    )
    return join((Markup("<!doctype html>\n"), element("html", head, body, lang="en"), "\n"))


def _of_a_run(entry: Examination, drawings: Drawings, anchor: str) -> tuple[str, Markup]:
    record = entry.record
    try:
        return f"{record['dataset']}, {record['n_train']:,} rows", run.chapter(entry, drawings, anchor)
    except KernelfitError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"runs: got a record of a solve that cannot be shown ({type(error).__name__}: {error}); make it again"
        ) from None


def _data(records: list[dict[str, Any]]) -> Markup:
    """The records for a program to read; no browser runs them."""
    text = json.dumps(records, allow_nan=False).replace("<", "\\u003c")
    return element("script", Markup(text), type="application/json", id="records")
