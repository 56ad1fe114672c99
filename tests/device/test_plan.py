"""Plans for a device against their own formulas and against a count of every tile read."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelfit.cpu.memory import INTERPRETER
from kernelfit.device.plan import STAGED, DeviceLimits, DeviceSize, fixed_bytes, make_device_plan
from kernelfit.device.residency import Residency, min_slots, rehearse
from kernelfit.errors import InputError, PlanError
from kernelfit.gram.costs import Costs
from kernelfit.gram.layout import PanelLayout


@given(count=st.integers(1, 14), extra=st.integers(0, 60), host=st.integers(0, 40))
@settings(max_examples=150, deadline=None)
def test_every_tile_is_somewhere_and_every_slot_holds_one(count, extra, host):
    residency = Residency(count, min_slots(count) + extra, host)
    finished = 0
    for j in range(count):
        moves = residency.begin(j)
        for move in moves:
            assert move.tile[1] < max(j - 1, 1)  # panel j - 1 is still in the making
        places = [set(residency.slot_of), residency.on_host, residency.on_disk]
        tiles = {(i, k) for k in range(j + 1) for i in range(k, count)}
        assert set().union(*places) == tiles
        assert sum(map(len, places)) == len(tiles)
        assert len(set(residency.slot_of.values())) == len(residency.slot_of)
        assert max(residency.slot_of.values()) < residency.slots
        assert len(residency.on_host) <= host
        # A tile leaves only when the device is full, and none that is read again before one that is not.
        if moves:
            assert len(residency.slot_of) == residency.slots
        finished += len(moves)
        for k in range(j):
            residency.absent(j, k)
    assert residency.traffic == rehearse(count, residency.slots, host).traffic
    assert (finished == 0) == (residency.traffic.out == 0)


@pytest.mark.parametrize("count", [1, 2, 7, 20])
def test_a_device_that_holds_everything_moves_nothing(count):
    traffic = rehearse(count, count * (count + 1) // 2, 0).traffic
    assert (traffic.out, traffic.into, traffic.disk_written, traffic.disk_read) == (0, 0, 0, 0)


@pytest.mark.parametrize("count", [8, 20, 40])
def test_rows_that_are_never_read_again_leave_first(count):
    """Tiles still to be read number (count - j) j at panel j: with slots for those and two panels nothing returns."""
    live = max((count - j) * j for j in range(count))
    slots = live + 2 * count
    traffic = rehearse(count, slots, 10**6).traffic
    assert traffic.into == 0
    assert traffic.out == max(0, count * (count + 1) // 2 - slots)


def test_bytes_are_those_of_the_formula():
    n, d, width, columns = 100_000, 784, 2_048, 10
    plan = make_device_plan(
        DeviceSize(n, d, 832 + 32, columns), DeviceLimits(10**10, host=64 * 10**9), width=width
    )
    layout = PanelLayout(n, width)
    tile = 8 * width * width
    assert plan.bytes_tile == tile
    assert plan.bytes_fixed == fixed_bytes(layout, 8, 864, columns, plan.strip, tile)
    assert plan.slots == (10**10 - plan.bytes_fixed - STAGED * tile) // tile
    assert 10**10 - tile < plan.bytes_device <= 10**10
    traffic = rehearse(layout.count, plan.slots, 64 * 10**9 // tile)
    assert plan.bytes_out == traffic.traffic.out * tile
    assert plan.bytes_in == traffic.traffic.into * tile
    assert plan.bytes_host == traffic.max_on_host * tile
    assert plan.bytes_disk == 0


@pytest.mark.parametrize(
    ("n", "in_core"),
    [(60_000, True), (120_000, True), (200_000, False)],
)
def test_what_fits_a_device_of_140_gb(n, in_core):
    plan = make_device_plan(DeviceSize(n, 784, 864, 10), DeviceLimits(138 * 10**9, host=100 * 10**9))
    assert plan.in_core == in_core
    assert plan.bytes_in == 0
    assert plan.bytes_device <= 138 * 10**9


def test_what_is_missing_is_said():
    size = DeviceSize(50_000, 10, 100, 2)
    with pytest.raises(PlanError, match=r"^device: [\d,]+ bytes needed .*: [\d,]+ missing; ") as caught:
        make_device_plan(size, DeviceLimits(10**8))
    missing = int(re.search(r"([\d,]+) missing", str(caught.value))[1].replace(",", ""))
    make_device_plan(size, DeviceLimits(10**8 + missing, host=10**11), width=1_024)
    with pytest.raises(PlanError, match="are free on the disk"):
        make_device_plan(replace(size, n=100_000), DeviceLimits(10**10))
    with pytest.raises(InputError, match="precision"):
        make_device_plan(replace(size, precision="float16"), DeviceLimits(10**10))


def test_a_plan_on_a_device_has_the_memory_of_the_host():
    """It was that of rows and tiles alone, without the interpreter and what has a number for each row."""
    size, limits = DeviceSize(20_000, 100, 848, 10), DeviceLimits(14 * 10**8, host=2 * 10**9)
    on_device = make_device_plan(size, limits, width=1_024)
    costs = Costs.of(n=20_000, d=100, n_rhs=10, panel_width=1_024)
    plan = on_device.as_plan(costs, 4 * 10**9)
    vectors = 12 * 20_000 * 10 * 8
    assert on_device.bytes_host > 0
    assert plan.bytes_memory == INTERPRETER + costs.bytes_points + vectors + on_device.bytes_host
    assert plan.bytes_workspace == on_device.bytes_fixed
    assert plan.inverse_columns == replace(plan, memory_limit=1).inverse_columns == 1_024
