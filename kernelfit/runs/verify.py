"""Whether the panels of a factor are what the journal recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kernelfit.errors import DataError, StorageError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.plan import Plan
from kernelfit.gram.precision import precision_of
from kernelfit.progress import Progress
from kernelfit.storage.journal import Contents, PanelRecord
from kernelfit.storage.panel_file import PanelFile
from kernelfit.storage.write_behind import checksum

# HDF5's metadata take less than this for each panel, alignment included.
_METADATA = 65_536


def open_factor(path: Path, plan: Plan, contents: Contents, *, writable: bool) -> PanelFile | None:
    """The factor's file with the offsets that the journal has; None where there is no such file."""
    layout, dtype = plan.layout, precision_of(plan.precision).factor
    offsets = (contents.header or {}).get("offsets")
    if (
        not isinstance(offsets, list)
        or len(offsets) != layout.count
        or not all(isinstance(offset, int) for offset in offsets)
        or not _disjoint(offsets, layout, dtype)
    ):
        raise DataError(
            f"{path.parent}: its journal does not say where the panels are; start again in another folder"
        )
    if not path.exists():
        return None
    return PanelFile(path, layout, dtype, offsets, writable=writable)


def _disjoint(offsets: list[int], layout: PanelLayout, dtype: np.dtype[Any]) -> bool:
    """Whether panels at these offsets lie beside each other in a file that is not much larger than they are."""
    sizes = [rows * columns * dtype.itemsize for rows, columns in map(layout.shape, range(layout.count))]
    position = 0
    for offset, size in sorted(zip(offsets, sizes, strict=True)):
        if offset < position:
            return False
        position = offset + size
    return position <= sum(sizes) + _METADATA * (layout.count + 1)


def verify(file: PanelFile, records: list[PanelRecord], progress: Progress) -> tuple[int, str | None]:
    """How many panels, from the first on, are what the journal recorded, and what is wrong with the next one."""
    layout = file.layout
    total = sum(layout.shape(j)[0] * layout.shape(j)[1] for j in range(min(len(records), layout.count)))
    with progress.phase("verify", float(total * file.dtype.itemsize), "bytes") as advance:
        for record in records:
            fault = _fault(file, record, advance)
            if fault is not None:
                return record.j, f"{file.path}: panel {record.j} {fault}"
    return len(records), None


def _fault(file: PanelFile, record: PanelRecord, advance: Any) -> str | None:
    layout, row = file.layout, 0
    if record.j >= layout.count:
        return f"is beyond the last, {layout.count - 1}"
    row, width = layout.start(record.j), layout.shape(record.j)[1]
    for first, stop, expected in record.checksums:
        if first != row or not first < stop <= layout.n:
            return f"is recorded with rows {first} to {stop}, expected them from {row} on"
        block = np.empty((stop - first, width), file.dtype)
        try:
            file.read(record.j, (first, stop), block)
        except StorageError as error:
            return f"cannot be read ({error})"
        if checksum(block) != expected:
            return f"does not match its checksum in rows {first} to {stop - 1}"
        advance(float(block.nbytes))
        row = stop
    return None if row == layout.n else f"is recorded up to row {row}, expected {layout.n}"
