"""Sums of Gram matrices over blocks of features in a file: unfinished or finished.

A finished one holds K of the training rows in packed panels, which `StoredGram` reads as they are needed, the test
rows' kernel and their squared lengths. The file appears whole or stays as it was, and nothing is read before its
checksum has been verified.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import DataError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.source import StoredGram
from kernelfit.storage import hdf5
from kernelfit.storage.hdf5 import Extent
from kernelfit.storage.panel_file import PanelFile
from kernelfit.typing import Float

FORM = "kernelfit Gram of features"
VERSION = 2
_REMEDY = "remove it to begin again"


@dataclass(frozen=True)
class SumsRecord:
    """Sums over the first `done` of `of` filters.

    `identity` says of what; `remembered` is JSON for whoever resumes them; `seconds` went by so far.
    """

    done: int
    of: int
    identity: dict[str, Any]
    remembered: dict[str, Any]
    seconds: dict[str, float]

    @property
    def finished(self) -> bool:
        return self.done == self.of


@dataclass(frozen=True)
class StoredSums(SumsRecord):
    """Sums in the file `path`, whose arrays lie at `extents`."""

    path: Path
    layout: PanelLayout
    extents: dict[str, Extent]

    def panels(self) -> list[NDArray[Any]]:
        """Every panel, in memory."""
        file = self._panel_file()
        try:
            panels = []
            for j in range(self.layout.count):
                panel = np.empty(self.layout.shape(j), file.dtype)
                file.read(j, (self.layout.start(j), self.layout.n), panel)
                panels.append(panel)
            return panels
        finally:
            file.close()

    def cross(self) -> NDArray[Any]:
        """(m, n), in memory."""
        return self._array("cross")

    def test_sq_norms(self) -> Float:
        """(m,), in memory."""
        return self._array("test_sq_norms")

    def _array(self, name: str) -> NDArray[Any]:
        extent = self.extents[name]
        if extent.offset < 0:  # HDF5 gives no bytes to an array without rows
            return np.zeros(extent.shape, extent.dtype)
        with open(self.path, "rb") as file:
            file.seek(extent.offset)
            return np.fromfile(file, extent.dtype, int(np.prod(extent.shape))).reshape(extent.shape)

    def gram(self) -> StoredGram:
        """K, read as it is needed; the file may lose its name meanwhile, but must not change."""
        return StoredGram(self._panel_file())

    def _panel_file(self) -> PanelFile:
        extents = [self.extents[_panel(j)] for j in range(self.layout.count)]
        offsets = [extent.offset for extent in extents]
        return PanelFile(self.path, self.layout, extents[0].dtype, offsets, writable=False)


def write(
    path: Path,
    layout: PanelLayout,
    panels: list[NDArray[Any]],
    cross: NDArray[Any],
    test_sq_norms: Float,
    record: SumsRecord,
) -> None:
    """Store sums in `path`, which appears whole or stays as it was. Raises `StorageError`."""
    meta = {**asdict(record), "layout": [layout.n, layout.width]}
    arrays = {_panel(j): panel for j, panel in enumerate(panels)}
    arrays |= {"cross": cross, "test_sq_norms": test_sq_norms}
    hdf5.write(path, form=FORM, version=VERSION, meta=meta, arrays=arrays)


def read(path: Path) -> StoredSums:
    """The sums in a file, whose checksum is verified. Raises `DataError`."""
    meta, extents = hdf5.locate(path, form=FORM, version=VERSION, remedy=_REMEDY)
    try:
        layout = PanelLayout(*(int(value) for value in meta["layout"]))
        sums = StoredSums(
            int(meta["done"]),
            int(meta["of"]),
            dict(meta["identity"]),
            dict(meta["remembered"]),
            {name: float(value) for name, value in meta["seconds"].items()},
            path,
            layout,
            extents,
        )
        dtypes = {extents[_panel(j)].dtype for j in range(layout.count)}
        sound = (
            0 <= sums.done <= sums.of
            and 1 <= layout.width <= layout.n
            and len(dtypes) == 1
            and all(extents[_panel(j)].shape == layout.shape(j) for j in range(layout.count))
            and all(extents[_panel(j)].offset > 0 for j in range(layout.count))
            and extents["cross"].shape[1:] == (layout.n,)
            and extents["test_sq_norms"].shape == extents["cross"].shape[:1]
            and extents["test_sq_norms"].dtype == np.float64
        )
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise DataError(
            f"{path}: not a readable {FORM} ({type(error).__name__}: {error}); {_REMEDY}"
        ) from None
    if not sound:
        raise DataError(f"{path}: its panels do not fit each other; {_REMEDY}")
    return sums


def _panel(j: int) -> str:
    return f"panel{j:05d}"
