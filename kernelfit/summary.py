"""A summary, a title and lines of names and values, as HTML for a cell of a notebook."""

from __future__ import annotations

import html

#: columns that a name takes in a line of a summary, after two blanks
NAME = 16
_NOTE = "  note: "


def as_html(summary: str) -> str:
    """The lines of `summary` as a table, so that values stand below each other whatever the font.

    The first line is the title; lines that begin with "  note: " go over both columns; others hold a name, filled with
    blanks to `NAME` characters, and its value.
    """
    title, *lines = summary.splitlines()
    rows = "".join(_row(line) for line in lines)
    return f'<table style="text-align: left"><caption><b>{html.escape(title)}</b></caption>{rows}</table>'


def _row(line: str) -> str:
    left = 'style="text-align: left"'
    if line.startswith(_NOTE):
        return f"<tr><td colspan=2 {left}><i>{html.escape(line.strip())}</i></td></tr>"
    name, value = line[2 : 2 + NAME].strip(), line[2 + NAME :].strip()
    return f"<tr><th {left}>{html.escape(name)}</th><td {left}>{html.escape(value)}</td></tr>"
