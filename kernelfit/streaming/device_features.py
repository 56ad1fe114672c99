"""Blocks of features in the slab of a device: by a program of the device, or computed on the host and copied there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kernelfit.device.gram import put
from kernelfit.device.protocol import Block, Device
from kernelfit.streaming.device_random_conv import DeviceNet
from kernelfit.streaming.protocol import StreamingFeatures


class DeviceFeatures(Protocol):
    """The features of some rows, block of filters by block."""

    @property
    def bytes_per_filter(self) -> int:
        """Bytes of the slab that the program itself takes for each filter of a block."""
        ...

    def put(self, sets: Sequence[NDArray[Any]]) -> None:
        """Take these rows, one set after the other; what the program needs of them lies on top of the slab."""
        ...

    def fill(self, stream: Any, start: int, stop: int, out: Block) -> None:
        """out (rows of all sets, features of filters start:stop) float32 <- their features, queued on `stream`.

        May use what is on top of the slab, until the caller has waited for the stream.
        """
        ...


class HostFeatures:
    """Features of any map, computed on the host and copied to the device."""

    bytes_per_filter = 0

    def __init__(self, device: Device, net: StreamingFeatures, dtype: np.dtype[Any]) -> None:
        self._device, self._net = device, net
        self._sets: Sequence[NDArray[Any]] = ()

    def put(self, sets: Sequence[NDArray[Any]]) -> None:
        self._sets = sets

    def fill(self, stream: Any, start: int, stop: int, out: Block) -> None:
        first = 0
        for rows in self._sets:
            block = self._net.filter_block(rows, start, stop)
            put(self._device, stream, block, out.part((first, first + len(rows))))
            first += len(rows)


#: a map's `device_program` -> what runs it: made from a device, the map and the dtype of rows
PROGRAMS: dict[str, Callable[[Device, Any, np.dtype[Any]], DeviceFeatures]] = {"random-conv": DeviceNet}


def device_features(device: Device, net: StreamingFeatures, dtype: np.dtype[Any]) -> DeviceFeatures:
    """The program of the fitted `net`, for rows of `dtype`."""
    make = HostFeatures if net.device_program is None else PROGRAMS[net.device_program]
    return make(device, net, dtype)
