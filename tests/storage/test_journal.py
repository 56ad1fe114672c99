"""The journal: what is written is read back, a torn end is dropped, nothing else is believed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelfit.errors import DataError, StorageError
from kernelfit.storage import journal
from kernelfit.storage.journal import Journal, PanelRecord

HEADER = {"identity": {"rows": "r"}, "offsets": [0, 4096]}
PANELS = [
    PanelRecord(0, ((0, 3, 17), (3, 5, 2**32 - 1)), (0.5, 1.5)),
    PanelRecord(1, ((2, 5, 0),), (0.0, 0.0)),
]


def written(path: Path) -> bytes:
    made = Journal.create(path, HEADER)
    for panel in PANELS:
        made.append(panel.to_dict())
    made.append({"solution": "d"})
    made.sync()
    made.close()
    return path.read_bytes()


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    data = written(tmp_path / "journal")
    contents = journal.read(tmp_path / "journal")
    assert contents.header is not None
    assert contents.header["offsets"] == [0, 4096]
    assert contents.panels == PANELS
    assert contents.solutions == ["d"]
    assert (contents.torn, contents.damage, contents.length) == (False, None, len(data))
    assert contents.ends[-1] < len(data)
    assert journal.parse(data[: contents.ends[0]]).panels == PANELS[:1]


def test_an_absent_journal_says_nothing(tmp_path: Path) -> None:
    assert journal.read(tmp_path / "journal") == journal.Contents()
    assert journal.parse(b"") == journal.Contents()


def test_a_torn_end_is_dropped_wherever_it_is_torn(tmp_path: Path) -> None:
    data = written(tmp_path / "journal")
    whole = journal.parse(data)
    for length in range(len(data)):
        contents = journal.parse(data[:length])
        assert contents.damage is None
        assert contents.panels == whole.panels[: len(contents.panels)]
        assert contents.torn == (length != contents.length)
        assert length - contents.length < max(len(line) for line in data.splitlines(keepends=True))


def test_one_flipped_bit_hides_its_line_and_what_follows(tmp_path: Path) -> None:
    data = written(tmp_path / "journal")
    whole = journal.parse(data)
    starts = np.cumsum([0, *map(len, data.splitlines(keepends=True))])
    for place in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[place] ^= 1 << bit
            contents = journal.parse(bytes(damaged))
            line = int(np.searchsorted(starts, place, side="right")) - 1
            if (damaged[place : place + 1].isalpha() and data[place : place + 1].isalpha()) and bit == 5:
                continue  # the checksum's hexadecimal digits may be upper case
            assert contents.length <= starts[line], (place, bit)
            assert contents.panels == whole.panels[: len(contents.panels)]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_exception(data: bytes) -> None:
    contents = journal.parse(data)
    assert contents.length <= len(data)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(["panel", "solution", "format", "checksums", "seconds"]),
)
def test_any_record_with_a_right_checksum_is_read_without_an_exception(value: object, key: str) -> None:
    head = journal.line({"format": journal.FORMAT, "version": 1, **HEADER})
    forged = {**PANELS[0].to_dict(), key: value}
    contents = journal.parse(head + journal.line(forged))
    assert contents.header is not None
    assert len(contents.panels) <= 1


def test_a_record_out_of_order_is_damage() -> None:
    head = journal.line({"format": journal.FORMAT, "version": 1, **HEADER})
    contents = journal.parse(head + journal.line(PANELS[1].to_dict()))
    assert contents.damage is not None
    assert "expected panel 0" in contents.damage


def test_nesting_without_end_is_damage() -> None:
    text = b'{"a":' * 100_000
    import zlib

    contents = journal.parse(b"%08x %s\n" % (zlib.crc32(text), text))
    assert contents.header is None


def test_a_journal_of_another_version_is_not_read() -> None:
    contents = journal.parse(journal.line({"format": journal.FORMAT, "version": 99, **HEADER}))
    assert contents.header is None
    assert contents.damage is not None
    assert "99" in contents.damage


def test_a_file_too_long_to_be_a_journal_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "journal", "wb") as file:
        file.truncate(2**40)
    with pytest.raises(DataError, match="no journal is that long"):
        journal.read(tmp_path / "journal")


def test_a_folder_in_its_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    with pytest.raises(StorageError, match="journal"):
        journal.read(tmp_path / "journal")
