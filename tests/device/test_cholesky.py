"""The factorisation on a device, on the stand-in: every residency level, ragged tiles, failures in every tile."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kernelfit.cpu.pool import CpuBackend
from kernelfit.device.cholesky import device_factor
from kernelfit.device.completion import Worker
from kernelfit.device.gram import HostGram, RowsGram, fetch, put
from kernelfit.device.host import HostDevice
from kernelfit.device.inverses import TriangleInverses
from kernelfit.device.panels import DevicePanels
from kernelfit.device.protocol import Block
from kernelfit.device.residency import min_slots, rehearse
from kernelfit.device.triangular import solve_factored, solve_lower
from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.points import Points
from kernelfit.gram.source import ArrayGram, KernelGram
from kernelfit.kernels import Gaussian
from kernelfit.linalg.cholesky import panel_flops
from kernelfit.storage.panel_file import PanelFile
from kernelfit.storage.write_behind import WriteBehind

LEVELS = ("device", "host", "disk")


def open_store(device, layout, dtype, level, tmp_path: Path) -> DevicePanels:
    """A store that keeps all tiles on the device, or as few as it can, the others on the host or on the disk."""
    count = layout.count
    slots = count * (count + 1) // 2 if level == "device" else min_slots(count) + count // 3
    host_slots = {"device": 0, "host": 10_000, "disk": 2}[level]
    rehearsed = rehearse(count, slots, host_slots)
    file = PanelFile.create(tmp_path / "spill.h5", layout, dtype) if level == "disk" else None
    if level != "device" and count > 4:
        assert rehearsed.traffic.out
        assert (rehearsed.traffic.disk_written > 0) == (level == "disk")
    return DevicePanels(
        device, layout, dtype, slots=slots, host_slots=rehearsed.max_on_host, staged=3, file=file
    )


def on_device(device, stream, array, dtype=np.float64) -> Block:
    block = device.slab.take(*array.shape, dtype)
    put(device, stream, np.ascontiguousarray(array, dtype), block)
    return block


def assembled(device, store) -> np.ndarray:
    layout = store.layout
    matrix = np.zeros((layout.n, layout.n), store.dtype)
    stream = device.stream("read")
    for k in range(layout.count):
        for segment in store.segments(k, k, stream):
            matrix[slice(*segment.rows), layout.start(k) : layout.stop(k)] = fetch(
                device, stream, segment.block
            )
    return matrix


def positive(rng, n: int) -> np.ndarray:
    root = rng.standard_normal((n, n + 5))
    return root @ root.T / n + np.eye(n)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("n", "width"), [(1, 1), (19, 19), (40, 8), (111, 16), (97, 32), (130, 13)])
def test_factor_and_solves_have_a_small_backward_error(
    rng, make_device, tolerance, tmp_path, n, width, level, dtype
):
    layout = PanelLayout(n, width)
    matrix = positive(rng, n)
    targets = rng.standard_normal((n, 3))
    device = make_device(16_000_000)
    stream = device.stream("main")
    with CpuBackend(1) as backend:
        store = open_store(device, layout, dtype, level, tmp_path)
        gram = HostGram(device, ArrayGram(matrix), backend, 24)
        rhs = on_device(device, stream, targets, dtype)
        inverses = TriangleInverses(device, layout, dtype, 3)
        pivots = device_factor(gram, 0.5, store, rhs, inverses=inverses)
    lower = assembled(device, store).astype(np.float64)
    assert np.all(np.triu(lower, 1) == 0)
    shifted = matrix + 0.5 * np.eye(n)
    error = np.abs(lower @ lower.T - shifted).max() / np.abs(shifted).max()
    assert error <= tolerance(dtype, n)
    assert pivots.log_det == pytest.approx(np.linalg.slogdet(shifted)[1], rel=tolerance(dtype, n, 100))
    carried = fetch(device, stream, rhs)
    again = on_device(device, stream, targets, dtype)
    solve_lower(device, stream, store, again)
    assert np.allclose(carried, fetch(device, stream, again), rtol=0, atol=tolerance(dtype, n, 100))
    whole = on_device(device, stream, targets, dtype)
    solve_factored(device, stream, store, whole)
    alpha = fetch(device, stream, whole).astype(np.float64)
    residual = np.abs(shifted @ alpha - targets).max()
    assert residual <= tolerance(dtype, n, 20) * (np.abs(shifted).sum(1).max() * np.abs(alpha).max() + 1)
    store.close()


@pytest.mark.parametrize("level", LEVELS)
def test_traffic_is_what_the_rehearsal_says(rng, make_device, tmp_path, level):
    n, width = 150, 11
    layout = PanelLayout(n, width)
    device = make_device(16_000_000)
    with CpuBackend(1) as backend:
        store = open_store(device, layout, np.float64, level, tmp_path)
        gram = HostGram(device, ArrayGram(positive(rng, n)), backend, n)
        device_factor(gram, 0.0, store)
    expected = rehearse(layout.count, store.residency.slots, store.residency.host_slots)
    assert store.residency.traffic == expected.traffic
    assert (store.residency.on_host, store.residency.on_disk) == (expected.on_host, expected.on_disk)
    # The last block row is ragged: bytes are at most tiles times the size of one.
    tile = width * width * 8
    assert store.bytes_written <= expected.traffic.disk_written * tile
    assert store.bytes_read <= expected.traffic.disk_read * tile
    assert (store.bytes_written > 0) == (level == "disk")
    store.close()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("row", [0, 5, 7, 8, 20, 39, 40, 63, 70])
@pytest.mark.parametrize("value", [-3.0, -1e-6, np.nan])
def test_a_pivot_that_is_not_positive_is_found_in_every_tile(rng, make_device, tmp_path, row, value, level):
    n, width = 71, 8
    factor = np.tril(rng.uniform(0.1, 0.3, (n, n)), -1) / n + np.eye(n)
    matrix = factor @ factor.T
    matrix[row, row] += value - 1.0
    device = make_device(16_000_000)
    with CpuBackend(1) as backend:
        layout = PanelLayout(n, width)
        store = open_store(device, layout, np.float64, level, tmp_path)
        source = ArrayGram(np.nan_to_num(matrix, nan=0.0))
        source._array[row, row] = matrix[row, row]
        inverses = TriangleInverses(device, layout, np.float64, 1)
        with pytest.raises(NotPositiveDefiniteError) as caught:
            device_factor(HostGram(device, source, backend, 24), 0.0, store, inverses=inverses)
    assert caught.value.row == row
    if value < 0:
        assert caught.value.pivot == pytest.approx(value, abs=1e-9)
    store.close()


@pytest.mark.parametrize("row", [3, 11, 19])
def test_the_row_of_a_nan_is_that_of_lapack(rng, tmp_path, row):
    """cuSOLVER promises no index for a NaN: here one that says the last pivot of the block."""

    class Late(HostDevice):
        def potrf(self, stream, block, work, status):
            super().potrf(stream, block, work, status)

            def run():
                view = self._view(status)
                view[...] = np.where(view > 0, block.rows, 0)

            self._submit(stream, "late", [], [status], run)

    n, layout = 30, PanelLayout(30, 20)
    matrix = positive(rng, n)
    matrix[row, row] = np.nan
    device = Late(4_000_000)
    store = open_store(device, layout, np.float64, "device", tmp_path)
    source = ArrayGram(np.eye(n))
    source._array[...] = matrix
    with CpuBackend(1) as backend, pytest.raises(NotPositiveDefiniteError) as caught:
        device_factor(HostGram(device, source, backend, 24), 0.0, store)
    assert caught.value.row == row
    store.close()


@pytest.mark.parametrize("scale", [None, 1 / 255])
def test_rows_on_the_device_give_the_gram_of_the_cpu(rng, make_device, tmp_path, scale):
    n, width = 90, 16
    rows = rng.integers(0, 256, (n, 30)).astype(np.uint8) if scale else rng.standard_normal((n, 30))
    points = Points(rows, scale)
    source = KernelGram(Gaussian(gamma=0.1), points)
    device = make_device(16_000_000)
    stream = device.stream("main")
    gram = RowsGram(device, stream, source, 20, width)
    assert gram.exact == (scale is not None)
    out = device.slab.take(n, n, np.float64)
    gram.fill(stream, (0, n), (0, n), out, 2.0)
    with CpuBackend(1) as backend:
        expected = np.empty((n, n))
        source.columns(0, n, backend).fill(0, n, expected)
    expected = np.tril(expected) + 2.0 * np.eye(n)
    assert np.allclose(fetch(device, stream, out), expected, rtol=1e-14, atol=1e-15)


def test_panels_taken_up_again_go_on_as_if_nothing_had_happened(rng, make_device, tmp_path, counting):
    n, width = 120, 13
    layout = PanelLayout(n, width)
    matrix = positive(rng, n)
    targets = rng.standard_normal((n, 2))
    results = []
    for first in (0, 0, 4):
        device = make_device(16_000_000)
        stream = device.stream("main")
        path = tmp_path / f"factor-{min(len(results), 1)}.h5"
        if len(results) == 2:
            file = PanelFile(path, layout, np.float64, offsets, writable=True)  # noqa: F821 - of the run before
        else:
            file = PanelFile.create(path, layout, np.float64)
        offsets = file.offsets  # noqa: F841
        count = layout.count
        store = DevicePanels(
            device,
            layout,
            np.float64,
            slots=min_slots(count) + 2,
            host_slots=3,
            staged=3,
            behind=WriteBehind(file),
        )
        seen = []
        with CpuBackend(1) as backend:
            gram = HostGram(device, ArrayGram(matrix), backend, 24)
            rhs = on_device(device, stream, targets)
            progress = counting()
            pivots = device_factor(
                gram, 0.0, store, rhs, progress, first_panel=first, after_panel=seen.append
            )
        assert seen == list(range(first, count))
        assert progress.total["factor"] == pytest.approx(
            sum(panel_flops(layout, j) for j in range(first, count))
        )
        assert progress.done == pytest.approx(progress.total)
        results.append(
            (assembled(device, store), fetch(device, stream, rhs), pivots.log_det, pivots.smallest)
        )
        store.close()
    for other in results[1:]:
        for mine, theirs in zip(results[0], other, strict=True):
            assert np.array_equal(mine, theirs)


def test_a_panel_is_recorded_with_all_of_its_seconds(rng, monkeypatch, tmp_path):
    """The host waits for a panel after it has handed it over, which was counted for none."""
    clock, check, recorded = [0.0], Worker.check, {}

    def waited(*arguments):
        clock[0] += 1.0
        check(*arguments)

    monkeypatch.setattr(Worker, "check", waited)
    monkeypatch.setattr("kernelfit.device.cholesky.time", SimpleNamespace(perf_counter=lambda: clock[0]))
    layout, device = PanelLayout(97, 16), HostDevice(4_000_000)
    behind = WriteBehind(PanelFile.create(tmp_path / "factor.h5", layout, np.float64))
    monkeypatch.setattr(behind, "finish", lambda j, seconds: recorded.update({j: seconds}))
    store = DevicePanels(device, layout, np.float64, slots=28, host_slots=0, staged=0, behind=behind)
    with CpuBackend(1) as backend:
        device_factor(HostGram(device, ArrayGram(positive(rng, 97)), backend, 24), 0.0, store)
    store.close()
    assert [gram for gram, _ in recorded.values()] == [0.0] * 7
    # Two panels are waited for after the last has been handed over.
    assert [factor for _, factor in recorded.values()] == [0.0, 0.0, *[1.0] * 5]
