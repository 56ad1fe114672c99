"""The factorisation on several devices of one host, on stand-ins, and on GPUs where there are several."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from kernelfit.cpu.pool import CpuBackend
from kernelfit.device.gram import HostGram, fetch
from kernelfit.device.host import HostDevice
from kernelfit.device.host_streams import Race
from kernelfit.device.inverses import TriangleInverses
from kernelfit.device.multi_cholesky import Member, dealt_factor
from kernelfit.device.panels import DevicePanels
from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.source import ArrayGram
from kernelfit.linalg.cholesky import panel_flops
from kernelfit.storage.panel_file import PanelFile
from kernelfit.storage.write_behind import WriteBehind


def positive(rng, n):
    root = rng.standard_normal((n, n + 5))
    return root @ root.T / n + np.eye(n)


def members(make_device, layout, dtype, matrix, backend, count, peers=None, behind=None):
    """`behind` the first device's factor is written. `peers`: whether stand-ins that share their streams reach each
    other; by default each is on its own."""
    made = []
    for _ in range(count):
        options = {} if peers is None else {"peers": peers, "beside": made[0].device if made else None}
        device = make_device(16_000_000, **options)
        tiles = layout.count * (layout.count + 1) // 2
        store = DevicePanels(
            device, layout, dtype, slots=tiles, host_slots=0, staged=0, behind=None if made else behind
        )
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


@pytest.mark.parametrize("peers", [True, False])
@pytest.mark.parametrize("count", [2, 3])
def test_panels_travel_in_order_straight_and_through_the_host(rng, tolerance, monkeypatch, count, peers):
    """Stand-ins that share their streams: whatever one does to the memory of another has to be in order."""
    monkeypatch.setattr("kernelfit.device.multi_cholesky._PIECE", 3_000)
    matrix, n = positive(rng, 97), 97
    with CpuBackend(1) as backend:
        group = members(HostDevice, PanelLayout(n, 16), np.float64, matrix, backend, count, peers)
        dealt_factor(group, 0.5)
    shifted = matrix + 0.5 * np.eye(n)
    factors = [assembled(member) for member in group]
    assert (
        np.abs(factors[0] @ factors[0].T - shifted).max() <= tolerance(np.float64, n) * np.abs(shifted).max()
    )
    for other in factors[1:]:
        assert np.array_equal(other, factors[0])
    numbers = sum(rows * columns for rows, columns in map(group[0].store.layout.shape, range(7)))
    assert sum(member.device.bytes_to_peers for member in group) == (
        numbers * 8 * (count - 1) if peers else 0
    )
    for member in group:
        member.store.close()


@pytest.mark.parametrize(("stream", "peers"), [("outgoing", True), ("outgoing", False), ("incoming", False)])
def test_a_panel_that_nobody_waits_for_is_refused(rng, monkeypatch, stream, peers):
    record = HostDevice.record
    monkeypatch.setattr(
        HostDevice, "record", lambda self, queue: {} if queue.name == stream else record(self, queue)
    )
    with CpuBackend(1) as backend:
        group = members(HostDevice, PanelLayout(97, 16), np.float64, positive(rng, 97), backend, 2, peers)
        with pytest.raises(Race, match="with no order to copy"):
            dealt_factor(group, 0.5)


def test_what_is_not_reached_is_not_copied_to():
    first, alone = HostDevice(10_000), HostDevice(10_000)
    beside, without = HostDevice(10_000, beside=first), HostDevice(10_000, beside=first, peers=False)
    assert first.reaches(beside)
    assert beside.reaches(first)
    assert not any(first.reaches(other) for other in (first, alone, without))
    block = first.slab.take(2, 3, np.float64)
    stream = first.stream("main")
    with pytest.raises(ValueError, match="not reached"):
        first.copy_to(stream, block, alone, alone.slab.take(2, 3, np.float64))
    with pytest.raises(ValueError, match="48 bytes and 32"):
        first.copy_to(stream, block, beside, beside.slab.take(2, 2, np.float64))
    with pytest.raises(Race, match="beyond"):
        first.copy_to(stream, block, beside, replace(block, offset=4_096))


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


@pytest.mark.parametrize("peers", [True, False])
def test_a_run_is_recorded_with_its_seconds_and_resumed(rng, monkeypatch, tmp_path, counting, peers):
    """All panels were recorded with 0 s, and after a resume those that were there counted as done in no time."""
    recorded, path, layout = {}, tmp_path / "factor.h5", PanelLayout(97, 16)
    ticks = iter(range(1_000))
    clock = SimpleNamespace(perf_counter=lambda: float(next(ticks)))
    monkeypatch.setattr("kernelfit.device.multi_cholesky.time", clock)
    matrix, offsets, logarithms = positive(rng, 97), None, []
    for first in (0, 3):
        file = (
            PanelFile(path, layout, np.float64, offsets, writable=True)
            if first
            else PanelFile.create(path, layout, np.float64)
        )
        offsets, behind, progress = file.offsets, WriteBehind(file), counting()
        monkeypatch.setattr(behind, "finish", lambda j, seconds: recorded.update({j: seconds}))
        with CpuBackend(1) as backend:
            group = members(HostDevice, layout, np.float64, matrix, backend, 2, peers, behind)
            logarithms.append(dealt_factor(group, 0.0, progress, first_panel=first).log_det)
        for member in group:
            member.store.close()
        assert recorded == dict.fromkeys(range(first, 7), (0.0, 1.0))
        left = sum(panel_flops(layout, j) for j in range(first, 7))
        assert progress.total["factor"] == pytest.approx(left)
        assert progress.done == pytest.approx(progress.total)
        recorded.clear()
    assert logarithms[0] == logarithms[1]
