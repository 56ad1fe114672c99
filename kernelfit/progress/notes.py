"""Lines that the user should know, recorded and shown."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

from kernelfit.progress.choose import ProgressLike, as_progress
from kernelfit.progress.protocol import Advance, Progress


class Notes:
    """Lines that the user should know: each is recorded in `lines` and shown by `progress` at once."""

    def __init__(self, progress: ProgressLike = None, lines: Iterable[str] = ()) -> None:
        self.progress = as_progress(progress)
        self.lines = list(lines)

    def add(self, message: str) -> None:
        """Record a line and show it."""
        self.lines.append(message)
        self.progress.note(message)

    def extend(self, messages: Iterable[str]) -> None:
        """Record some lines and show them."""
        for message in messages:
            self.add(message)


class Recorded:
    """Hands phases and notes on to `progress`, and records each note once in `lines`, the list itself."""

    def __init__(self, progress: Progress, lines: list[str]) -> None:
        self._progress, self._lines = progress, lines

    def phase(self, name: str, total: float, unit: str = "flop") -> AbstractContextManager[Advance]:
        return self._progress.phase(name, total, unit)

    def note(self, message: str) -> None:
        if message not in self._lines:
            self._lines.append(message)
        self._progress.note(message)


class Aside:
    """Hands phases on to `progress`, and the notes of a solve beside the main one, which begin with `of` and were not
    `said` of that; they are recorded in `lines`."""

    def __init__(self, progress: Progress, of: str, said: Iterable[str]) -> None:
        self._progress, self._of, self._said = progress, of, frozenset(said)
        self.lines: list[str] = []

    def phase(self, name: str, total: float, unit: str = "flop") -> AbstractContextManager[Advance]:
        return self._progress.phase(name, total, unit)

    def note(self, message: str) -> None:
        if message not in self._said:
            self.lines.append(f"{self._of}: {message}")
            self._progress.note(self.lines[-1])


class Once:
    """Hands phases on to `progress`, and every note once: many solves of one data set say the same of it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._seen: set[str] = set()

    def phase(self, name: str, total: float, unit: str = "flop") -> AbstractContextManager[Advance]:
        return self._progress.phase(name, total, unit)

    def note(self, message: str) -> None:
        if message not in self._seen:
            self._seen.add(message)
            self._progress.note(message)
