"""Work that the CPU alone does: a device beside it is noted, and given back where it is open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kernelfit.device.choose import open_of
from kernelfit.device.protocol import Device
from kernelfit.gram.protocol import GramSource
from kernelfit.progress import Notes
from kernelfit.solver.device_plan import close_all
from kernelfit.solver.resources import Resources

#: the note on a device beside an iteration
OF_ITERATIONS = "device: ignored, as iterations run on the CPU"
#: that beside the primal path
OF_WEIGHTS = "device: ignored, as weights of least norm are computed on the CPU"


def of_sparse_rows(device: Any) -> str:
    """The note on a device beside sparse rows."""
    name = device if isinstance(device, str) else "+".join(each.name for each in open_of(device))
    return f"device {name}: sparse rows are multiplied on the CPU; make X dense for a device"


def ignoring_device(resources: Resources, source: GramSource, note: str, notes: Notes) -> Resources:
    """The same on the CPU: with that note where a device was asked for, and what is open closed."""
    if resources.device not in ("auto", "cpu") or resources.device_memory is not None:
        notes.add(note)
    give_back(resources.device, source)
    return replace(resources, device="cpu", device_memory=None)


def give_back(device: str | Device | Sequence[Device], source: GramSource) -> None:
    """Close open devices but the one that holds K."""
    close_all(open_of(device), source)
