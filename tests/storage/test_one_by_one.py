"""Calls on a thread of their own, and signals that come meanwhile."""

from __future__ import annotations

import gc
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from kernelfit.storage.one_by_one import OneByOne


def test_calls_are_made_in_their_order_and_tell_what_they_gave() -> None:
    worker, made = OneByOne("test"), []
    calls = [worker.call(made.append, number) for number in range(100)]
    assert worker.call(divmod, 7, 2).result() == (3, 1)
    assert made == list(range(100))
    failed = worker.call(divmod, 7, 0)
    failed.wait()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            failed.result()
    calls.append(worker.call(made.append, 100))
    worker.close()
    assert made == list(range(101))
    assert calls[-1].result() is None
    with pytest.raises(RuntimeError, match="is closed"):
        worker.call(made.append, 101)
    worker.close()


def test_several_threads_that_call_first_start_one() -> None:
    worker, here = OneByOne("test"), []
    with ThreadPoolExecutor(8) as pool:
        for call in list(
            pool.map(lambda _: worker.call(lambda: here.append(threading.get_ident())), range(200))
        ):
            call.result()
    worker.close()
    assert len(here) == 200
    assert len(set(here)) == 1


def test_a_thread_ends_with_whoever_has_it() -> None:
    worker = OneByOne("ends with its owner")
    worker.call(int).result()
    (thread,) = (each for each in threading.enumerate() if each.name == "ends with its owner")
    del worker
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("moment", range(25))
def test_a_signal_at_any_line_leaves_nobody_waiting(moment: int) -> None:
    """A factor on the disk that was stopped by Ctrl-C waited for its writer for ever, which waited for a lock."""
    worker, made, left = OneByOne("test"), [], moment
    worker.call(int).result()

    def interrupt(frame: Any, event: str, argument: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            sys.settrace(None)
            raise KeyboardInterrupt
        return interrupt

    before = sys.gettrace()
    try:
        sys.settrace(interrupt)
        for number in range(3):
            worker.call(made.append, number).result()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    call = worker.call(made.append, 3)
    call.wait()
    worker.close()
    assert made[-1] == 3
