"""When a cluster is given up: losses without progress, and a scheduler that says nothing."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from kernelfit.cluster.connect import Cluster
from kernelfit.cluster.crew import Crew, WorkerLost
from kernelfit.cluster.deal import Deal
from kernelfit.cluster.placement import Placement
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import ClusterError
from kernelfit.gram.layout import PanelLayout
from kernelfit.progress import Notes


def crew_of(client: Any, shares: int, monkeypatch: pytest.MonkeyPatch) -> Crew:
    monkeypatch.setattr(Crew, "_renew", lambda crew: None)
    deal = Deal(PanelLayout(64, 8), shares)
    setup: Any = SimpleNamespace(deal=deal)
    return Crew(Cluster(client, (), "here"), None, setup, Placement(deal), Notes(), CpuBackend(1))


@pytest.mark.parametrize(("shares", "most"), [(2, 3), (5, 5)])
def test_losses_without_progress_are_given_up(
    monkeypatch: pytest.MonkeyPatch, shares: int, most: int
) -> None:
    """A worker that was killed again and again for want of memory was waited for a hundred times."""
    monkeypatch.setattr("kernelfit.cluster.crew._MAX_LOSSES", 3)
    crew, calls = crew_of(SimpleNamespace(status="closed"), shares, monkeypatch), list[int]()

    def lost() -> None:
        calls.append(1)
        if len(calls) == 2:
            crew.finished_some()
        raise WorkerLost("workers: lost tcp://there:1")

    with pytest.raises(ClusterError, match=rf"lost workers {most + 1} times .*look into their logs"):
        crew.recovered(lost)
    assert len(calls) == most + 2


def test_what_succeeds_after_losses_counts_as_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernelfit.cluster.crew._MAX_LOSSES", 3)
    crew = crew_of(SimpleNamespace(status="closed"), 2, monkeypatch)
    for _ in range(4):
        answers = iter([WorkerLost("workers: lost one"), WorkerLost("workers: lost one"), None])

        def action(answers: Any = answers) -> int:
            error = next(answers)
            if error is not None:
                raise error
            return 7

        assert crew.recovered(action) == 7


def test_a_scheduler_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was stopped in the midst of a run was waited for without end."""
    monkeypatch.setattr("kernelfit.cluster.connect._SILENCE", 0.05)
    silent = threading.Event()
    crew = crew_of(SimpleNamespace(status="running", nthreads=silent.wait), 2, monkeypatch)
    with pytest.raises(
        ClusterError, match=r"scheduler: here has not answered for .*; look whether it is stopped"
    ):
        crew._look()
    silent.set()


def test_a_call_that_takes_long_is_waited_for_while_the_scheduler_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kernelfit.cluster.connect._SILENCE", 0.02)
    asked = threading.Semaphore(0)

    def nthreads() -> dict[str, int]:
        asked.release()
        return {}

    def slow() -> int:
        return sum(asked.acquire(timeout=10.0) for _ in range(2))

    assert Cluster(SimpleNamespace(nthreads=nthreads), (), "here").answered(slow) == 2
