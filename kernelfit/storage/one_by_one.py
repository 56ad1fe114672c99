"""Calls that a thread of its own makes one after the other.

A signal may find the main thread while it takes or gives back a lock of Python's own classes, `Condition` and with it
all of `concurrent.futures`: the lock is never given back then, and the thread, and whoever waits for it, wait for ever.
The queue and the locks of C that are taken here have no such moment.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any


class Call:
    """One call of `task`, and what it gives."""

    def __init__(self, task: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._work: tuple[Callable[..., Any], tuple[Any, ...]] | None = (task, arguments)
        self._value: Any = None
        self._error: BaseException | None = None
        self._over = False
        self._left = threading.Lock()
        self._left.acquire()

    def wait(self) -> None:
        """Return when the call is over."""
        while not self._over:
            self._left.acquire()
            self._left.release()

    def result(self) -> Any:
        """What the call returned, or raised, once it is over."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._value

    def make(self) -> None:
        """By the thread."""
        assert self._work is not None
        task, arguments = self._work
        try:
            self._value = task(*arguments)
        except BaseException as error:
            self._error = error
        self._work = None  # what it holds is not to wait for whoever asks
        self._over = True
        self._left.release()


class OneByOne:
    """A thread that is started with the first call, and ends with `close`, or with this object."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._end = weakref.finalize(self, self._calls.put, None)

    def call(self, task: Callable[..., Any], *arguments: Any) -> Call:
        """The call task(*arguments), after all that were asked for before."""
        if not self._end.alive:
            raise RuntimeError(f"{self._name}: is closed")
        if self._thread is None:
            self._start()
        call = Call(task, arguments)
        self._calls.put(call)
        return call

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:  # no other thread was first
                thread = threading.Thread(target=_serve, args=(self._calls,), name=self._name, daemon=True)
                thread.start()
                self._thread = thread

    def close(self) -> None:
        """Return when all calls are over; no more are taken."""
        self._end()
        if self._thread is not None:
            self._thread.join()


def _serve(calls: SimpleQueue[Call | None]) -> None:
    while (call := calls.get()) is not None:
        call.make()
        del call
