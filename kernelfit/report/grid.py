"""The one style of tables: columns set apart by blanks, bold heads, numbers on the right.

A table is never cut. Where it is too wide, the columns that matter least are left out and named below it; where that is
not enough, each row becomes a block of lines. What is piped has all the room there is.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

#: columns that running text takes
LINE = 80
# A column of words that may be wrapped is as wide as this, or its content, at least.
_WORDS = 16
_GAP = 2

Cell = str | Text


class Grid:
    """Rows under headings, as a rich renderable.

    `words` are the columns that may be wrapped, the others are kept whole; cells of `right` stand on the right.
    `optional` are left out one after the other, the first first, where there is no room. Columns are given by index.
    """

    def __init__(
        self,
        headings: Sequence[str],
        *,
        right: Collection[int] = (),
        words: Collection[int] = (),
        optional: Sequence[int] = (),
        title: str = "",
        heads: bool = True,
    ) -> None:
        self.headings = tuple(headings)
        self.right = frozenset(right)
        self.words = frozenset(words)
        self.optional = tuple(optional)
        self.title = title
        self.heads = heads
        self.caption = ""
        self.rows: list[tuple[Cell, ...]] = []

    def add_row(self, *cells: Cell) -> None:
        """Add one row; cells that are missing at its end are empty."""
        self.rows.append((*cells, *[""] * (len(self.headings) - len(cells))))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.title:
            yield Text(self.title, style="bold")
        shown, room = list(range(len(self.headings))), options.max_width
        for column in self.optional:
            if self._width(shown) <= room:
                break
            shown.remove(column)
        if self._width(shown) <= room or not self.heads:
            yield self._table(shown)
            left_out = [self.headings[c] for c in self.optional if c not in shown and self.headings[c]]
            if left_out:
                yield Text(f"no room for: {', '.join(left_out)}", style="dim")
        else:
            yield self._blocks()
        if self.caption:
            yield Text(self.caption, style="dim")

    def _width(self, columns: Sequence[int]) -> int:
        """The columns that these take at least."""
        return sum(self._column(column) for column in columns) + _GAP * max(0, len(columns) - 1)

    def _column(self, column: int) -> int:
        cells = [str(row[column]) for row in self.rows]
        if self.heads:
            cells.append(self.headings[column])
        natural = max((cell_len(line) for cell in cells for line in cell.splitlines()), default=0)
        if column not in self.words:
            return natural
        longest_word = max((cell_len(word) for cell in cells for word in cell.split()), default=0)
        return min(natural, max(_WORDS, min(longest_word, 2 * _WORDS)))

    def _table(self, columns: Sequence[int]) -> Table:
        table = Table(box=None, pad_edge=False, show_header=self.heads, header_style="bold")
        for column in columns:
            whole = column not in self.words
            table.add_column(
                self.headings[column],
                justify="right" if column in self.right else "left",
                no_wrap=whole,
                overflow="fold",
                min_width=self._column(column) if self.heads else None,
            )
        for row in self.rows:
            table.add_row(*(_cell(row[column]) for column in columns))
        return table

    def _blocks(self) -> RenderableType:
        parts: list[RenderableType] = []
        for row in self.rows:
            parts.append(Text(str(row[0]), style="bold"))
            for heading, cell in zip(self.headings[1:], row[1:], strict=True):
                if str(cell):
                    line = Text.assemble((f"{heading}: ", "dim"), _cell(cell))
                    parts.append(Padding(line, (0, 0, 0, 2), expand=False))
        return Group(*parts)


def _cell(cell: Cell) -> Text:
    """Text as it is: brackets of a name mean nothing to rich."""
    return cell if isinstance(cell, Text) else Text(cell)


class Pairs(Grid):
    """Names and values, a line for each; the values are wrapped where they must be."""

    def __init__(self, title: str = "") -> None:
        super().__init__(("", ""), words=(1,), title=title, heads=False)

    def add_row(self, *cells: Cell) -> None:
        name, value = cells
        super().add_row(Text(name, style="bold") if isinstance(name, str) else name, value)


class Filled:
    """Phrases with commas between them, wrapped between phrases alone, to the room there is or LINE columns."""

    def __init__(self, phrases: Sequence[str], indent: str = "", style: str = "") -> None:
        self.phrases = tuple(phrases)
        self.indent = indent
        self.style = style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(LINE, options.max_width)
        room = width - cell_len(self.indent) - 1
        # textwrap takes a no-break space at its word, rich does not; a phrase that is longer than a line is parted.
        line = ", ".join(
            phrase.replace(" ", "\u00a0") if cell_len(phrase) <= room else phrase for phrase in self.phrases
        )
        wrapped = textwrap.fill(
            line, width, initial_indent=self.indent, subsequent_indent=self.indent, break_on_hyphens=False
        )
        yield Text(wrapped.replace("\u00a0", " "), style=self.style)
