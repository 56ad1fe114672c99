"""Text is unpacked and decoded; what is no text is named."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernelfit.datasets import text_file
from kernelfit.datasets.table import read_columns, read_table
from kernelfit.datasets.table_columns import TableColumns
from kernelfit.errors import DataError

TEXT = "Größe,y\n1,0.5\n2,1.5\n"


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        ("", bytes),
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".xz", lzma.compress),
        ("", gzip.compress),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"])
def test_packed_and_encoded_text(
    tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes], encoding: str
) -> None:
    path = tmp_path / f"a.csv{suffix}"
    path.write_bytes(pack(TEXT.encode(encoding)))
    rows = read_table(path)
    assert rows.X.tolist() == [[1], [2]]
    assert rows.columns is not None
    assert rows.columns.features == ("Größe",)
    assert any("was read as Latin-1" in note for note in rows.notes) == (encoding == "latin-1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04rest", "a zip archive or an Excel workbook; unpack it, or save it as CSV"),
        (b"\xd0\xcf\x11\xe0rest", "an Excel workbook; save it as CSV"),
        (b"\xef\xbb\xbf\n <!DOCTYPE html>\n<p>Log in", "a web page; fetch the file itself"),
        (b'[{"a": 1, "y": 2}]', "JSON; write it as CSV"),
        (b'[\n {"a": 1, "y": 2}]', "JSON; write it as CSV"),
        (b"PAR1rest", r"a Parquet file; call it \.parquet"),
        (b"\x89HDF\r\n", "an HDF5 file"),
        (TEXT.encode("utf-16-le"), "a zero byte at .* save it as UTF-8"),
        (gzip.compress(b"1,2\n" * 99, mtime=0)[:-9], "a file that ends too early"),
        (b"\x1f\x8bnothing", "ends too early"),
        (gzip.compress(TEXT.encode(), mtime=0)[:12] + bytes(40), "does not decode"),
    ],
)
def test_what_is_no_text_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_table(path)
    assert "\n" not in str(caught.value)


def test_the_sign_of_the_euro_is_that_of_windows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("in €,“y”\n1,0.5\n2,1.5\n".encode("cp1252"))
    rows = read_table(path)
    assert rows.columns is not None
    assert rows.columns.every == ("in €", "“y”")
    assert any("was read as Windows-1252; where words look wrong" in note for note in rows.notes)
    path.write_bytes("味,y\n1,0.5\n2,1.5\n".encode("shift-jis"))
    assert any("was read as" in note for note in read_table(path).notes)


def test_a_line_without_an_end_takes_no_memory(
    tmp_path: Path, memory_below: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_file, "_LONGEST_LINE", 1 << 16)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"1,2,3\n" + bytes([48]) * (24 << 20), 1))
    with (
        memory_below(8 << 20),
        pytest.raises(DataError, match="lines below 65536 letters, found more in line 2"),
    ):
        read_table(tmp_path / "a.csv.gz")


def test_a_quote_within_a_cell_is_a_letter(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('a,y\n1,24" screen\n2,plain\n3,24" screen\n')
    assert read_table(path).class_names == ('24" screen', "plain")


def test_bytes_past_the_first_block_decide_the_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_file, "_BLOCK", 16)
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,y\n" + b"1,x\n" * 20 + "2,é\n".encode("latin-1"))
    rows = read_table(path)
    assert rows.class_names == ("x", "é")


def test_an_empty_line_of_one_column_is_said(tmp_path: Path) -> None:
    """A row that was left out in silence moved the ids of those below it."""
    path, columns = tmp_path / "a.csv", TableColumns(("x",), None, ("x",), named=True)
    path.write_text("\nx\n1\n\n  \n3\n\n")
    rows = read_columns(path, columns)
    assert rows.X.tolist() == [[1], [3]]
    assert rows.notes == ("a.csv: 2 lines without any value are left out",)
    path.write_text("x,y\n\n1,2\n\n3,4\n\n")  # nothing is missing from these
    assert read_columns(path, TableColumns(("x", "y"), None, ("x", "y"), named=True)).notes == ()


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_a_line_of_nothing_but_delimiters_is_a_row_to_predict(tmp_path: Path, mark: str) -> None:
    """It was left out, of tabs in silence, and predictions stood beside other rows of the user's file."""
    path, text = tmp_path / "a.csv", "id,a,b,y\n7,1,2,x\n,,,\n9,3,4,z\n,,\n".replace(",", mark)
    path.write_text(f"{mark}\n{text}")
    trained = read_table(path)
    assert trained.X.tolist() == [[7, 1, 2], [9, 3, 4]]
    assert "a.csv: 3 lines without any value are left out" in trained.notes
    rows = read_columns(path, TableColumns(("a", "b"), None, ("a", "b"), named=True))
    np.testing.assert_array_equal(rows.X, [[1, 2], [np.nan] * 2, [3, 4], [np.nan] * 2])
    assert (rows.ids, list(rows.lines or ())) == (("7", "", "9", ""), [3, 4, 5, 6])
    # It has no words either: an empty one may be a category.
    path.write_text("a,b\nu,v\n,\n")
    words = TableColumns(("a", "b"), None, ("a", "b"), named=True, categories=(("", "u"), ("v",)))
    np.testing.assert_array_equal(read_columns(path, words).X, [[0, 1, 1], [np.nan] * 3])


@pytest.mark.parametrize("line", [r'"5\"",1', r'1,"5\" wide"', r'"5\"","6\""', r'"5\"" ,1'])
def test_quotes_after_backslashes_are_refused(tmp_path: Path, line: str) -> None:
    """As Spark writes them: two lines were one, and half of the rows were lost."""
    path = tmp_path / "a.csv"
    path.write_text("a,y\n7,1\n" + f"{line}\n" * 4)
    with pytest.raises(
        DataError, match=r'doubled, "", found a backslash before one in line 3; .*escapechar='
    ):
        read_table(path)


@pytest.mark.parametrize("cell", ['"C:\\"', '"C:\\"""', "C:\\", '5\\"'])
def test_backslashes_are_letters(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,y\n" + f"{cell},1\n" * 4)
    assert len(read_table(path).X) == 4


def test_what_excel_could_not_compute_is_a_cell_and_no_comment(tmp_path: Path) -> None:
    """Rows that began so were left out, as comments."""
    path = tmp_path / "a.csv"
    path.write_text("a,b,y\n1,2,0.5\n#DIV/0!,2,1\n3,4,2\n#N/A,5,1\n5,1,2\n6,1,3\n")
    with pytest.raises(DataError, match=r"found '#DIV/0!' in line 3.*found '#N/A' in line 5"):
        read_table(path)
    path.write_text("a,b,y\n1,2,0.5\n#REF is a comment\n3,4,2\n")
    assert len(read_table(path).X) == 2
