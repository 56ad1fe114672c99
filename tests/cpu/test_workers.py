"""Threads that stay: none is started twice, none outlives a fork, none keeps what a job held."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref

import numpy as np
import pytest

import kernelfit
from kernelfit.cpu.pool import CpuBackend
from kernelfit.cpu.workers import WORKERS, Job, Workers


def workers():
    return {thread.ident for thread in threading.enumerate() if thread.name == "kernelfit"}


def run_in_two(backend):
    barrier = threading.Barrier(2)
    backend.run(lambda item: barrier.wait(60), range(2))


def test_threads_are_started_once():
    with CpuBackend(2) as backend:
        run_in_two(backend)
    before = workers()
    assert before
    for _ in range(5):
        with CpuBackend(2) as backend:
            run_in_two(backend)
    assert workers() == before


def test_a_single_item_is_the_calling_threads():
    seen = []
    with CpuBackend(2) as backend:
        backend.run(lambda item: seen.append(threading.get_ident()), range(1))
    assert seen == [threading.get_ident()]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_nothing_waits_while_a_process_forks():
    with CpuBackend(2) as backend:
        run_in_two(backend)
    WORKERS.stop()
    assert not workers()
    with CpuBackend(2) as backend:
        run_in_two(backend)
        threads = [len(workers())]
        backend.run(lambda item: (WORKERS.stop(), threads.append(len(workers()))), range(1))
    assert threads == [1, 0]  # a job of one item asks for no help


def test_what_a_job_held_is_let_go():
    block = np.zeros(10)
    reference = weakref.ref(block)
    barrier = threading.Barrier(2)

    def task(item, block=block):
        barrier.wait(60)

    with CpuBackend(2) as backend:
        backend.run(task, range(2))
    del task, block
    WORKERS.stop()  # the helper is past its job
    gc.collect()
    assert reference() is None


def test_an_error_in_a_helper_reaches_the_caller():
    caller = threading.get_ident()
    barrier = threading.Barrier(2)

    def task(item):
        barrier.wait(60)
        if threading.get_ident() != caller:
            raise ZeroDivisionError

    with CpuBackend(2) as backend:
        with pytest.raises(ZeroDivisionError):
            backend.run(task, range(2))
        run_in_two(backend)


def test_a_solve_leaves_no_thread_at_work():
    X = np.random.default_rng(0).standard_normal((300, 3))
    kernelfit.solve(X, X[:, 0], threads=2)
    assert WORKERS._asked == 0


def test_threads_that_are_started_meanwhile_do_not_take_what_ends_the_others() -> None:
    """The old thread waited for ever for what ends it, and the fork for the old thread."""
    workers, busy, leave = Workers(), threading.Event(), threading.Event()

    def late(_: object) -> None:
        busy.set()
        leave.wait(30)

    # A helper that has not come back yet though nobody asks for it any more.
    workers._asked = 1
    assert workers._started() == 1
    workers._jobs.put(Job(late, [0]))
    assert busy.wait(30)
    workers._asked = 0
    stopping = threading.Thread(target=workers.stop, daemon=True)
    stopping.start()
    while workers._threads:
        time.sleep(0.001)
    seen: list[int] = []
    workers.run(Job(seen.append, range(3)), 1)
    (new,) = workers._threads
    new.join(0.2)  # where it takes what ends the other one, it ends itself
    leave.set()
    stopping.join(10)
    assert not stopping.is_alive()
    assert sorted(seen) == [0, 1, 2]
    workers.stop()


def test_a_system_that_starts_no_more_threads_gets_its_work_done(monkeypatch):
    workers, start, started = Workers(), threading.Thread.start, []

    def limited(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    for _ in range(2):
        seen: list[int] = []
        workers.run(Job(seen.append, range(20)), 5)
        assert sorted(seen) == list(range(20))
    assert len(workers._threads) == 1
    assert workers._asked == 0
    workers.stop()
    assert not started[0].is_alive()
