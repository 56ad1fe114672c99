"""Being asked to stop: a run that can be continued ends after the panel it is at."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from kernelfit.errors import Interrupted
from kernelfit.progress import Progress

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While open, SIGINT and SIGTERM raise `Interrupted` at a moment from which the run in `folder` can go on.

    While panels are being made that is the end of the panel; a second signal, and any signal at other times, does
    not wait. Signals are Python's main thread's affair: elsewhere this does nothing.
    """

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._folder, self._progress = folder, progress
        self._asked: int | None = None
        self._patient = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def panel_by_panel(self) -> Iterator[None]:
        """Panels are being made."""
        self._patient = True
        try:
            yield
        finally:
            self._patient = False

    def after_panel(self, j: int) -> None:
        """A good moment to stop."""
        if self._asked is not None:
            raise self._interrupted(self._asked, f"after panel {j}")

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._patient and self._asked is None:
            self._asked = number
            self._progress.note("stopping after this panel; once more to stop at once")
            return
        raise self._interrupted(number, "within a panel" if self._patient else "between panels and solution")

    def _interrupted(self, number: int, moment: str) -> Interrupted:
        return Interrupted(
            f"{self._folder}: stopped by {signal.Signals(number).name} {moment}; "
            f"continue with kernelfit resume {self._folder}",
            exit_code=128 + number,
        )
