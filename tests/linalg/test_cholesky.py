"""The panel factorisation: backward error, planted failures in every panel, and independence of threads and tier."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelfit.cpu import matrix_product
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.points import Points
from kernelfit.gram.source import ArrayGram, KernelGram
from kernelfit.kernels import Gaussian
from kernelfit.linalg.cholesky import factor, panel_flops
from kernelfit.storage.panels import RamPanels

LAYOUTS = [(1, 1), (2, 1), (2, 2), (19, 5), (19, 19), (111, 20), (111, 37), (300, 64), (300, 128), (700, 300)]
both_tiers = pytest.mark.parametrize("tier", ["ram", "disk"])
both_dtypes = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])


def spd(rng, n):
    x = rng.standard_normal((n, 2 * n + 3))
    return x @ x.T / n + 0.1 * np.eye(n)


@both_tiers
@both_dtypes
@pytest.mark.parametrize(("n", "width"), LAYOUTS)
def test_l_times_its_transpose_is_k(rng, backend, make_store, dense, tolerance, n, width, dtype, tier):
    k = spd(rng, n)
    store = make_store(tier, PanelLayout(n, width), dtype)
    pivots = factor(ArrayGram(k), 0.0, store, backend)
    l = dense(store).astype(np.float64)  # noqa: E741
    assert (l[np.triu_indices(n, 1)] == 0).all()
    # Rounding K to the dtype is part of the error.
    assert np.abs(l @ l.T - k).max() <= tolerance(dtype, n + 1, 2.0) * np.abs(k).max()
    diagonal = np.diag(l)
    assert pivots.smallest == pytest.approx(float((diagonal**2).min()), rel=1e-12)
    assert pivots.row == int(np.argmin(diagonal))
    assert pivots.log_det == pytest.approx(np.linalg.slogdet(k)[1], abs=tolerance(dtype, n, 100.0) * n)
    assert pivots.weak == 0
    for j in range(store.layout.count):
        rows = slice(store.layout.start(j), store.layout.stop(j))
        assert np.array_equal(store.diagonal(j), diagonal[rows].astype(dtype))


@both_dtypes
def test_what_memory_held_before_is_nowhere_in_a_factor(rng, backend, dense, dtype, monkeypatch):
    monkeypatch.setattr(matrix_product, "available", lambda: False)
    monkeypatch.setattr(np, "empty", lambda shape, dtype=np.float64, **_: np.full(shape, np.nan, dtype))
    store = RamPanels(PanelLayout(300, 300), dtype)
    factor(ArrayGram(spd(rng, 300)), 0.0, store, backend)
    lower = store.begin(0)
    assert (lower[np.triu_indices(300, 1)] == 0).all()
    assert np.isfinite(lower).all()


@both_tiers
@both_dtypes
def test_a_shift_is_added_to_the_diagonal(rng, backend, make_store, dense, tolerance, dtype, tier):
    k = spd(rng, 111)
    store = make_store(tier, PanelLayout(111, 37), dtype)
    factor(ArrayGram(k), 2.5, store, backend)
    l = dense(store).astype(np.float64)  # noqa: E741
    assert np.abs(l @ l.T - k - 2.5 * np.eye(111)).max() <= tolerance(dtype, 111) * (np.abs(k).max() + 2.5)


def test_a_kernel_and_its_array_give_the_same_factor(rng, backend, make_store, dense):
    x = rng.standard_normal((300, 4))
    gram = KernelGram(Gaussian(2.0), Points(x))
    k = np.empty((300, 300))
    gram.columns(0, 300, backend).fill(0, 300, k)
    factors = []
    for source in (gram, ArrayGram(k)):
        store = make_store("ram", PanelLayout(300, 64))
        factor(source, 1e-6, store, backend)
        factors.append(dense(store))
    np.testing.assert_allclose(*factors, atol=1e-9)


@both_tiers
@both_dtypes
def test_the_result_does_not_depend_on_threads(rng, make_store, dense, dtype, tier):
    points = Points(rng.standard_normal((1900, 3)))
    reference = None
    for threads in (1, 2, 3):
        store = make_store(tier, PanelLayout(1900, 300), dtype)
        with CpuBackend(threads) as backend:
            pivots = factor(KernelGram(Gaussian(50.0), points), 0.5, store, backend)
        result = (dense(store).tobytes(), pivots.smallest, pivots.row, pivots.log_det)
        reference = reference or result
        assert result == reference


@both_dtypes
@pytest.mark.parametrize(("n", "width"), [(111, 20), (1900, 300), (2600, 256)])
def test_memory_and_disk_give_the_same_bits(rng, backend, make_store, dense, dtype, n, width):
    points = Points(rng.standard_normal((n, 3)))
    factors = []
    for tier in ("ram", "disk"):
        store = make_store(tier, PanelLayout(n, width), dtype)
        factor(KernelGram(Gaussian(50.0), points), 0.5, store, backend)
        factors.append(dense(store))
    assert np.array_equal(*factors)


def indefinite(rng, n, row, value):
    """Positive definite but for the pivot of `row`, which is `value` whatever the rows before it are."""
    l = np.tril(rng.standard_normal((n, n)) / np.sqrt(n))  # noqa: E741
    np.fill_diagonal(l, 1.0)
    pivots = np.ones(n)
    pivots[row] = value
    return (l * pivots) @ l.T


@both_tiers
@both_dtypes
@pytest.mark.parametrize("row", [0, 1, 18, 19, 20, 37, 38, 56, 57, 75, 76, 81, 82])
def test_a_failure_planted_anywhere_names_its_row_and_pivot(rng, backend, make_store, dtype, tier, row):
    n, width = 83, 19
    store = make_store(tier, PanelLayout(n, width), dtype)
    with pytest.raises(NotPositiveDefiniteError) as caught:
        factor(ArrayGram(indefinite(rng, n, row, -0.25)), 0.0, store, backend)
    assert caught.value.row == row
    assert caught.value.pivot == pytest.approx(-0.25, rel=2e5 * float(np.finfo(dtype).eps))
    assert f"the pivot of row {row} is -0.25" in str(caught.value)
    assert "\n" not in str(caught.value)


@both_tiers
@pytest.mark.parametrize("n", [700, 1100])
def test_a_failure_inside_a_wide_diagonal_block_names_its_row(rng, backend, make_store, n, tier):
    """Wide diagonal blocks are themselves factored in parts."""
    for row in (0, 63, 64, 255, 256, 300, 511, 512, 640, n - 1):
        store = make_store(tier, PanelLayout(n, n))
        with pytest.raises(NotPositiveDefiniteError) as caught:
            factor(ArrayGram(indefinite(rng, n, row, -0.25)), 0.0, store, backend)
        assert caught.value.row == row
        assert caught.value.pivot == pytest.approx(-0.25, rel=1e-9)


@both_tiers
@pytest.mark.parametrize("row", [0, 20, 82])
def test_zero_and_not_a_number_are_no_pivots(backend, make_store, row, tier):
    for value in (0.0, np.nan):
        k = np.eye(83)
        gram = ArrayGram(k)
        k[row, row] = value  # after the check of the input
        with pytest.raises(NotPositiveDefiniteError) as caught:
            factor(gram, 0.0, make_store(tier, PanelLayout(83, 19)), backend)
        assert caught.value.row == row
        assert caught.value.pivot == pytest.approx(value, nan_ok=True)


def test_the_backend_survives_a_failure(rng, backend, make_store):
    with pytest.raises(NotPositiveDefiniteError):
        factor(
            ArrayGram(indefinite(rng, 83, 40, -1.0)), 0.0, make_store("disk", PanelLayout(83, 19)), backend
        )
    pivots = factor(ArrayGram(np.eye(83)), 0.0, make_store("disk", PanelLayout(83, 19)), backend)
    assert pivots.smallest == 1.0


def test_weak_pivots_are_counted(backend, make_store):
    k = np.eye(60)
    k[40, 40], k[50, 50] = 1e-30, 5.0
    k[50, 49] = k[49, 50] = np.sqrt(5.0) * (1 - 1e-14)  # leaves a pivot of 1e-13
    pivots = factor(ArrayGram(k), 0.0, make_store("ram", PanelLayout(60, 19)), backend)
    assert pivots.weak == 1  # row 40 is small but not lost: its own diagonal is as small
    assert pivots.row == 40


def test_progress_adds_up_to_the_flops(rng, make_store, counting):
    """After a resume panels that were there counted as done in no time, so that little seemed left."""
    layout, k = PanelLayout(400, 50), ArrayGram(spd(rng, 400))
    store, whole, rest = make_store("ram", layout), counting(), counting()
    with CpuBackend(1) as single:
        factor(k, 0.0, store, single, whole)
        factor(k, 0.0, store, single, rest, first_panel=3)
    assert whole.total["factor"] == 400**3 / 3
    assert rest.total["factor"] == pytest.approx(400**3 / 3 - sum(panel_flops(layout, j) for j in range(3)))
    for progress in (whole, rest):
        assert progress.done["factor"] == pytest.approx(progress.total["factor"], rel=0.05)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**32 - 1))
def test_any_order_and_width(n, width, seed):
    k = spd(np.random.default_rng(seed), n)
    store = RamPanels(PanelLayout(n, min(width, n)), np.float64)
    with CpuBackend(2) as backend:
        factor(ArrayGram(k), 0.0, store, backend)
    l = np.zeros((n, n))  # noqa: E741
    for batch in store.stream(range(store.layout.count)):
        for piece in batch:
            columns = slice(store.layout.start(piece.k), store.layout.stop(piece.k))
            l[piece.first : piece.start, columns] = piece.top
            l[piece.start :, columns] = piece.below
    assert np.abs(l @ l.T - k).max() <= 4 * (n + 1) * np.finfo(float).eps * np.abs(k).max()
