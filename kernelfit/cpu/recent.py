"""What the system was asked a moment ago: to ask again takes as long as the factor of a small matrix."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

#: seconds for which an answer counts as that of now: a process fills some hundred megabytes in that time
SECONDS = 0.05


def recent(ask: Callable[[], Answer]) -> Callable[[], Answer]:
    """The function, which is called no more often than every `SECONDS`."""
    last: list[tuple[float, Answer]] = []

    @functools.wraps(ask)
    def answer() -> Answer:
        now = time.monotonic()
        if last and 0.0 <= now - last[0][0] < SECONDS:
            return last[0][1]
        told = ask()
        last[:] = [(now, told)]
        return told

    return answer
