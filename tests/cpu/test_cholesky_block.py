"""A small block factored in one compiled call."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from numba import float64

from kernelfit.cpu import cholesky_block, claims, matrix_product
from kernelfit.cpu.pool import CpuBackend

pytestmark = pytest.mark.skipif(not matrix_product.available(), reason="the CPU has no such tiles")


def positive(rng, n, dtype):
    x = rng.standard_normal((n, n))
    return (x @ x.T / n + np.eye(n)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [1, 5, 95, 96, 97, 230])
def test_it_is_the_cholesky_factor(rng, n, dtype):
    a = positive(rng, n, dtype)
    whole = np.full((n + 1, n + 9), 7.0, dtype)
    block = whole[:n, 3 : n + 3]
    block[...] = a
    info, _ = cholesky_block.factor(block)
    assert info == 0
    assert not np.triu(block, 1).any()
    lower = block.astype(float)
    assert abs(lower @ lower.T - a).max() <= 8 * (8 + np.sqrt(n)) * np.finfo(dtype).eps * abs(a).max()
    block[...] = 7.0
    assert (whole == 7.0).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("pivot", [-1.0, -1e-3, np.nan])
@pytest.mark.parametrize("row", [0, 40, 96, 150, 199])
def test_it_says_where_it_stopped_and_at_which_pivot(rng, dtype, pivot, row):
    a = positive(rng, 200, np.float64)
    left = np.linalg.solve(np.linalg.cholesky(a[:row, :row]), a[:row, row])
    a[row, row] = left @ left + pivot
    info, value = cholesky_block.factor(a.astype(dtype))
    assert info == row + 1
    assert value == pytest.approx(pivot, abs=100 * float(np.finfo(dtype).eps), nan_ok=True)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [430, 700])
def test_threads_that_help_change_no_bit(rng, dtype, n):
    a = positive(rng, n, dtype)
    alone, helped = a.copy(), a.copy()
    with CpuBackend(3) as backend:
        assert cholesky_block.factor(helped, backend) == cholesky_block.factor(alone) == (0, 0.0)
    np.testing.assert_array_equal(helped, alone)


@pytest.mark.parametrize("row", [0, 95, 96, 400, 499])
def test_a_failure_ends_the_help(rng, row):
    a = positive(rng, 500, np.float64)
    left = np.linalg.solve(np.linalg.cholesky(a[:row, :row]), a[:row, row])
    a[row, row] = left @ left - 0.25
    with CpuBackend(2) as backend:
        info, pivot = cholesky_block.factor(a, backend)
    assert (info, pivot) == (row + 1, pytest.approx(-0.25))


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_thread_that_fails_before_it_begins_leaves_no_other_waiting(rng, monkeypatch, error):
    helping, part, lock, calls = threading.Event(), cholesky_block.work, threading.Lock(), []

    def interrupted(*arguments):
        with lock:
            calls.append(1)
            first = len(calls) == 1
        if first:
            assert helping.wait(30)
            raise error
        helping.set()
        return part(*arguments)

    a = positive(rng, 400, np.float64)
    cholesky_block.factor(a.copy(), None)  # compiled
    monkeypatch.setattr(cholesky_block, "work", interrupted)
    with CpuBackend(2) as backend, pytest.raises(error):
        cholesky_block.factor(a, backend)


def test_one_of_those_who_ask_leads():
    kept = claims.new_claims()
    assert [claims.leads(kept.ctypes.data) for _ in range(3)] == [True, False, False]


def test_alone_and_with_help_it_is_compiled_once(rng):
    a = positive(rng, 400, np.float64)
    cholesky_block.factor(a.copy())
    with CpuBackend(2) as backend:
        cholesky_block.factor(a, backend)
    assert sum(float64 in signature for signature in cholesky_block.work.signatures) == 1
