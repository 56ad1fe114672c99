"""HTML built from elements, so that text is escaped wherever it comes from."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

_VOID = frozenset(("img", "link", "meta", "br", "hr"))


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | Sequence["Child"]


def element(name: str, /, *children: Child, **attributes: str | int | float | None) -> Markup:
    """<name attribute="...">children</name>; strings are escaped, `class_` is class, `aria_label` is aria-label."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Markup:
    """Children one after the other."""
    return Markup("".join(_text(child) for child in children))


def _text(child: Child) -> str:
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return html.escape(child)
    return join(child)


def table(
    headings: Sequence[str], rows: Sequence[Sequence[Child]], caption: str, right_from: int = 1
) -> Markup:
    """A table that scrolls by itself where it is too wide; columns from `right_from` on hold numbers."""
    head = element(
        "tr", [element("th", heading, scope="col") if heading else element("td") for heading in headings]
    )
    body = []
    for row in rows:
        first, *others = row
        cells = [element("th", first, scope="row") if first else element("td")]
        for column, cell in enumerate(others, start=1):
            cells.append(element("td", cell, class_="number" if column >= right_from else None))
        body.append(element("tr", cells))
    whole = element("table", element("caption", caption), element("thead", head), element("tbody", body))
    return element("div", whole, class_="wide", tabindex=0, role="group", aria_label=caption)
