"""Where sums of Gram matrices over blocks of filters are formed: in host memory, or on a device."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kernelfit.device.gram import fetch, put
from kernelfit.device.panel_gram import DevicePanelGram
from kernelfit.device.protocol import Device
from kernelfit.features.random_conv import RandomConv
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.source import PanelGram
from kernelfit.progress import Progress
from kernelfit.streaming.accumulate import Seconds, accumulate
from kernelfit.streaming.device_random_conv import DeviceNet


class Sums(Protocol):
    """Panels of K and the test rows' kernel (m, n), zero at first."""

    def restore(self, panels: list[NDArray[Any]], cross: NDArray[Any]) -> None:
        """Go on from these sums, which now belong to this object."""
        ...

    def panels(self) -> list[NDArray[Any]]:
        """The panels as they are, in host memory."""
        ...

    def cross(self) -> NDArray[Any]:
        """The test rows' kernel as it is, in host memory."""
        ...

    def accumulate(
        self,
        net: RandomConv,
        train: NDArray[Any],
        test: NDArray[Any],
        first_filter: int,
        per_block: int | None,
        on_block: Callable[[int], None] | None,
        seconds: Seconds,
        progress: Progress,
    ) -> None:
        """Add the filters from `first_filter` on, as `kernelfit.streaming.accumulate.accumulate`."""
        ...

    def gram(self) -> PanelGram:
        """K, where it was summed up."""
        ...

    def release(self) -> None:
        """Give back the memory of the panels."""
        ...


class HostSums:
    """Sums in host memory."""

    def __init__(self, layout: PanelLayout, tests: int, kind: np.dtype[Any]) -> None:
        self._layout = layout
        self._panels = [np.zeros(layout.shape(j), kind) for j in range(layout.count)]
        self._cross: NDArray[Any] = np.zeros((tests, layout.n), np.float32)

    def restore(self, panels: list[NDArray[Any]], cross: NDArray[Any]) -> None:
        self._panels, self._cross = panels, cross

    def panels(self) -> list[NDArray[Any]]:
        return self._panels

    def cross(self) -> NDArray[Any]:
        return self._cross

    def accumulate(
        self,
        net: RandomConv,
        train: NDArray[Any],
        test: NDArray[Any],
        first_filter: int,
        per_block: int | None,
        on_block: Callable[[int], None] | None,
        seconds: Seconds,
        progress: Progress,
    ) -> None:
        accumulate(
            net,
            train,
            test,
            self._layout,
            self._panels,
            self._cross,
            first_filter=first_filter,
            per_block=per_block,
            on_block=on_block,
            seconds=seconds,
            progress=progress,
        )

    def gram(self) -> PanelGram:
        return PanelGram(self._layout, self._panels)

    def release(self) -> None:
        self._panels = []


class DeviceSums:
    """Sums in the slab of a device, where those of the training rows stay."""

    def __init__(self, device: Device, layout: PanelLayout, tests: int, kind: np.dtype[Any]) -> None:
        self._device, self._layout = device, layout
        self._stream = device.stream("sums")
        self._panels = [device.slab.take(*layout.shape(j), kind) for j in range(layout.count)]
        self._cross = device.slab.take(tests, layout.n, kind)
        for block in (*self._panels, self._cross):
            device.zero(self._stream, block)
        device.synchronise(device.record(self._stream))

    def restore(self, panels: list[NDArray[Any]], cross: NDArray[Any]) -> None:
        for array, block in zip((*panels, cross), (*self._panels, self._cross), strict=True):
            put(self._device, self._stream, array, block)

    def panels(self) -> list[NDArray[Any]]:
        return [fetch(self._device, self._stream, block) for block in self._panels]

    def cross(self) -> NDArray[Any]:
        return fetch(self._device, self._stream, self._cross)

    def accumulate(
        self,
        net: RandomConv,
        train: NDArray[Any],
        test: NDArray[Any],
        first_filter: int,
        per_block: int | None,
        on_block: Callable[[int], None] | None,
        seconds: Seconds,
        progress: Progress,
    ) -> None:
        began = time.perf_counter()
        DeviceNet(self._device, net, train.dtype).accumulate(
            train,
            test,
            self._layout,
            self._panels,
            self._cross,
            first_filter=first_filter,
            per_block=per_block,
            on_block=on_block,
            progress=progress,
        )
        # Features and products follow each other on one stream: their times are not known apart.
        seconds.features += time.perf_counter() - began

    def gram(self) -> PanelGram:
        return DevicePanelGram(self._device, self._layout, self._panels, 1.0)

    def release(self) -> None:
        self._device.close()
