"""How long work tells the outside how far it is.

The numerical code knows only the `Progress` protocol; `terminal` and `notebook` draw it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Advance = Callable[[float], None]


class Progress(Protocol):
    """Receives the phases of a long computation."""

    def phase(self, name: str, total: float, unit: str = "flop") -> AbstractContextManager[Advance]:
        """Open a phase of `total` units (`flop`, `rows`, `bytes`, ...); call the result with each amount done."""
        ...

    def note(self, message: str) -> None:
        """Report one line that the user should know (a fall-back, a rounded choice)."""
        ...


def _ignore(amount: float) -> None:
    """What nobody looks at."""


# One for all: it holds nothing.
_UNSEEN = nullcontext(_ignore)


class Silent:
    """Ignores phases and keeps the notes in `notes`."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def phase(self, name: str, total: float, unit: str = "flop") -> AbstractContextManager[Advance]:
        return _UNSEEN

    def note(self, message: str) -> None:
        self.notes.append(message)
