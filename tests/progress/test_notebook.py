"""Progress below a cell: HTML, replaced as it grows."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from kernelfit.progress import NotebookProgress, Progress, notebook


class Shown:
    """What a cell holds: each display in its place."""

    def __init__(self) -> None:
        self.cells: list[str] = []

    def display(self, content: str, display_id: bool = False) -> Any:
        place = len(self.cells)
        self.cells.append(content)

        def update(content: str) -> None:
            self.cells[place] = content

        return SimpleNamespace(update=update)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    shown = Shown()
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(HTML=str, display=shown.display))
    return shown


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(notebook.time, "monotonic", lambda: now[0])
    return now


def test_a_phase_is_one_bar_that_ends_as_a_line(shown: Shown, clock: list[float]) -> None:
    progress: Progress = NotebookProgress()
    with progress.phase("factor <K>", 100e9) as advance:
        clock[0] = 0.1
        advance(10e9)
        assert shown.cells == []
        clock[0] = 2.0
        advance(15e9)
        assert len(shown.cells) == 1
        assert '<progress value="2.5e+10" max="1e+11">' in shown.cells[0]
        assert "factor &lt;K&gt; 25%, 12.5 GFLOP/s, 6 s left" in shown.cells[0]
        clock[0] = 8.0
        advance(75e9)
        assert "100%" in shown.cells[0]
    assert shown.cells == ["<div><small>factor &lt;K&gt;: 8.0 s, 12.5 GFLOP/s</small></div>"]


def test_short_phases_leave_nothing_and_notes_are_kept(shown: Shown, clock: list[float]) -> None:
    progress = NotebookProgress()
    with progress.phase("gram", 1.0) as advance:
        advance(1.0)
    assert shown.cells == []
    progress.note("a < b")
    assert shown.cells == ["<div><small>note: a &lt; b</small></div>"]
    assert progress.notes == ["a < b"]
