"""Caps on BLAS: from any thread, given back whatever the order."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

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
    guard.cap(guard)
    if ends_first == "limit":
        limit.restore_original_limits()
        assert set(counts()) == {2}
        guard.hold()
        assert set(counts()) == {1}
        guard.give_back(guard)
    else:
        guard.give_back(guard)
        assert set(counts()) == {1}
        limit.restore_original_limits()
    assert set(counts()) == {2}


def test_a_limit_set_meanwhile_stands():
    guard = BlasThreads()
    guard.cap(guard)
    for pool in pools():
        pool.set(3)
    guard.give_back(guard)
    assert set(counts()) == {3}


def test_a_signal_while_they_are_given_back_leaves_none_at_one_thread():
    """After Ctrl-C at the end of a solve NumPy multiplied with one thread as long as the process lived."""
    guard = BlasThreads()
    guard.cap(guard)
    pool = guard._pools[0]
    setter = pool.set

    def interrupted(count):
        pool.set = setter
        raise KeyboardInterrupt

    pool.set = interrupted
    with pytest.raises(KeyboardInterrupt):
        guard.give_back(guard)
    assert set(counts()) == {2}


class PerThread:
    """A library whose number of threads is that of the calling thread; `dynlib` has its functions under their names."""

    user_api = "blas"

    def __init__(self):
        self.counts = threading.local()
        self.dynlib = SimpleNamespace()

    def get_num_threads(self):
        return getattr(self.counts, "n", 4)

    def set_num_threads(self, count):
        self.counts.n = count


class OpenMp(PerThread):
    """OpenBLAS built with OpenMP, as threadpoolctl 3.8 asks it."""

    internal_api, threading_layer = "openblas", "openmp"


class OpenMpByAddress(OpenMp):
    """The same with functions that tell and set the process's number, which is not what it multiplies with."""

    def __init__(self):
        super().__init__()
        self.dynlib.openblas_get_num_threads64_ = lambda: 4
        self.dynlib.openblas_set_num_threads64_ = lambda count: pytest.fail("the number of the process")
        self.dynlib.omp_get_max_threads = PerThread.get_num_threads.__get__(self)
        self.dynlib.omp_set_num_threads = PerThread.set_num_threads.__get__(self)

    def get_num_threads(self):
        """threadpoolctl looks for `omp_get_max_threads64_`."""
        return None

    def set_num_threads(self, count):
        pass


class Mkl(PerThread):
    """MKL, of which threadpoolctl before 3.8 sets the process's number."""

    internal_api, threading_layer = "mkl", "intel"

    def __init__(self):
        super().__init__()
        self.of_process = 4
        self.dynlib.MKL_Set_Num_Threads_Local = self.set_own

    def get_num_threads(self):
        """That of the process where the thread has none of its own."""
        return getattr(self.counts, "n", 0) or self.of_process

    def set_own(self, count):
        before = getattr(self.counts, "n", 0)
        self.counts.n = count
        return before

    def set_num_threads(self, count):
        pytest.fail("the number of the process")


@pytest.mark.parametrize("made_by", [OpenMp, OpenMpByAddress, Mkl])
def test_pools_with_a_number_for_each_thread_are_capped_in_every_thread(monkeypatch, made_by):
    library = blas_threads.Pool(made_by())
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


def test_of_two_solves_in_threads_each_gives_its_own_number_back(monkeypatch):
    library = blas_threads.Pool(Mkl())
    monkeypatch.setattr(blas_threads, "pools", lambda: [library])
    threads = BlasThreads()
    threads.cap("here")

    with ThreadPoolExecutor(1) as pool:
        pool.submit(threads.cap, "there").result()
        assert pool.submit(library.get).result() == 1
        threads.give_back("here")
        assert library.get() == 4
        pool.submit(threads.give_back, "there").result()
        assert pool.submit(library.get).result() == 4
    assert (library.get(), threads.limit()) == (4, 4)


@pytest.mark.parametrize(("own", "after"), [(0, 7), (3, 3)])
def test_after_a_solve_a_thread_of_mkl_has_a_number_of_its_own_only_where_it_had_one(monkeypatch, own, after):
    """Else what is set for the process, before or after, would mean nothing in that thread any more."""
    mkl = Mkl()
    library = blas_threads.Pool(mkl)
    monkeypatch.setattr(blas_threads, "pools", lambda: [library])
    threads = BlasThreads()
    mkl.set_own(own)
    mkl.of_process = 2
    threads.cap(mkl)
    assert (library.get(), threads.limit()) == (1, own or 2)
    threads.give_back(mkl)
    mkl.of_process = 7
    assert (library.get(), threads.limit()) == (after, after)
