"""Progress of a long run on a terminal: a bar with percentage, rate and time left; plain lines elsewhere.

Everything goes to standard error, so that standard output can carry a result.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

from kernelfit.progress.protocol import Advance

if TYPE_CHECKING:  # rich is imported when something is shown
    from typing import IO

    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import Task
    from rich.text import Text

# Where bars cannot be redrawn, a line every so many seconds shows that the run lives and fills no log file.
PLAIN_INTERVAL = 10.0


def format_rate(rate: float, unit: str) -> str:
    """`rate` units per second as a person reads it: GFLOP/s, GB/s, digits in a minute, anything else as it is or, where
    it is less than one, in a minute."""
    if unit == "flop":
        return f"{rate / 1e9:.1f} GFLOP/s"
    if unit == "bytes":
        return f"{rate / 1e9:.2f} GB/s"
    if unit == "digits":
        return f"{60.0 * rate:.1f} digits/min"
    return f"{60.0 * rate:.1f} {unit}/min" if rate < 1.0 else f"{rate:,.0f} {unit}/s"


class _StandardError:
    """Standard error as it is when it is written to; work outlives the terminal that it was begun on, and the reader of
    a pipe."""

    @property
    def _stream(self) -> Any:
        # What rich puts in its place while bars are drawn prints above them, by way of this.
        return getattr(sys.stderr, "rich_proxied_file", sys.stderr)

    @property
    def encoding(self) -> str:
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        return bool(getattr(self._stream, "isatty", bool)())  # there may be none at all

    def fileno(self) -> int:
        return int(self._stream.fileno())

    def write(self, text: str) -> int:
        with suppress(OSError, AttributeError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, AttributeError):
            self._stream.flush()


class TerminalProgress:
    """Draws the phases of a computation on standard error (a `kernelfit.progress.Progress`).

    `notes` keeps every note, so that a result can repeat them. Phases may be nested; bars vanish when they
    are done, because the result repeats the times.
    """

    def __init__(self, console: Console | None = None, wording: Callable[[str], str] = str) -> None:
        if console is None:
            from rich.console import Console

            console = Console(file=cast("IO[str]", _StandardError()), stderr=True)
        self.console = console
        self.notes: list[str] = []
        self._wording = wording
        self._bars: Bars | None = None

    @contextmanager
    def phase(self, name: str, total: float, unit: str = "flop") -> Iterator[Advance]:
        """Open a phase of `total` units; the value is called with each amount done."""
        lines = self._bar(name, total, unit) if self.console.is_terminal else self._lines(name, total, unit)
        with lines as advance:
            yield advance

    def note(self, message: str) -> None:
        """Print one line that the user should know, once, and store it."""
        repeated = message in self.notes
        self.notes.append(message)
        if repeated:
            return
        # highlight and markup off: a note may hold brackets and numbers that mean nothing to rich.
        self.console.print(f"note: {self._wording(message)}", highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def _bar(self, name: str, total: float, unit: str) -> Iterator[Advance]:
        outermost = self._bars is None
        if self._bars is None:
            self._bars = _bars_on(self.console)
            self._bars.start()
        bars = self._bars
        task = bars.add_task(name, total=total, unit=unit)
        try:
            yield lambda amount: bars.advance(task, amount)
        finally:
            bars.remove_task(task)
            if outermost:
                self._bars = None
                bars.stop()

    @contextmanager
    def _lines(self, name: str, total: float, unit: str) -> Iterator[Advance]:
        start = last = time.monotonic()
        done = 0.0

        def advance(amount: float) -> None:
            nonlocal done, last
            done += amount
            now = time.monotonic()
            if now - last >= PLAIN_INTERVAL and 0 < done < total:
                last = now
                seconds = now - start
                left = seconds * (total - done) / done
                self._print(
                    f"{name}: {done / total:.0%}, {format_rate(done / seconds, unit)}, {left:.0f} s left"
                )

        yield advance
        seconds = time.monotonic() - start
        if seconds >= PLAIN_INTERVAL and done > 0:
            self._print(f"{name}: done in {seconds:.1f} s, {format_rate(done / seconds, unit)}")

    def _print(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)


def _bars_on(console: Console) -> Bars:
    """Bars with percentage, rate in the phase's own unit, and time left."""
    from rich import progress
    from rich.text import Text

    class RateColumn(progress.ProgressColumn):
        """The recent rate of a phase."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else format_rate(speed, task.fields["unit"]), style="cyan")

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(bar_width=30),
        progress.TaskProgressColumn(),
        RateColumn(),
        progress.TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    )
