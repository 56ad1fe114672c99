"""Progress of a long run in a notebook: an HTML bar for each phase, below the cell, and the notes as they come.

Plain HTML shown by IPython's own display: it needs no ipywidgets, and what was shown stays in a saved notebook.
"""

from __future__ import annotations

import html
import time
from collections.abc import Iterator
from contextlib import contextmanager

from kernelfit.progress.protocol import Advance
from kernelfit.progress.terminal import format_rate

# A browser redraws no faster than is useful.
_INTERVAL = 0.2


class NotebookProgress:
    """Draws the phases of a computation below a cell (a `kernelfit.progress.Progress`).

    `notes` keeps every note. A finished phase leaves nothing where it was short, else one line with its time and rate.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextmanager
    def phase(self, name: str, total: float, unit: str = "flop") -> Iterator[Advance]:
        """Open a phase of `total` units; the value is called with each amount done."""
        from IPython.display import HTML, display

        started = last = time.monotonic()
        done = 0.0
        handle = None

        def advance(amount: float) -> None:
            nonlocal done, last, handle
            done += amount
            now = time.monotonic()
            if now - last < _INTERVAL:
                return
            last = now
            bar = HTML(_bar(name, done, total, done / (now - started), unit))
            if handle is None:
                handle = display(bar, display_id=True)
            else:
                handle.update(bar)

        try:
            yield advance
        finally:
            if handle is not None:
                spent = max(time.monotonic() - started, 1e-9)
                handle.update(HTML(_line(f"{name}: {spent:.1f} s, {format_rate(done / spent, unit)}")))

    def note(self, message: str) -> None:
        """Show one line that the user should know, and store it."""
        from IPython.display import HTML, display

        self.notes.append(message)
        display(HTML(_line(f"note: {message}")))


def _bar(name: str, done: float, total: float, rate: float, unit: str) -> str:
    left = f", {(total - done) / rate:.0f} s left" if 0 < done < total else ""
    label = html.escape(f"{name} {done / total if total else 1:.0%}, {format_rate(rate, unit)}{left}")
    return (
        f'<div><progress value="{done:g}" max="{max(total, done):g}"></progress> <small>{label}</small></div>'
    )


def _line(text: str) -> str:
    return f"<div><small>{html.escape(text)}</small></div>"
