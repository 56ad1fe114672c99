"""What the command line prints, as HTML: the same tables and lines, so that a page never says anything else."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from kernelfit.report.grid import Filled, Grid
from kernelfit.report.html.markup import Markup, element, join

_WIDTH = 110
#: letters of a cell from which a table is one to read
_WORDS = 60


def rendered(shown: RenderableType, caption: str) -> Markup:
    """A renderable of rich, or of ours, as HTML; `caption` is what a screen reader calls its tables."""
    parts: list[Markup] = []
    code: list[str] = []
    for part in _flat(shown):
        whole = isinstance(part, Text) and bool(part.no_wrap)
        if code and not whole:
            parts.append(element("pre", element("code", "\n".join(code)), tabindex=0))
            code = []
        if isinstance(part, Text):
            if whole:
                code.append(part.plain.strip())
            elif part.plain.strip():
                parts.append(
                    element("p", part.plain.strip(), class_="dim" if "dim" in str(part.style) else None)
                )
        elif isinstance(part, Grid):
            parts.append(_grid(part, caption))
        elif isinstance(part, Table):
            parts.append(_table(part, caption))
        elif isinstance(part, Filled):
            dim = "dim" if "dim" in part.style else None
            parts.append(element("p", ", ".join(part.phrases), class_=dim))
        else:
            parts.append(_printed(part))
    if code:
        parts.append(element("pre", element("code", "\n".join(code)), tabindex=0))
    return join(parts)


def _flat(shown: RenderableType) -> Iterator[RenderableType]:
    if isinstance(shown, Group):
        for part in shown.renderables:
            yield from _flat(part)
    else:
        yield Text(shown) if isinstance(shown, str) else shown


def _grid(grid: Grid, caption: str) -> Markup:
    headings = grid.headings if grid.heads else ()
    rows = [[str(cell) for cell in row] for row in grid.rows]
    styles = [_style_of_row(row) for row in grid.rows]
    shown = _written(headings, rows, set(grid.right), grid.title or caption, styles, titled=bool(grid.title))
    return join((shown, element("p", grid.caption, class_="dim") if grid.caption else ""))


def _style_of_row(row: Sequence[str | Text]) -> str:
    """The style that all cells of a row share."""
    shared = [set(str(cell.style).split()) if isinstance(cell, Text) else set() for cell in row]
    return " ".join(sorted(set.intersection(*shared)))


def _table(table: Table, caption: str) -> Markup:
    headings = [str(column.header) for column in table.columns] if table.show_header else []
    rows = [list(row) for row in zip(*([str(cell) for cell in c.cells] for c in table.columns), strict=True)]
    right = {index for index, column in enumerate(table.columns) if column.justify == "right"}
    styles = [str(row.style or "") for row in table.rows]
    return _written(headings, rows, right, caption, styles)


def _written(
    headings: tuple[str, ...] | list[str],
    rows: list[list[str]],
    right: set[int],
    caption: str,
    styles: list[str] | None = None,
    titled: bool = False,
) -> Markup:
    head = element(
        "thead",
        element(
            "tr",
            [
                element(
                    "th" if heading else "td",
                    heading,
                    scope="col" if heading else None,
                    class_=_class(k, right),
                )
                for k, heading in enumerate(headings)
            ],
        ),
    )
    body = []
    for number, (first, *others) in enumerate(rows):
        name = first.strip()
        cells = [element("th", name, scope="row") if name else element("td")]
        cells += [element("td", cell, class_=_class(k, right)) for k, cell in enumerate(others, start=1)]
        style = (styles[number] if styles else "").split()
        body.append(element("tr", cells, class_=style[0] if style and style[0] in ("bold", "dim") else None))
    words = any(
        len(cell) > _WORDS for row in rows for cell in row
    )  # wrapped on a phone, where numbers scroll
    whole = element(
        "table",
        element("caption", caption, class_=None if titled else "unseen"),
        head if headings else "",
        element("tbody", body),
        class_="words" if words else None,
    )
    return element("div", whole, class_="wide", tabindex=0, role="group", aria_label=caption)


def _class(column: int, right: set[int]) -> str | None:
    return "number" if column in right else None


def _printed(part: RenderableType) -> Markup:
    text = io.StringIO()
    Console(file=text, width=_WIDTH, markup=False, highlight=False).print(part)
    lines = "\n".join(line.rstrip() for line in text.getvalue().splitlines())
    return element("pre", lines, tabindex=0)
