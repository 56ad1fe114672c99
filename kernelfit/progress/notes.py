"""Lines that the user should know, recorded and shown."""

from __future__ import annotations

from collections.abc import Iterable

from kernelfit.progress.choose import ProgressLike, as_progress


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
