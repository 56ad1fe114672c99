"""Whatever bytes a reader meets, it returns rows or raises DataError, and takes little memory doing so."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from kernelfit.datasets.archive import read_archive
from kernelfit.datasets.cifar import (
    decode_binary,
    decode_python,
    read_binary_batch,
    read_python_batch,
)
from kernelfit.datasets.hdf5 import read_hdf5
from kernelfit.datasets.idx import read_idx
from kernelfit.datasets.image_folder import read_image_folder
from kernelfit.datasets.npz import read_npz
from kernelfit.datasets.table import read_table
from kernelfit.errors import DataError

# The fuzzed files hold a few kilobytes; a forged size would ask for thousands of times this.
MEMORY_LIMIT = 48 << 20

X = np.arange(24, dtype=np.float64).reshape(6, 4)
y = np.array([0, 1, 2, 0, 1, 2])


def saved_npz(save: Callable[..., None], **arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    save(stream, **arrays)
    return stream.getvalue()


def saved_hdf5(words: bool = False, **options: Any) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_dataset("X", data=X, **options)
        file.create_dataset("y", data=["a", "b", "c"] * 2 if words else y)
    return stream.getvalue()


def saved_image(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(stream, kind)
    return stream.getvalue()


def seeds(files: Any) -> dict[str, list[bytes]]:
    """Valid files of each format, from which mutations start."""
    idx = files.idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    batches = {
        f"cifar-10-batches-py/{name}": files.cifar_pickle(1) for name in ("data_batch_1", "test_batch")
    }
    return {
        "idx": [idx, gzip.compress(idx)],
        "cifar binary": [files.cifar_binary(2)],
        "cifar pickle": [files.cifar_pickle(2)],
        "cifar archive": [
            files.tar_gz(batches),
            gzip.compress(gzip.decompress(files.tar_gz(batches))[:9000]),
        ],
        "npz": [
            saved_npz(np.savez, X=X, y=y),
            saved_npz(np.savez, data=X, target=np.array(list("abcabc"))),
            saved_npz(np.savez_compressed, x_train=X, y_train=y),
        ],
        "hdf5": [saved_hdf5(), saved_hdf5(chunks=(2, 2), compression="gzip"), saved_hdf5(words=True)],
        "csv": [
            b"a,b,label\n1,2,0\n3,4,1\n",
            b"1;2;3\n4;5;6\n",
            b'"x"\t"y"\n1e3\tnan\n',
            b"1,5;2;ja\n0,25;3;nein\n",
            b'# a comment\nid a y\n1  2 "p q"\n2  3 r\n',
            gzip.compress(b"a,y\n1,2\n3,4\n"),
            "a,y\n1,é\n".encode("utf-16"),
        ],
        "image": [saved_image("PNG"), saved_image("JPEG"), saved_image("BMP"), saved_image("PPM")],
    }


ARCHIVED = ("data_batch_1", "test_batch")
READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "idx": ("file", lambda path: read_idx(path, 3)),
    "cifar binary": ("file.bin", read_binary_batch),
    "cifar pickle": ("data_batch_1", read_python_batch),
    "cifar archive": ("file.tar.gz", lambda path: read_archive(path, ARCHIVED, decode_python)),
    "npz": ("file.npz", read_npz),
    "hdf5": ("file.h5", read_hdf5),
    "csv": ("file.csv", read_table),
    "image": ("class/file.png", lambda path: read_image_folder(path.parents[1])),
}


@st.composite
def mutated(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """A valid file with some bytes changed, cut, repeated or inserted; sometimes arbitrary bytes."""
    content = bytearray(draw(st.sampled_from([*originals, b""])))
    if not content:
        return draw(st.binary(max_size=300))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(content)))
        match draw(st.sampled_from(("change", "cut", "insert", "repeat", "large"))):
            case "change":
                content[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "cut":
                del content[at : at + draw(st.integers(1, 1000))]
            case "insert":
                content[at:at] = draw(st.binary(min_size=1, max_size=8))
            case "repeat":
                content[at:at] = content[at : at + 64]
            case "large":
                content[at : at + 4] = b"\x7f\xff\xff\xff"
    return bytes(content)


def survives(read: Callable[[Path], Any], path: Path, content: bytes, memory_below: Any) -> None:
    """Read `content`; fail on anything but a result or a one-line DataError, and on much memory."""
    path.write_bytes(content)
    message = ""
    with memory_below(MEMORY_LIMIT):
        try:
            read(path)
        except DataError as error:
            message = str(error)
    assert "\n" not in message


FUZZ = settings(
    deadline=None,
    database=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)


@pytest.mark.parametrize("name", list(READERS))
def test_mutated_and_arbitrary_files_never_escape_dataerror(name: str, files: Any, memory_below: Any) -> None:
    file_name, read = READERS[name]
    path = files.path(file_name)
    originals = seeds(files)[name]

    @settings(FUZZ, max_examples=120)
    @given(content=mutated(originals))
    def fuzz(content: bytes) -> None:
        survives(read, path, content, memory_below)

    fuzz()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", list(READERS))
def test_ten_thousand_mutated_files_never_escape_dataerror(name: str, files: Any, memory_below: Any) -> None:
    file_name, read = READERS[name]
    path = files.path(file_name)
    originals = seeds(files)[name]

    @settings(FUZZ, max_examples=10_000)
    @given(content=mutated(originals))
    def fuzz(content: bytes) -> None:
        survives(read, path, content, memory_below)

    fuzz()


@pytest.mark.parametrize("name", list(READERS))
def test_the_unmutated_files_are_read(name: str, files: Any) -> None:
    file_name, read = READERS[name]
    path = files.path(file_name)
    for content in seeds(files)[name][:1]:
        path.write_bytes(content)
        assert read(path) is not None


def test_decode_binary_refuses_the_label_ten(files: Any) -> None:
    content = bytearray(files.cifar_binary(2))
    content[3073] = 10
    with pytest.raises(DataError, match="label 10 in row 1"):
        decode_binary(bytes(content), files.folder)
