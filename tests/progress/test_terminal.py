"""Progress on a terminal and in a log file."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest
from rich.console import Console

from kernelfit.progress import Progress
from kernelfit.progress import terminal as display


def console(terminal: bool) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, force_terminal=terminal, width=100), text


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    return now


def test_it_is_a_progress() -> None:
    out, text = console(False)
    reporter: Progress = display.TerminalProgress(out)
    with reporter.phase("factor", 2.0, "panels") as advance:
        advance(2.0)
    reporter.note("kept")
    assert "note: kept" in text.getvalue()


def test_a_note_is_printed_once() -> None:
    out, text = console(False)
    reporter = display.TerminalProgress(out)
    for note in ("a", "b", "a"):
        reporter.note(note)
    assert text.getvalue().splitlines() == ["note: a", "note: b"]
    assert reporter.notes == ["a", "b", "a"]


@pytest.mark.parametrize(
    ("rate", "unit", "text"),
    [
        (9.4e10, "flop", "94.0 GFLOP/s"),
        (1.6e9, "bytes", "1.60 GB/s"),
        (1234.4, "rows", "1,234 rows/s"),
        (0.085, "candidates", "5.1 candidates/min"),
    ],
)
def test_rates_in_their_own_units(rate: float, unit: str, text: str) -> None:
    assert display.format_rate(rate, unit) == text


def test_bars_show_percentage_and_vanish() -> None:
    out, text = console(True)
    reporter = display.TerminalProgress(out)
    with reporter.phase("factor", 4e9) as advance:
        advance(1e9)
        with reporter.phase("inner", 10, "rows") as inner:
            inner(5)
        assert reporter._bars is not None
        reporter._bars.refresh()
        assert " 25%" in text.getvalue()
        assert "inner" in text.getvalue()
    assert reporter._bars is None
    # A later phase opens bars anew.
    with reporter.phase("solve", 1.0) as advance:
        advance(1.0)
    assert "solve" in text.getvalue()


def test_an_error_inside_a_phase_closes_the_bars() -> None:
    reporter = display.TerminalProgress(console(True)[0])
    with pytest.raises(RuntimeError, match="stop"), reporter.phase("factor", 1.0):
        raise RuntimeError("stop")
    assert reporter._bars is None


def test_a_log_gets_a_line_now_and_then(clock: list[float]) -> None:
    out, text = console(False)
    reporter = display.TerminalProgress(out)
    with reporter.phase("factor", 100e9) as advance:
        clock[0] = 5.0
        advance(10e9)
        assert text.getvalue() == ""
        clock[0] = 20.0
        advance(10e9)
        clock[0] = 21.0
        advance(10e9)
        clock[0] = 50.0
        advance(70e9)
    assert text.getvalue().splitlines() == [
        "factor: 20%, 1.0 GFLOP/s, 80 s left",
        "factor: done in 50.0 s, 2.0 GFLOP/s",
    ]


def test_short_phases_leave_no_line(clock: list[float]) -> None:
    out, text = console(False)
    with display.TerminalProgress(out).phase("gram", 1.0) as advance:
        clock[0] = 1.0
        advance(1.0)
    assert text.getvalue() == ""


def test_notes_are_printed_as_they_are_and_kept() -> None:
    out, text = console(False)
    reporter = display.TerminalProgress(out)
    reporter.note("fell back [red]to float64[/red] " + "x" * 120)
    assert text.getvalue() == "note: fell back [red]to float64[/red] " + "x" * 120 + "\n"
    assert len(reporter.notes) == 1


SHOWN = """
import sys
from kernelfit.progress import TerminalProgress
reporter = TerminalProgress()
with reporter.phase("factor", 2.0) as advance:
    print("in between", file=sys.stderr)
    sys.__stdout__.write(f"{reporter.console.is_terminal}\\n")
    sys.__stdout__.flush()
    sys.stdin.readline()
    advance(1.0)
    reporter.note("half")
reporter.note("whole")
print(reporter.notes)
"""


@pytest.mark.parametrize("terminal", [True, False])
def test_work_outlives_its_terminal(terminal: bool) -> None:
    """A solve ended at the next note or the end of a phase, with all that it had: with an error, or by rich's exit."""
    ours, theirs = os.openpty() if terminal else os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", SHOWN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=theirs, text=True
    ) as process:
        os.close(theirs)
        assert process.stdout is not None
        assert process.stdout.readline() == f"{terminal}\n"
        os.close(ours)
        assert process.communicate("go on\n")[0] == "['half', 'whole']\n"
