"""How long work tells the outside how far it is.

The numerical code knows only the `Progress` protocol; `kernelfit.report.progress` draws it on a terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
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


class Silent:
    """Ignores phases and keeps the notes in `notes`."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextmanager
    def phase(self, name: str, total: float, unit: str = "flop") -> Iterator[Advance]:
        yield lambda amount: None

    def note(self, message: str) -> None:
        self.notes.append(message)


class Notes:
    """Lines that the user should know: each is recorded in `lines` and shown by `progress` at once."""

    def __init__(self, progress: Progress | None = None, lines: Iterable[str] = ()) -> None:
        self.progress: Progress = progress or Silent()
        self.lines = list(lines)

    def add(self, message: str) -> None:
        """Record a line and show it."""
        self.lines.append(message)
        self.progress.note(message)

    def extend(self, messages: Iterable[str]) -> None:
        """Record some lines and show them."""
        for message in messages:
            self.add(message)
