"""Sums of a Gram matrix in a file: what was written, nothing that does not belong together."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from kernelfit.errors import DataError, StorageError
from kernelfit.gram.layout import PanelLayout
from kernelfit.storage import hdf5
from kernelfit.streaming import gram_file

LAYOUT = PanelLayout(23, 5)


def panels(rng: np.random.Generator, dtype: str) -> list[np.ndarray]:
    return [rng.standard_normal(LAYOUT.shape(j)).astype(dtype) for j in range(LAYOUT.count)]


def write(path: Path, held: list[np.ndarray], cross: np.ndarray, **change: Any) -> None:
    given: dict[str, Any] = {
        "done": 3,
        "of": 7,
        "identity": {"a": 1},
        "remembered": {},
        "seconds": {"gram": 2.0},
    }
    norms = np.arange(len(cross), dtype=float)
    gram_file.write(path, LAYOUT, held, cross, norms, gram_file.SumsRecord(**{**given, **change}))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m", [0, 4])
def test_reads_what_was_written(tmp_path: Path, rng: np.random.Generator, dtype: str, m: int) -> None:
    path, held, cross = tmp_path / "g.h5", panels(rng, dtype), rng.standard_normal((m, 23)).astype("float32")
    write(path, held, cross)
    stored = gram_file.read(path)
    assert (stored.done, stored.of, stored.finished) == (3, 7, False)
    assert (stored.identity, stored.seconds) == ({"a": 1}, {"gram": 2.0})
    assert all(np.array_equal(a, b) for a, b in zip(stored.panels(), held, strict=True))
    assert stored.panels()[0].dtype == dtype
    assert np.array_equal(stored.cross(), cross)
    assert np.array_equal(stored.test_sq_norms(), np.arange(m))
    gram = stored.gram()
    assert np.array_equal(gram.diagonal(), np.concatenate([np.diagonal(panel) for panel in held]))
    path.unlink()  # what is open stays readable
    assert gram.diagonal().shape == (23,)
    gram.close()
    write(path, held, cross, done=7)
    assert gram_file.read(path).finished


def test_anyone_can_open_it(tmp_path: Path, rng: np.random.Generator) -> None:
    held = panels(rng, "float64")
    write(tmp_path / "g.h5", held, np.zeros((1, 23), "float32"))
    with h5py.File(tmp_path / "g.h5") as file:
        assert np.array_equal(file["panel00001"][()], held[1])


@pytest.mark.parametrize(
    ("meta", "arrays"),
    [
        ({"done": 8}, {}),
        ({"layout": [23, 6]}, {}),
        ({"layout": [23]}, {}),
        ({"layout": [23, 0]}, {}),
        ({"seconds": None}, {}),
        ({}, {"panel00002": np.zeros((3, 3))}),
        ({}, {"panel00000": np.zeros((23, 5), "float32")}),
        ({}, {"cross": np.zeros((4, 22))}),
        ({}, {"cross": np.zeros(23)}),
        ({}, {"test_sq_norms": np.zeros(2)}),
        ({}, {"test_sq_norms": np.zeros(1, "float32")}),
    ],
)
def test_refuses_what_does_not_belong_together(
    tmp_path: Path, rng: np.random.Generator, meta: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    whole = {"done": 3, "of": 7, "layout": [23, 5], "identity": {}, "remembered": {}, "seconds": {}}
    held = {f"panel{j:05d}": panel for j, panel in enumerate(panels(rng, "float64"))}
    content = {**held, "cross": np.zeros((1, 23), "float32"), "test_sq_norms": np.zeros(1), **arrays}
    path = tmp_path / "g.h5"
    hdf5.write(path, form=gram_file.FORM, version=gram_file.VERSION, meta={**whole, **meta}, arrays=content)
    with pytest.raises(DataError, match="remove it to begin again"):
        gram_file.read(path)


@pytest.mark.parametrize("room", [0, 100, 600, 4_000, 5_000])
def test_a_full_disk_leaves_the_sums_that_were_there(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    path, held, cross = tmp_path / "g.h5", panels(rng, "float64"), np.zeros((4, 23), "float32")
    write(path, held, cross)
    before, system_write, left = path.read_bytes(), os.write, room

    def full(descriptor: int, data: Any) -> int:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = system_write(descriptor, memoryview(data)[:left])
        left -= written
        return written

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageError, match="cannot write: No space left on device; free space"):
        write(path, [2 * panel for panel in held], cross, done=5)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["g.h5"]
    assert gram_file.read(path).done == 3
