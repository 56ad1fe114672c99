"""Says on a terminal that code is being compiled: the first use alone takes so long."""

from __future__ import annotations

from numba.core import event
from numba.core.caching import FunctionCache
from rich.console import Console


class FirstUse(event.Listener):
    """Prints one line when Numba compiles what it will store, and none for functions that are compiled every time."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said = False

    def on_start(self, event: event.Event) -> None:
        if not self._said and isinstance(event.data["dispatcher"]._cache, FunctionCache):
            self._said = True
            self._console.print(
                "compiling, which is stored: the next time takes some seconds less",
                highlight=False,
                soft_wrap=True,
            )

    def on_end(self, event: event.Event) -> None:
        """Nothing: the bars go on."""


def announce(console: Console) -> FirstUse:
    """Listen from now on, where a person is looking."""
    listener = FirstUse(console)
    if console.is_terminal:
        event.register("numba:compile", listener)
    return listener
