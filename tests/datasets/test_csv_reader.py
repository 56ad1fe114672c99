"""CSV files: header and label column are found, bad cells are named by line and column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kernelfit.datasets.csv import read_csv
from kernelfit.errors import DataError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "X", "y"),
    [
        ("1,2,0\n3,4,1\n", [[1, 2], [3, 4]], [0, 1]),
        ("a,b,c\n1,2,0\n3,4,1\n", [[1, 2], [3, 4]], [0, 1]),
        ("label,b,c\n0,1,2\n1,3,4\n", [[1, 2], [3, 4]], [0, 1]),
        ("a,Y,b\n1,0,2\n", [[1, 2]], [0]),
        ("y,target,b\n9,0,2\n", [[9, 2]], [0]),
        ("0,1,label\n7,8,0\n", [[7, 8]], [0]),
        ("1;2;0\n3;4;1", [[1, 2], [3, 4]], [0, 1]),
        ("1\t2.5e3\t0.5\n", [[1, 2500]], [0.5]),
        ('\ufeff"a","b, or c","y"\r\n1,2,3\r\n', [[1, 2]], [3]),
        ("\n\na,b\n\n1,2\n\n3,4\n", [[1], [3]], [2, 4]),
        (" a , target , b \n1, 2, 3\n", [[1, 3]], [2]),
        ("-1,+2,1e-3\n", [[-1, 2]], [0.001]),
    ],
)
def test_rows_and_labels(tmp_path: Path, text: str, X: list[list[float]], y: list[float]) -> None:
    rows, test = read_csv(written(tmp_path, text))
    assert test is None
    assert rows.X.tolist() == X
    assert rows.y.tolist() == y
    assert rows.X.dtype == np.float64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        ("\n \n", "an empty file"),
        ("1\n2\n", "at least 2 columns"),
        ("a,b\n", "rows under the header, found none"),
        (
            "1,2,cat\n3,4,dog\n",
            r"label column '2', found text \('cat' in line 1\); encode .* KernelClassifier",
        ),
        ("a,b,species\n1,2,cat\n", r"label column 'species', found text \('cat' in line 2\)"),
        ("name,a,label\nbob,2,1\n", "a number in column 'name', found 'bob' in line 2; encode or drop"),
        ("a,b,y\n1,2,0\n3,,1\n", "a number in column 'b', found an empty cell in line 3"),
        ("a,b,y\n1,2,0\n\n3,x,1\n", "a number in column 'b', found 'x' in line 4"),
        ("1,,0\n3,4,1\n", "a number in column '1', found an empty cell in line 1"),
        ("NA,2,0\n3,4,1\n", "a number in column '0', found 'NA' in line 1"),
        ("a,b,y\n1,2,\n", "a number in column 'y', found an empty cell in line 2"),
        ("1,2,0\n3,4\n", "3 columns as in the first line, found 2 in line 2"),
        ("1,2,0\n3,4,5,6\n", "3 columns as in the first line, found 4 in line 2"),
        ("a,b,y\n1,nan,0\n", "finite numbers in the features, found nan in row 0, column 'b'"),
        ("a,b,y\n1,2,0\n1,2,-inf\n", "finite numbers in the labels, found -inf in row 1, column 'y'"),
    ],
)
def test_a_bad_file_is_named_by_line_and_column(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        read_csv(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("first", ["", "Unnamed: 0", "Id", "index"])
def test_the_index_that_pandas_writes_is_no_feature(tmp_path: Path, first: str) -> None:
    rows, _ = read_csv(written(tmp_path, f"{first},a,price\n0,5,0.5\n1,6,0.25\n"))
    assert rows.X.tolist() == [[5], [6]]
    assert rows.columns == ("a",)
    assert rows.target == "price"
    assert any("counts the rows and is left out" in note for note in rows.notes)
    rows, _ = read_csv(written(tmp_path, f"{first},a,price\n1,5,0.5\n2,6,0.25\n"))
    assert rows.X.tolist() == [[5], [6]]
    rows, _ = read_csv(written(tmp_path, f"{first},a,price\n0,5,0.5\n3,6,0.25\n"))
    assert rows.X.shape == (2, 2)


def test_the_label_is_said(tmp_path: Path) -> None:
    rows, _ = read_csv(written(tmp_path, "a,target,b\n1,2,3\n"))
    assert rows.notes == ("a.csv: the label is column 'target'",)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"1,2\n\xff\xfe,4\n")
    with pytest.raises(DataError, match="does not decode"):
        read_csv(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found no such file"):
        read_csv(tmp_path / "a.csv")
