"""The whole page: style, table of contents, chapters, script, and the records themselves as JSON."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
from importlib import resources
from typing import Any

from kernelfit.experiments.examination import Examination
from kernelfit.report.chart import Chart
from kernelfit.report.exhibit import Exhibit, checked
from kernelfit.report.html import chapter, run
from kernelfit.report.html.drawing import Drawings
from kernelfit.report.html.markup import Markup, element, join
from kernelfit.storage import json_output

_FILES = resources.files("kernelfit.report.html")

#: a run whose rows were looked at, or a chapter of a record
Entry = Examination | Exhibit
#: records beyond these bytes do not stand in the page: those of large sweeps
_MAX_RECORD = 500_000


def page(entries: list[Entry], title: str = "kernelfit report") -> str:
    """The report of runs and records as one HTML document. Raises DataError for a record that cannot be shown."""
    return page_and_charts(entries, title)[0]


def page_and_charts(entries: list[Entry], title: str = "kernelfit report") -> tuple[str, dict[str, Chart]]:
    """The same, and every chart in it by the name of its file."""
    drawings = Drawings()
    contents, chapters, records = [], [], []
    for number, entry in enumerate(entries, start=1):
        anchor = f"chapter{number}"
        name, written = _chapter(entry, drawings, anchor)
        contents.append(element("li", element("a", name, href=f"#{anchor}")))
        chapters.append(written)
        records.append(json_output.plain(entry.record))
    today = datetime.date.today().isoformat()
    script = _FILES.joinpath("script.js").read_text(encoding="utf-8")
    body = element(
        "body",
        element("header", element("h1", title), element("p", element("small", f"written {today}"))),
        element("nav", element("ol", contents), aria_label="chapters") if len(entries) > 1 else "",
        element("main", chapters),
        _data(records),
        element("script", Markup(script)),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("link", rel="icon", href="data:,"),
        element("style", Markup(_FILES.joinpath("style.css").read_text(encoding="utf-8"))),
    )
    whole = join((Markup("<!doctype html>\n"), element("html", head, body, lang="en"), "\n"))
    return whole, drawings.charts


def _policy(script: str) -> str:
    """Nothing is loaded from anywhere, and no script runs but ours: neither network nor a name can change the page."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _chapter(entry: Entry, drawings: Drawings, anchor: str) -> tuple[str, Markup]:
    if isinstance(entry, Exhibit):
        name = entry.title
        dataset = entry.record.get("dataset")
        if isinstance(dataset, str) and dataset and dataset not in name:
            name = f"{name}, {dataset}"
        what = f"the record of “{entry.title}”"
        return name, checked(lambda: chapter.chapter(entry, drawings, anchor), what)
    what = f"the record of a solve of {entry.record.get('dataset')}"
    return (
        checked(lambda: run.title(entry.record), what),
        checked(lambda: run.chapter(entry, drawings, anchor), what),
    )


def _data(records: list[dict[str, Any]]) -> Markup:
    """The records for a program to read; no browser runs them."""
    texts = [json.dumps(record, allow_nan=False) for record in records]
    small = [text if len(text) <= _MAX_RECORD else "null" for text in texts]
    text = f"[{','.join(small)}]".replace("<", "\\u003c")
    return element("script", Markup(text), type="application/json", id="records")
