"""Docstrings as Markdown: `name : what it is` is no type, and formulas are plain text, neither tags nor emphasis."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

# Code in backticks stays as it is.
_CODE = re.compile(r"(`[^`]*`)")
# An entry of a section: types stand in the signature, so that what follows the colon is what it is.
_ENTRY = re.compile(r"^([\w*]+(?:, [\w*]+)*) : (.*)$", re.MULTILINE)
_SECTION = re.compile(r"^(Parameters|Attributes|Raises|Returns|Yields)\n-+\n", re.MULTILINE)


class PlainText(Extension):
    """Rewrites the docstring of every object before it is parsed."""

    def on_instance(self, *, obj: Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = plain(obj.docstring.value)


def plain(text: str) -> str:
    """The docstring as numpydoc's Markdown would have it."""
    text = "\n".join(map(_escaped, text.splitlines()))
    section = _SECTION.search(text)
    if section is None:
        return text
    head, entries = text[: section.end()], text[section.end() :]
    return head + _ENTRY.sub(r"\1\n    \2", entries)


def _escaped(line: str) -> str:
    if line.lstrip().startswith((">>>", "...")):
        return line
    return "".join(
        part if part.startswith("`") else re.sub(r"([<>*|])", r"\\\1", part) for part in _CODE.split(line)
    )
