"""The pool of threads: errors, order, scratch blocks, and the caps on other pools."""

from __future__ import annotations

import gc
import itertools
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.linalg.cython_blas  # noqa: F401 - loads the pool that is to be capped
from threadpoolctl import threadpool_info

from kernelfit.cpu import blas_threads as blas_threads_module
from kernelfit.cpu import pool
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True])
def test_threads_must_be_a_whole_number(threads):
    with pytest.raises(InputError, match=r"^threads: got .*expected an integer from 1 to .*$"):
        CpuBackend(threads)


def test_every_item_is_run_once():
    seen = []
    with CpuBackend(3) as backend:
        backend.run(seen.append, range(100))
    assert sorted(seen) == list(range(100))


def test_one_thread_runs_in_order():
    seen = []
    with CpuBackend(1) as backend:
        backend.run(seen.append, range(100))
    assert seen == list(range(100))


def test_the_first_error_stops_the_rest_and_the_backend_stays_usable():
    seen = []

    def task(item):
        if item == 3:
            raise ZeroDivisionError("item 3")
        time.sleep(0.001)
        seen.append(item)

    with CpuBackend(2) as backend:
        with pytest.raises(ZeroDivisionError, match=r"item 3"):
            backend.run(task, range(5_000))
        stopped = len(seen)
        assert stopped < 5_000
        time.sleep(0.01)
        assert len(seen) == stopped  # nothing is still running
        backend.run(seen.append, ["after"])
    assert seen[-1] == "after"


def test_a_closed_backend_refuses_to_run():
    with pytest.raises(RuntimeError, match=r"not open"):
        CpuBackend(1).run(print, [1])


def test_blas_pools_are_capped_while_open_and_restored_after():
    before = blas_threads()
    backend = CpuBackend(2)
    with backend:
        assert set(blas_threads()) == {1}
        with backend:  # nested: still capped after the inner exit
            pass
        assert set(blas_threads()) == {1}
    assert blas_threads() == before


def test_pools_are_restored_whatever_the_order_of_closing():
    before = blas_threads()
    first, second = CpuBackend(1), CpuBackend(1)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert set(blas_threads()) == {1}  # the second still works
    second.__exit__(None, None, None)
    assert blas_threads() == before


def test_a_signal_at_any_moment_of_the_entry_leaves_none_at_one_thread():
    """A signal while the pools were looked for left NumPy with one thread as long as the process lived."""
    before, files = blas_threads(), (pool.__file__, blas_threads_module.__file__)

    def interrupted(at: int) -> bool:
        """Whether entry has that moment: Python handles signals where functions begin, and where calls end."""
        moments = itertools.count(1)

        def profile(frame: Any, event: str, _: Any) -> None:
            # What `__enter__` returns `with` has before a signal is looked for.
            entered = event == "return" and frame.f_code.co_name == "__enter__"
            here = event != "c_call" and frame.f_code.co_filename in files and not entered
            if here and next(moments) == at:
                raise KeyboardInterrupt

        backend = CpuBackend(1)
        try:
            sys.setprofile(profile)
            backend.__enter__()
        except KeyboardInterrupt:
            return True
        finally:
            sys.setprofile(None)
        backend.__exit__(None, None, None)
        return False

    at = 1
    while interrupted(at):
        assert blas_threads() == before
        at += 1
    assert at > 10


def test_a_signal_at_the_first_instruction_of_the_exit_leaves_none_at_one_thread():
    """Nobody left then, and NumPy had one thread as long as the process lived."""
    before = blas_threads()

    def profile(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is CpuBackend.__exit__.__code__:
            sys.setprofile(None)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught, CpuBackend(1):
        sys.setprofile(profile)
    del caught
    gc.collect()  # frames of a test that pytest looks at are in a cycle
    assert blas_threads() == before


@pytest.mark.parametrize("where", ["pools", "keep_some", "available_threads"])
def test_a_finaliser_may_use_a_backend_while_its_thread_enters_one(monkeypatch, where):
    """Python may call it at any line, also where a lock was held: the thread waited for itself."""
    ended = []

    def inside(honest, *arguments):
        monkeypatch.undo()
        with CpuBackend(2) as inner:
            inner.run(ended.append, range(4))
        return honest(*arguments)

    module = blas_threads_module if where == "pools" else pool
    monkeypatch.setattr(module, where, partial(inside, getattr(module, where)))

    def outer():
        with CpuBackend() as backend:
            backend.run(ended.append, range(4))

    thread = threading.Thread(target=outer, daemon=True)
    thread.start()
    thread.join(30)
    assert sorted(ended) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_pools_are_restored_after_an_error():
    before = blas_threads()
    with pytest.raises(KeyError), CpuBackend(2):
        raise KeyError
    assert blas_threads() == before


def test_scratch_belongs_to_the_thread_and_is_reused():
    addresses = {}
    barrier = threading.Barrier(2)

    def task(item):
        barrier.wait(timeout=60)
        blocks = [backend.scratch("a", 30 - k, 20, np.float64) for k in range(3)]
        assert {block.ctypes.data for block in blocks} == {blocks[0].ctypes.data}
        assert blocks[1].shape == (29, 20)
        assert blocks[1].flags.c_contiguous
        other = backend.scratch("b", 30, 20, np.float64)
        assert not np.shares_memory(other, blocks[0])
        assert not np.shares_memory(backend.scratch("a", 30, 20, np.float32), blocks[0])
        addresses[item] = blocks[0].ctypes.data

    with CpuBackend(2) as backend:
        backend.run(task, range(2))
    assert len(set(addresses.values())) == 2


def test_several_threads_may_share_a_backend():
    backend = CpuBackend(2)
    before = blas_threads()
    counts = [[] for _ in range(4)]

    def use(seen):
        for _ in range(50):
            with backend:
                backend.run(seen.append, range(3))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, counts))
    assert [len(seen) for seen in counts] == [150] * 4
    assert blas_threads() == before
