"""Shows that code is being compiled, which is what makes the first use of an installation slow."""

from __future__ import annotations

import logging
import weakref
from functools import cache

from kernelfit.progress.protocol import Progress


class _Shown(logging.Handler):
    """Notes what the package logs, each line once a process, as long as the call lasts that showed its progress last.

    After that it is not there: a warning that nobody takes is one that Python shows.
    """

    def __init__(self) -> None:
        super().__init__()
        self._logger = logging.getLogger("kernelfit")
        self._shown: weakref.ref[Progress] | None = None
        self._said: set[str] = set()
        self._has_set_level = False

    def show(self, progress: Progress) -> None:
        self._shown = weakref.ref(progress, self._end)
        self._logger.addHandler(self)
        if self._logger.level == logging.NOTSET:  # else it is the user's
            self._logger.setLevel(logging.INFO)
            self._has_set_level = True

    def _end(self, ended: weakref.ref[Progress]) -> None:
        if ended is self._shown:
            self._logger.removeHandler(self)
            if self._has_set_level:
                self._logger.setLevel(logging.NOTSET)
                self._has_set_level = False

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        progress = None if self._shown is None else self._shown()
        if progress is not None and message not in self._said:
            self._said.add(message)
            progress.note(message)


def announce(progress: Progress) -> None:
    """Have it shown there from now on, until nobody holds `progress` any longer, as when a call ends."""
    _handler().show(progress)


@cache
def _handler() -> _Shown:
    """The one of the process."""
    return _Shown()
