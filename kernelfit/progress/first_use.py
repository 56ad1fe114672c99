"""Shows that code is being compiled, which is what makes the first use of an installation slow."""

from __future__ import annotations

import logging
from functools import cache

from kernelfit.progress.protocol import Progress, Silent


class _Shown(logging.Handler):
    """Notes what the package logs, each line once a process."""

    def __init__(self) -> None:
        super().__init__()
        self.progress: Progress = Silent()
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message not in self._said:
            self._said.add(message)
            self.progress.note(message)


def announce(progress: Progress) -> None:
    """Have it shown there from now on."""
    _handler().progress = progress


@cache
def _handler() -> _Shown:
    """The one of the process, which the package's logger holds."""
    handler, logger = _Shown(), logging.getLogger("kernelfit")
    logger.addHandler(handler)
    if logger.level == logging.NOTSET:  # else it is the user's
        logger.setLevel(logging.INFO)
    return handler
