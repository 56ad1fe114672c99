from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from kernelfit.datasets.hdf5 import read_hdf5
from kernelfit.errors import DataError


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words.h5"
    with h5py.File(path, "w") as file:
        file["X"] = np.arange(12.0).reshape(6, 2)
        file.create_dataset("y", data=["cat", "a dog", "cat", "a dog", "a", "cat"], dtype=h5py.string_dtype())
    return path


def test_words_are_read(words: Path) -> None:
    rows, _ = read_hdf5(words)
    assert rows.class_names is not None
    assert [rows.class_names[label] for label in rows.y.ravel()] == [
        "cat",
        "a dog",
        "cat",
        "a dog",
        "a",
        "cat",
    ]


@pytest.mark.parametrize("index", [0, 1])
def test_a_heap_without_an_end_is_refused(words: Path, index: int) -> None:
    """The library reads such a heap for ever, and no signal or timeout of Python's ends that."""
    content = bytearray(words.read_bytes())
    first = content.find(b"GCOL") + 16
    size = 0 if index == 0 else 2**64 - 16
    content[first : first + 16] = index.to_bytes(2, "little") + bytes(6) + size.to_bytes(8, "little")
    words.write_bytes(content)
    with pytest.raises(DataError, match=rf"expected a heap of words that ends, found .* byte {first}"):
        read_hdf5(words)
