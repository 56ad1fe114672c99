"""Being asked to stop: a run that can be continued ends after the panel it is at."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from kernelfit.errors import Interrupted
from kernelfit.progress import Progress

# Windows has no SIGHUP, which a terminal sends that is closed.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))
# Seconds within which a second signal is the first one again: `timeout` and job schedulers send it to the process and
# to its group.
_SAME = 1.0


class Interruption:
    """While open, SIGINT, SIGTERM and SIGHUP raise `Interrupted` at a moment from which the run in `folder` resumes.

    While panels are being made that is the end of the panel (or of another `step`); a second signal, and any signal at
    other times, which is said to be at `moment`, does not wait. `remedy` says how to resume. Signals are Python's main
    thread's affair: elsewhere this does nothing.
    """

    def __init__(
        self,
        folder: Path,
        progress: Progress,
        *,
        step: str = "panel",
        remedy: str | None = None,
        moment: str = "between panels and solution",
    ) -> None:
        self._folder, self._progress, self._step, self._moment = folder, progress, step, moment
        self._remedy = remedy or f"continue with kernelfit resume {folder}"
        self._asked: int | None = None
        self._asked_at = 0.0
        self._patient = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            # What is ignored stays so: nohup and background jobs ask for it.
            heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            try:
                for number in heard:
                    self._before[number] = signal.getsignal(number)
                    signal.signal(number, self._handle)
            except BaseException:  # the first signal, before all are heard
                self.__exit__(None, None, None)
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            if handler is not None:  # one that was not installed from Python cannot be put back
                signal.signal(number, handler)

    @contextmanager
    def step_by_step(self) -> Iterator[None]:
        """Panels, or other steps, are being made."""
        self._patient = True
        try:
            yield
        finally:
            self._patient = False

    @property
    def asked(self) -> bool:
        """Whether the next good moment is awaited."""
        return self._asked is not None

    def after(self, finished: int, total: int | None = None) -> None:
        """A good moment to stop: so many panels, or other steps, are finished, of `total` where that is known."""
        if self._asked is not None:
            moment = f"{self._step} {finished}" if total is None else f"{finished} of {total} {self._step}s"
            raise self._interrupted(self._asked, f"after {moment}")

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._asked is not None and now - self._asked_at < _SAME:
            return
        if self._patient and self._asked is None:
            self._asked, self._asked_at = number, now
            # Of a terminal that is closed, or that this signal found being written to.
            with suppress(OSError, RuntimeError):
                self._progress.note(f"stopping after this {self._step}; once more to stop at once")
            return
        raise self._interrupted(number, f"within a {self._step}" if self._patient else self._moment)

    def _interrupted(self, number: int, moment: str) -> Interrupted:
        return Interrupted(
            f"{self._folder}: stopped by {signal.Signals(number).name} {moment}; {self._remedy}",
            exit_code=128 + number,
        )
