"""Being asked to stop, once, twice at the same time, and again because it takes too long."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernelfit.errors import Interrupted
from kernelfit.progress import Silent
from kernelfit.runs import interruption as module
from kernelfit.runs.interruption import Interruption


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_it_stops_after_the_step(clock: list[float]) -> None:
    progress = Silent()
    interruption = Interruption(Path("/run"), progress, step="filter", remedy="say please")
    with interruption, interruption.step_by_step():
        interruption.after(1)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)  # as to the group
        assert interruption.asked
        with pytest.raises(
            Interrupted, match="/run: stopped by SIGTERM after 2 of 3 filters; say please"
        ) as error:
            interruption.after(2, 3)
    assert error.value.exit_code == 143
    assert progress.notes == ["stopping after this filter; once more to stop at once"]


def test_asked_again_it_stops_at_once(clock: list[float]) -> None:
    with Interruption(Path("/run"), Silent()) as interruption, interruption.step_by_step():
        os.kill(os.getpid(), signal.SIGINT)
        clock[0] += 1.5
        with pytest.raises(Interrupted, match="SIGINT within a panel; continue with kernelfit resume /run"):
            os.kill(os.getpid(), signal.SIGINT)


def test_between_steps_it_stops_at_once_and_signals_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with (
        Interruption(Path("/run"), Silent()),
        pytest.raises(Interrupted, match="between panels and solution"),
    ):
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.fixture
def heeded() -> Iterator[None]:
    """SIGHUP as a terminal's processes have it: under nohup it is ignored, by the tests as well."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize(
    "error_of_note", [OSError(5, "Input/output error"), RuntimeError("reentrant call inside a write")]
)
def test_a_terminal_that_is_closed_or_being_written_to_stops_it_as_well(error_of_note: Exception) -> None:
    class Closed(Silent):
        def note(self, message: str) -> None:
            raise error_of_note

    with Interruption(Path("/run"), Closed()) as interruption, interruption.step_by_step():
        os.kill(os.getpid(), signal.SIGHUP)
        with pytest.raises(Interrupted, match="stopped by SIGHUP after panel 3") as error:
            interruption.after(3)
    assert error.value.exit_code == 129


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_what_nohup_and_background_jobs_ignore_stays_ignored(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with Interruption(Path("/run"), Silent()) as interruption, interruption.step_by_step():
            os.kill(os.getpid(), number)
            assert not interruption.asked
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_a_signal_before_all_are_heard_leaves_handlers_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C was heard as a stop of that run from then on, as long as the process lived."""
    numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    before = [signal.getsignal(number) for number in numbers]
    install = signal.signal

    def interrupted(number: int, handler: Any) -> Any:
        monkeypatch.setattr(signal, "signal", install)
        install(number, handler)
        signal.raise_signal(number)

    monkeypatch.setattr(signal, "signal", interrupted)
    with pytest.raises(Interrupted), Interruption(tmp_path, Silent()):
        raise AssertionError("was entered")
    assert [signal.getsignal(number) for number in numbers] == before
