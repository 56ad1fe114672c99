"""Which device a solve runs on: what was asked for, or with `auto` what is there and pays."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import cast

import numpy as np

from kernelfit.device.cuda import CudaDevice
from kernelfit.device.protocol import Device
from kernelfit.errors import DeviceError, InputError, shown

#: below this order opening a GPU takes longer than it saves
MIN_ROWS = 4_096
_CUDA = re.compile(r"cuda(:\d{1,3})?(, *cuda:\d{1,3})*")
#: either says that NVIDIA's driver is loaded: containers often show the device file and not /proc/driver
_DRIVER_FILES = ("/proc/driver/nvidia/version", "/dev/nvidiactl")


def check_device(device: str | Device | Sequence[Device]) -> None:
    """Raise `InputError` for what names no device."""
    if not isinstance(device, str):
        several = device if isinstance(device, tuple | list) else (device,)
        if not several or not all(hasattr(each, "slab") for each in several):
            raise InputError(
                f"device: got {shown(device)}, expected auto, cpu, cuda or cuda:0,cuda:1, or open devices"
            )
        return
    if device in ("auto", "cpu"):
        return
    if _CUDA.fullmatch(device) is None:
        raise InputError(
            f"device: got {device!r}, expected auto, cpu, cuda or cuda:0, cuda:1, ..., or several: cuda:0,cuda:1"
        )
    indices = _indices(device)
    if len(set(indices)) < len(indices):
        raise InputError(f"device: got {device!r}, expected each GPU once")


def open_device(
    device: str | Device, n: int, note: Callable[[str], None], memory: int | None = None
) -> Device | None:
    """The device to use, or None for the CPU, as `open_devices`, for work that one device does."""
    opened = open_devices(device, n, note, memory)
    if len(opened) > 1:
        close_devices(opened)
        raise InputError(f"device: got {device!r}, expected one GPU: features are summed on one")
    return opened[0] if opened else None


def open_devices(
    device: str | Device | Sequence[Device], n: int, note: Callable[[str], None], memory: int | None = None
) -> tuple[Device, ...]:
    """The devices to use, none for the CPU. `auto` says through `note` what it chose, where there was a choice.

    `memory` are the bytes of each GPU to stay within; by default what is free. Raises `DeviceError` where a GPU was
    asked for and cannot be had.
    """
    check_device(device)
    if not isinstance(device, str):
        if memory is not None:
            raise InputError(
                f"device_memory: got {memory:,} for a device that is open already, with memory of its own; "
                "give one of them"
            )
        return open_of(device)
    if device == "cpu" and memory is not None:
        raise InputError(
            f"device_memory: got {memory:,} for the CPU, which has none; give memory, or device cuda"
        )
    if device.startswith("cuda"):
        opened: list[Device] = []
        try:
            for index in _indices(device):
                opened.append(CudaDevice(index, memory))
        except BaseException:
            close_devices(opened)
            raise
        return tuple(opened)
    chosen = _choose(device, n, note, memory)
    return () if chosen is None else (chosen,)


def open_of(device: str | Device | Sequence[Device]) -> tuple[Device, ...]:
    """Those that are open, of what stands for devices: none of a name."""
    if isinstance(device, str):
        return ()
    return tuple(device) if isinstance(device, (tuple, list)) else (cast(Device, device),)


def close_devices(devices: Sequence[Device]) -> None:
    """Give all of them back; never raises."""
    for device in devices:
        device.close()


def has_driver() -> bool:
    """Whether NVIDIA's driver is loaded now; the first program that asks for a GPU may load it."""
    return any(map(os.path.exists, _DRIVER_FILES))


#: the same, asked once a process: for what takes less time than to ask, and takes no GPU
had_driver = cache(has_driver)


def _indices(device: str) -> list[int]:
    return [int(name.partition(":")[2] or 0) for name in device.split(",")]


def _choose(device: str, n: int, note: Callable[[str], None], memory: int | None) -> Device | None:
    if device == "cpu" or not (had_driver() if n < MIN_ROWS else has_driver()):
        return None
    if find_spec("cupy") is None:
        note("device auto: cpu; there is a GPU, but not CuPy: install kernelfit[cuda12] or kernelfit[cuda13]")
        return None
    if n < MIN_ROWS:
        note(f"device auto: cpu, as {n:,} rows take less time than opening a GPU")
        return None
    opened: list[Device] = []
    try:
        opened.append(CudaDevice(0, memory))
        _try_out(opened[0])
    except DeviceError as error:
        close_devices(opened)
        note(f"device auto: cpu, as the GPU cannot be used ({error})")
        return None
    (gpu,) = opened
    note(f"device auto: {gpu.name} with {gpu.slab.capacity:,} bytes free, as {n:,} rows pay for it")
    return gpu


def _try_out(device: Device) -> None:
    """Compile and run a small kernel; raises `DeviceError` where headers of CUDA are missing, or the GPU is too old."""
    mark = device.slab.mark()
    device.set_identity(device.stream("main"), device.slab.take(1, 1, np.float64))
    device.synchronise()
    device.slab.release(mark)
