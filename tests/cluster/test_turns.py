"""Which of several tasks comes next."""

from __future__ import annotations

import threading
import time

from kernelfit.cluster.turns import Turns


def test_the_most_urgent_of_those_that_wait_comes_next_and_of_equals_the_first() -> None:
    turns, order, threads = Turns(), [], []

    def work(name: str, urgency: int) -> None:
        with turns.take(urgency):
            order.append(name)

    with turns.take():
        for count, (name, urgency) in enumerate(
            [("update", -1), ("row", 2), ("solve", 0), ("next row", 2)], 1
        ):
            threads.append(threading.Thread(target=work, args=(name, urgency)))
            threads[-1].start()
            while len(turns._waiting) < count:
                time.sleep(0.001)
        assert order == []
    for thread in threads:
        thread.join()
    assert order == ["row", "next row", "solve", "update"]


def test_a_task_that_fails_lets_others_go_on() -> None:
    turns = Turns()
    try:
        with turns.take():
            raise ValueError
    except ValueError:
        pass
    with turns.take(-1):
        pass
