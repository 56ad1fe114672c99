"""Who works next where several tasks of a share are there at once: the most urgent one, not whoever came first."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """One at a time."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: list[tuple[int, int]] = []
        self._numbers = itertools.count()
        self._taken = False

    @contextmanager
    def take(self, urgency: int = 0) -> Iterator[None]:
        """Work when nobody else does, before those that wait and are less urgent, or as urgent and came later."""
        with self._condition:
            ticket = -urgency, next(self._numbers)
            heapq.heappush(self._waiting, ticket)
            self._condition.wait_for(lambda: not self._taken and self._waiting[0] == ticket)
            heapq.heappop(self._waiting)
            self._taken = True
        try:
            yield
        finally:
            with self._condition:
                self._taken = False
                self._condition.notify_all()
