"""Caps on BLAS: from any thread, given back whatever the order."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import kernelfit
from kernelfit.cpu import blas_threads
from kernelfit.cpu.blas_threads import BlasThreads, pools
from kernelfit.cpu.pool import CpuBackend


def counts():
    return [pool.get() for pool in pools()]


def in_a_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


@pytest.fixture(autouse=True)
def several_threads():
    """Two threads in every pool, on a machine with one core too, and given back."""
    before = {pool: pool.get() for pool in pools()}
    for pool in before:
        pool.set(2)
    yield
    for pool, count in before.items():
        pool.set(count)


def test_a_thread_caps_after_the_main_thread_did():
    """threadpoolctl 3.8 obeys the thread that limited first: all others computed with every core."""
    with CpuBackend(1):
        assert set(counts()) == {1}

    def capped():
        with CpuBackend(1):
            return counts()

    assert set(in_a_thread(capped)) == {1}
    assert set(counts()) == {2}


def test_solves_in_a_pool_of_threads_give_blas_back():
    X = np.random.default_rng(0).standard_normal((60, 3))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: kernelfit.solve(X, X[:, 0]), range(8)))
    assert set(counts()) == {2}
    kernelfit.solve(X, X[:, 0])
    assert set(counts()) == {2}


@pytest.mark.parametrize("options", [{"precision": "float32"}, {}, {"kernel": "linear", "ridge": 0.0}])
def test_bits_do_not_depend_on_the_calling_thread(options):
    rng = np.random.default_rng(1)
    X, Y, rows = rng.standard_normal((700, 5)), rng.standard_normal((700, 3)), rng.standard_normal((40, 5))

    def answers():
        solution = kernelfit.solve(X, Y, **{"ridge": 1e-3} | options)
        return solution.alpha, solution.predict(rows), np.array(solution.certificate.rkhs_norm_per_column)

    expected = answers()
    for _ in range(3):
        for found, value in zip(in_a_thread(answers), expected, strict=True):
            assert np.array_equal(found, value)


@pytest.mark.parametrize("ends_first", ["limit", "solve"])
def test_somebody_elses_limit_ends_when_it_wants(ends_first):
    guard, limit = BlasThreads(), threadpool_limits(1)
    guard.cap()
    if ends_first == "limit":
        limit.restore_original_limits()
        assert set(counts()) == {2}
        guard.hold()
        assert set(counts()) == {1}
        guard.give_back()
    else:
        guard.give_back()
        assert set(counts()) == {1}
        limit.restore_original_limits()
    assert set(counts()) == {2}


def test_a_limit_set_meanwhile_stands():
    guard = BlasThreads()
    guard.cap()
    for pool in pools():
        pool.set(3)
    guard.give_back()
    assert set(counts()) == {3}


class OpenMp:
    """A library whose number of threads is that of the calling thread."""

    internal_api, threading_layer, user_api = "openblas", "openmp", "blas"
    dynlib = None

    def __init__(self):
        self.counts = threading.local()

    def get_num_threads(self):
        return getattr(self.counts, "n", 4)

    def set_num_threads(self, count):
        self.counts.n = count


def test_pools_of_openmp_are_capped_in_every_thread(monkeypatch):
    library = blas_threads.Pool(OpenMp())
    monkeypatch.setattr(blas_threads, "pools", lambda: [library])
    threads = BlasThreads()
    for module in ("pool", "workers"):  # who helps caps its own
        monkeypatch.setattr(f"kernelfit.cpu.{module}.BLAS_THREADS", threads)
    seen = []
    with CpuBackend(2) as backend:
        backend.run(lambda item: seen.append(library.get()), range(4))
        with CpuBackend(1):
            assert library.get() == 1
        assert library.get() == 1
        assert in_a_thread(library.get) == 4  # nobody here computes in it
    assert seen == [1] * 4
    assert library.get() == 4
