"""The restricted unpickler: batches come through, programs do not."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernelfit.datasets.pickled import read_pickled_batch
from kernelfit.errors import DataError

ARRAY = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.mark.parametrize("protocol", range(5))
def test_a_batch_comes_through_in_every_protocol_up_to_4(protocol: int) -> None:
    batch = {"data": ARRAY, "labels": [1, 2, 3], "batch_label": "training batch 1 of 5"}
    loaded = read_pickled_batch(pickle.dumps(batch, protocol), "batch")
    np.testing.assert_array_equal(loaded["data"], ARRAY)
    assert loaded["labels"] == [1, 2, 3]


def test_a_batch_as_python_2_wrote_it_comes_through() -> None:
    content = (
        b"\x80\x02}q\x01(U\x06labelsq\x04]q\x05(K\x06K\x09eU\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\n"
        b"q\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01bq\x09\x87Rq\x0a(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\x0bU\x02u1K\x00"
        b"K\x01\x87Rq\x0c(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x06abcdeftbu."
    )
    loaded = read_pickled_batch(content, "batch")
    assert loaded["labels"] == [6, 9]
    assert loaded["data"].tobytes() == b"abcdef"
    assert loaded["data"].shape == (2, 3)


def test_a_fortran_ordered_array_keeps_its_places() -> None:
    loaded = read_pickled_batch(pickle.dumps({"data": np.asfortranarray(ARRAY)}, 2), "batch")
    np.testing.assert_array_equal(loaded["data"], ARRAY)


class Touch:
    """Pickles into a call of os.system."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


class Evaluate:
    """Pickles into a call of a builtin."""

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("1 + 1",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_hostile_pickle_runs_nothing(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "owned"
    for payload in (Touch(target), {"data": Touch(target)}, {"data": [Touch(target)]}, Evaluate()):
        with pytest.raises(DataError, match="a pickle where it imports") as caught:
            read_pickled_batch(pickle.dumps(payload, protocol), "batch")
        assert "\n" not in str(caught.value)
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "it imports os.system"),
        (b"cnumpy\nload\n(S'x.npy'\ntR.", "it imports numpy.load"),
        (b"cnumpy.core.multiarray\nfromfile\n.", "it imports numpy.core.multiarray.fromfile"),
        (b"(S'true'\nios\nsystem\n.", "opcode INST"),
        (b"\x80\x02cos\nsystem\n)\x81.", "opcode NEWOBJ"),
        (b"\x80\x02\x82\x01.", "opcode EXT1"),
        (b"Pname\n.", "opcode PERSID"),
        (b"\x80\x02}.}.", "2 bytes follow its end"),
        (b"\x80\x02].", "it holds a list"),
        (b"", "a pickle where"),
        (b"not a pickle", "a pickle where"),
        (b"\x80\x02}U\x01aK\x01s", "a pickle where"),
        (b"\x80\x02}K\x01K\x01s.", "a key is a int"),
    ],
)
def test_other_programs_and_wrecks_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_pickled_batch(content, "batch")


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02}r" + struct.pack("<I", 0x3FFFFFFF) + b".",  # a memo of a billion entries
        b"}p1000000000\n.",
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"abc.",  # bytes of a terabyte
        b"\x80\x02T" + struct.pack("<i", 0x7FFFFFFF) + b"abc.",
        b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"}.",  # a frame of an exabyte
    ],
)
def test_a_forged_size_allocates_nothing(content: bytes, memory_below: Any) -> None:
    with memory_below(4 << 20), pytest.raises(DataError):
        read_pickled_batch(content, "batch")


def test_an_array_whose_shape_is_forged_is_refused() -> None:
    content = pickle.dumps({"data": ARRAY}, 2).replace(b"K\x03K\x04\x86", b"K\xffK\x04\x86")
    with pytest.raises(DataError, match=r"an array of shape \(255, 4\) has 12 bytes"):
        read_pickled_batch(content, "batch")
    content = pickle.dumps({"data": ARRAY}, 2).replace(
        b"K\x03K\x04\x86", b"J\xfd\xff\xff\xffJ\xfc\xff\xff\xff\x86"
    )
    with pytest.raises(DataError, match="no bytes or no shape"):
        read_pickled_batch(content, "batch")
