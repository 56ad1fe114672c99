"""Which device a solve runs on: what was asked for, or with `auto` what is there and pays."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from kernelfit.device.protocol import Device
from kernelfit.errors import DeviceError, InputError

#: below this order opening a card takes longer than it saves
WORTH_A_CARD = 4_096
_CUDA = re.compile(r"cuda(:\d{1,3})?(,cuda:\d{1,3})*")
_DRIVER = Path("/proc/driver/nvidia/version")


def check_device(device: str | Device | Sequence[Device]) -> None:
    """Raise `InputError` for what names no device."""
    if not isinstance(device, str) or device in ("auto", "cpu"):
        return
    if _CUDA.fullmatch(device) is None:
        raise InputError(
            f"device: got {device!r}, expected auto, cpu, cuda or cuda:0, cuda:1, ..., or several: cuda:0,cuda:1"
        )
    indices = _indices(device)
    if len(set(indices)) < len(indices):
        raise InputError(f"device: got {device!r}, expected each card once")


def open_device(
    device: str | Device, n: int, note: Callable[[str], None], memory: int | None = None
) -> Device | None:
    """The device to use, or None for the CPU, as `open_devices`, for work that one device does."""
    opened = open_devices(device, n, note, memory)
    if len(opened) > 1:
        for one in opened:
            one.close()
        raise InputError(f"device: got {device!r}, expected one card: features are summed on one")
    return opened[0] if opened else None


def open_devices(
    device: str | Device | Sequence[Device], n: int, note: Callable[[str], None], memory: int | None = None
) -> tuple[Device, ...]:
    """The devices to use, none for the CPU. `auto` says through `note` what it chose, where there was a choice.

    `memory` are the bytes of each card to stay within; by default what is free. Raises `DeviceError` where a card was
    asked for and cannot be had.
    """
    check_device(device)
    if not isinstance(device, str):
        if memory is not None:
            raise InputError(
                "device_memory: the device is open already, with memory of its own; leave one out"
            )
        return tuple(device) if isinstance(device, (tuple, list)) else (cast(Device, device),)
    if device == "cpu" and memory is not None:
        raise InputError("device_memory: given for the CPU, which has none; give --memory, or --device cuda")
    if device.startswith("cuda"):
        opened: list[Device] = []
        try:
            for index in _indices(device):
                opened.append(_open(index, memory))
        except BaseException:
            for one in opened:
                one.close()
            raise
        return tuple(opened)
    chosen = _choose(device, n, note, memory)
    return () if chosen is None else (chosen,)


def _indices(device: str) -> list[int]:
    return [int(name.partition(":")[2] or 0) for name in device.split(",")]


def _choose(device: str, n: int, note: Callable[[str], None], memory: int | None) -> Device | None:
    if device == "cpu" or not _DRIVER.exists():
        return None
    if find_spec("cupy") is None:
        note(
            "device auto: cpu; there is a card, but not CuPy: install kernelfit[cuda12] or kernelfit[cuda13]"
        )
        return None
    if n < WORTH_A_CARD:
        note(f"device auto: cpu, as {n:,} rows take less time than opening a card")
        return None
    try:
        opened = _open(0, memory)
    except DeviceError as error:
        note(f"device auto: cpu, as the card cannot be used ({error})")
        return None
    note(f"device auto: {opened.name} with {opened.slab.capacity:,} bytes free, as {n:,} rows pay for it")
    return opened


def _open(index: int, capacity: int | None) -> Device:
    from kernelfit.device.cuda import CudaDevice

    return CudaDevice(index, capacity)
