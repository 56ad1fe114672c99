"""What the stand-in for a device is stricter in: order, races, memory that nobody took."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.device.host import HostDevice
from kernelfit.device.host_streams import Race


@pytest.fixture
def device():
    return HostDevice(1_000_000, seed=1)


def test_two_streams_without_an_order_race(device):
    block = device.slab.take(4, 4, np.float64)
    first, second = device.stream("first"), device.stream("second")
    device.zero(first, block)
    with pytest.raises(Race, match=r"set_identity on second writes bytes .* no order to zero on first"):
        device.set_identity(second, block)


@pytest.mark.parametrize("by", ["event", "host"])
def test_an_event_or_the_host_orders_them(device, by):
    block = device.slab.take(4, 4, np.float64)
    first, second = device.stream("first"), device.stream("second")
    device.zero(first, block)
    if by == "event":
        device.wait(second, device.record(first))
    else:
        device.synchronise(device.record(first))
    device.set_identity(second, block)
    device.synchronise()
    assert np.array_equal(device.read(block), np.eye(4))


def test_other_columns_of_the_same_rows_do_not_meet(device):
    block = device.slab.take(4, 8, np.float64)
    left, right = block.part(columns=(0, 4)), block.part(columns=(4, 8))
    first, second = device.stream("first"), device.stream("second")
    device.set_identity(first, left)
    device.set_identity(second, right)
    with pytest.raises(Race):
        device.set_identity(second, block.part(columns=(3, 7)))


def test_readers_do_not_race_with_each_other(device):
    source, targets = device.slab.take(3, 3, np.float64), [device.slab.take(3, 3, np.float64) for _ in "ab"]
    device.synchronise()
    streams = [device.stream(name) for name in "ab"]
    for stream, target in zip(streams, targets, strict=True):
        device.copy(stream, source, target)
    with pytest.raises(Race):
        device.zero(streams[0], source)


def test_nothing_runs_before_it_is_waited_for(device):
    block = device.slab.take(2, 2, np.float64)
    device.set_identity(device.stream("only"), block)
    assert np.isnan(device.read(block)).all()


def test_memory_that_nobody_took_is_refused(device):
    block = device.slab.take(2, 2, np.float64)
    device.slab.release(0)
    with pytest.raises(Race, match="beyond the 0 taken"):
        device.zero(device.stream("only"), block)
