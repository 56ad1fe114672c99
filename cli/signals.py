"""SIGTERM and SIGHUP end a command as Ctrl-C does, and what it put into temporary files and folders goes with it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))
# Seconds within which a second signal is the first one again: `timeout` sends it to the process and to its group.
_SAME = 1.0


class Ended(SystemExit):
    """A signal asked the process to end; no `except Exception` on the way takes it for a failure of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.exit_code = 128 + number
        self.signal = signal.Signals(number).name


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """While open, a signal that asks the process to end raises `Ended`; runs that can be resumed have handlers of their
    own. What is ignored stays so: nohup and background jobs ask for it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    process, asked = os.getpid(), [-_SAME]

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:  # a forked child, whose parent's files are not for it to remove
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        now = time.monotonic()
        if now - asked[0] >= _SAME:
            asked[0] = now
            raise Ended(number)

    heard = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in heard:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, signal.SIG_DFL)
