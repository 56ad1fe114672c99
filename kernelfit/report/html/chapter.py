"""An exhibit as a chapter of a page."""

from __future__ import annotations

from kernelfit.report.exhibit import Exhibit, Part
from kernelfit.report.html.drawing import Drawings
from kernelfit.report.html.markup import Child, Markup, element, join
from kernelfit.report.html.pictures import gallery, sheet, shown
from kernelfit.report.html.rendered import rendered


def chapter(exhibit: Exhibit, drawings: Drawings, anchor: str) -> Markup:
    """Title, what was asked, what came out, and how to do it again."""
    parts = [_part(part, exhibit, drawings) for part in exhibit.parts]
    return element(
        "article",
        element("h2", exhibit.title, id=anchor),
        headlines([(name, value, "") for name, value in exhibit.figures]),
        element("p", exhibit.about, class_="about"),
        parts,
        again(exhibit.command),
        aria_labelledby=anchor,
    )


def section(title: str, *children: Child) -> Markup:
    """What stands under a heading of a chapter."""
    return element("section", element("h3", title), *children)


def headlines(figures: list[tuple[str, str, str]]) -> Markup:
    """The figures that a reader looks for first: name, value, and what stands small beside it."""
    if not figures:
        return Markup("")
    return element(
        "dl",
        [
            element(
                "div",
                element("dt", name),
                element("dd", value, element("small", f" {beside}") if beside else ""),
            )
            for name, value, beside in figures
        ],
        class_="figures",
    )


def again(command: str, versions: str = "") -> Markup:
    """The command that made the numbers, and the one that draws them."""
    if not command:
        return Markup("")
    return section(
        "Again",
        element("p", "The command that made these numbers; every figure has its own CSV below it."),
        element("pre", element("code", command), tabindex=0, class_="command"),
        element("p", element("small", versions)) if versions else "",
    )


def _part(part: Part, exhibit: Exhibit, drawings: Drawings) -> Markup:
    children: list[Child] = [element("p", words) for words in part.words]
    if part.charts:
        children.append(drawings.draw(part.charts, part.caption, exhibit.command))
    if part.table is not None:
        children.append(rendered(part.table, f"{exhibit.title}: {part.heading or 'numbers'}"))
    small = [(shown(picture), picture.caption) for picture in part.pictures if picture.row is not None]
    if small:
        children.append(gallery(small, part.heading))
    children += [sheet(picture) for picture in part.pictures if picture.row is None]
    if not children:
        return Markup("")
    return section(part.heading, children) if part.heading else join(children)
