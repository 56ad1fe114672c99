"""The factorisation on several devices of one host, on stand-ins, and on GPUs where there are several."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.cpu.pool import CpuBackend
from kernelfit.device.gram import HostGram, fetch
from kernelfit.device.inverses import TriangleInverses
from kernelfit.device.multi_cholesky import Member, dealt_factor
from kernelfit.device.panels import DevicePanels
from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.source import ArrayGram


def positive(rng, n):
    root = rng.standard_normal((n, n + 5))
    return root @ root.T / n + np.eye(n)


def members(make_device, layout, dtype, matrix, backend, count):
    made = []
    for _ in range(count):
        device = make_device(16_000_000)
        tiles = layout.count * (layout.count + 1) // 2
        store = DevicePanels(device, layout, dtype, slots=tiles, host_slots=0, staged=0)
        inverses = TriangleInverses(device, layout, dtype, 1)
        made.append(Member(store, inverses, HostGram(device, ArrayGram(matrix), backend, 24)))
    return made


def assembled(member):
    store, device = member.store, member.device
    layout, stream = store.layout, device.stream("read")
    matrix = np.zeros((layout.n, layout.n), store.dtype)
    for k in range(layout.count):
        for segment in store.segments(k, k, stream):
            matrix[slice(*segment.rows), layout.start(k) : layout.stop(k)] = fetch(
                device, stream, segment.block
            )
    return matrix


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("n", "width"), [(1, 1), (19, 19), (40, 20), (111, 16), (97, 32)])
def test_every_device_has_the_whole_factor(rng, tolerance, make_device, monkeypatch, n, width, dtype, count):
    monkeypatch.setattr("kernelfit.device.multi_cholesky._PIECE", 3_000)  # several pieces a panel
    matrix = positive(rng, n)
    seen = []
    with CpuBackend(1) as backend:
        group = members(make_device, PanelLayout(n, width), dtype, matrix, backend, count)
        pivots = dealt_factor(group, 0.5, after_panel=seen.append)
    shifted = matrix + 0.5 * np.eye(n)
    factors = [assembled(member).astype(np.float64) for member in group]
    error = np.abs(factors[0] @ factors[0].T - shifted).max() / np.abs(shifted).max()
    assert error <= tolerance(dtype, n)
    for other in factors[1:]:
        assert np.array_equal(other, factors[0])
    assert seen == list(range(-(-n // width)))
    assert pivots.log_det == pytest.approx(np.linalg.slogdet(shifted)[1], rel=tolerance(dtype, n, 100))
    for member in group:
        member.store.close()


@pytest.mark.parametrize("row", [0, 7, 8, 20, 70])
def test_a_pivot_that_is_not_positive_is_found_on_every_device(rng, make_device, row):
    factor = np.tril(rng.uniform(0.1, 0.3, (71, 71)), -1) / 71 + np.eye(71)
    matrix = factor @ factor.T
    matrix[row, row] -= 4.0
    with CpuBackend(1) as backend:
        group = members(make_device, PanelLayout(71, 8), np.float64, matrix, backend, 2)
        with pytest.raises(NotPositiveDefiniteError) as caught:
            dealt_factor(group, 0.0)
    assert caught.value.row == row
    for member in group:
        member.store.close()
