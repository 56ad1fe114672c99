"""Tables as text: header, label and features are found and said, bad cells are named by line and column."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from kernelfit.datasets import load
from kernelfit.datasets.file_options import FileOptions
from kernelfit.datasets.table import is_table, read_columns, read_table, stem_of
from kernelfit.datasets.table_columns import TableColumns
from kernelfit.errors import DataError, InputError


def written(tmp_path: Path, text: str, name: str = "a.csv") -> Path:
    path = tmp_path / name
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
        ("1|2|0.5\n3|4|1.5\n", [[1, 2], [3, 4]], [0.5, 1.5]),
        ("  1   2.5\t0.5\n 3  4 1\n", [[1, 2.5], [3, 4]], [0.5, 1]),
        ('\ufeff"a","b, or c","y"\r\n1,2,3\r\n', [[1, 2]], [3]),
        ("\n\na,b\n\n1,2\n\n3,4\n", [[1], [3]], [2, 4]),
        (" a , target , b \n1, 2, 3\n", [[1, 3]], [2]),
        ("-1,+2,1e-3\n", [[-1, 2]], [0.001]),
        ("a,b,y,\n1,2,3,\n4,5,6,\n", [[1, 2], [4, 5]], [3, 6]),
        ("1,2,3\r4,5,6\r", [[1, 2], [4, 5]], [3, 6]),
        ('"a\nb","y"\n"1","2"\n', [[1]], [2]),
        ("a,b,y,\n1,2,3\n4,5,6\n", [[1, 2], [4, 5]], [3, 6]),
        ("sep=;\na;y\n1;2\n", [[1]], [2]),
        ("a,y\nTrue,1\nFalse,2\n", [[1], [0]], [1, 2]),
        ("id,y\n1,0.5\n2,1.5\n", [[1], [2]], [0.5, 1.5]),  # there is no other feature
        ("a;y\n12,5 %;10%\n7 %;20%\n", [[12.5], [7]], [10, 20]),
        ("a;b;y\n12,5 %;1,234;1\n1,234 %;2,500;2\n", [[12.5, 1.234], [1.234, 2.5]], [1, 2]),
        ("y,row_id,a\n3,1,5\n4,2,6\n", [[5], [6]], [3, 4]),
        ('"a","b","y"\n"1",1,2,0.5\n"2",3,4,1.5\n', [[1, 2], [3, 4]], [0.5, 1.5]),
        ("no,y,a\n1,3,5.5,\n2,4,6.5,\n", [[1, 5.5], [2, 6.5]], [3, 4]),  # a delimiter more is no row name
        ('"a" "b" "y"\n"r1" 1 2 0.5\n"r2" 3 4 1.5\n', [[1, 2], [3, 4]], [0.5, 1.5]),  # R's write.table
    ],
)
def test_rows_and_labels(tmp_path: Path, text: str, X: list[list[float]], y: list[float]) -> None:
    rows = read_table(written(tmp_path, text))
    assert rows.X.tolist() == X
    assert rows.y.tolist() == y
    assert rows.X.dtype == np.float64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        ("\n \n", "an empty file"),
        ("# only\n# comments\n", "nothing but comments"),
        ("1\n2\n", "at least 2 columns"),
        ("a,b\n", "rows under the header, found none"),
        ("species,a,b\nse,2,1\nvi,3,2\n", "words in column 'species' alone.*target='species' or target='b'"),
        ("a,b,y\n1,2,0\n3,,1\n", "a number in column 'b', found an empty cell in line 3"),
        ("a,b,y\n1,?,0\n3,?,1\n3,4,0", r"'b', found '\?' in line 2 and 1 more missing in this column"),
        ("a,b,y\n1,2,0\n\n3,x,1\n", "a number in column 'b', found 'x' in line 4"),
        ("1,,0\n3,4,1\n", "a number in column '1', found an empty cell in line 1"),
        ("NA,2,0\n3,4,1\n", "a number in column '0', found 'NA' in line 1"),
        ("a,b,c,y\n1,,NA,0\n3,4,5,1\n", r"missing values in 2 columns: b \(1\), c \(1\);.*drop=\['b', 'c'\]"),
        (
            "a,b,y\n1%,2,0\n3,4,1\n",
            "percent signs in all cells of column 'a' or in none, found '1%' in line 2",
        ),
        ("a,b,y\n1,2,\n3,4,1\n", "a number in the label column 'y', found an empty cell in line 2"),
        ("1,2,0\n3,4\n", "3 columns as in the first line, found 2 in line 2"),
        ("1,2,0\n3,4,5,6\n", "3 columns as in the first line, found 4 in line 2"),
        ("a,b,y\n1,nan,0\n1,2,0\n", "a number in column 'b', found 'nan' in line 2"),
        ("a,b,y\n1,2,0\n1,2,-inf\n", "finite numbers in the label column 'y', found '-inf' in line 3"),
        ("a,b,y\n1,1e999,0\n", "finite numbers in column 'b', found '1e999' in line 2"),
        ("a,b,y\nTrue,1,0.5\nnan,2,0.7\nFalse,3,0.1\n", "a number in column 'a', found 'nan' in line 3"),
        ("a,y\n,1\nNaN,2\n1,3\n", "found an empty cell in line 2 and 1 more missing"),
        ("a,y\n1%,1\n+nan,2\n3%,3\n", r"a number in column 'a', found '\+nan' in line 3"),
        ("a,b,y\n1,1_000,0\n", "a number in column 'b', found '1_000' in line 2"),
        ("a,b,y\n1,0x10,0\n", "a number in column 'b', found '0x10'"),
        ("a,b,y\n1,١٢,0\n", "a number in column 'b', found '١٢'"),
        (
            "a,b,y\n1,9007199254740993,0\n",
            "integers up to 2\\^53 in column 'b'.*found '9007199254740993' in line 2",
        ),
        ('a,b,y\n1,"1,234",0\n', "separators of thousands, found '1,234' in line 2, column 'b'"),
        ('a,b,y\n1,"1,234,567",0\n', "found '1,234,567' in line 2; write numbers without separators"),
        ('a,b,y\n1,"1,234.5",0\n', "found '1,234.5' in line 2; write numbers without separators"),
        ("a;b;y\n1,5;2.5;0\n", "commas in some numbers and a point in '2.5', line 2, column 'b'"),
        ("a;b;y\n1.234;12,5 %;1\n2.500;13,0 %;2\n", "one decimal mark, found .* a point in '1.234', line 2"),
        ("a;y\n1,234 %;1\n2,500 %;2\n", "separators of thousands, found '1,234 %' in line 2, column 'a'"),
        *(
            (
                f"a;y\n1{mark}000;1\n1{mark}200;2\n",
                "found '1.+000' in line 2 and 1 more; write numbers without sep",
            )
            for mark in "\u00a0\u2009\u202f\u2019"
        ),
        ("a,b,y\n1,2,0\n" + "1,\x00,3\n", "a zero byte at 14"),
        ('a,b,y\n1,"2,0\n3,4,5\n', 'quotes " in pairs, found one without its other in line 2'),
        ("a,b,y\n1,2,3,4\n1,3,4,5\n", "3 columns as in the first line, found 4 in line 2"),
        ("a,b,y\n12,5,3,4\n13,5,4,5\n", "3 columns as in the first line, found 4 in line 2"),
        ("a,b,y\nm,kg,EUR\n1,2,3\n4,5,6\n7,8,9\n", "a number in column 'a', found 'm' in line 2"),
        (
            "1 1:0.5 2:3\n0 1:0.1 3:9\n",
            r"found '1:0\.5' in line 1 and 1 more; sklearn\.datasets\.load_svmlight_file",
        ),
        ("Sales of May\n\na,b\n1,2\n3,4\n", "found 'Sales of May' above it; delete that line"),
        (
            'a,y\n1,"x\n2,"x\n',
            'quotes " in pairs, found one without its other in line 2, so that the next lines',
        ),
        ('a,b,y\n1,"x,2\n3,x,4\n5,x",6\n7,x,8\n', "found one without its other in line 2, so that"),
        ('a,y\n1,"x\nz"\n2,x\n', "a label of one line, found a line end in that of line 2"),
        (
            "day,a,time,y\n2021-05-01,1,12:30,2\n2021-05-02,1,8:15 pm,2\n",
            r"dates or times in column 'day' .*line 2\), and the like in 1 more; .*drop=\['day', 'time'\]",
        ),
        ("day,a,y\n01.05.2021,1,2\n02.05.2021,2,3\n", "dates or times in column 'day'"),
        (
            "a,b,y\n" + "".join(f"1,n{i},0\n" for i in range(11)),
            "found 11 different words in column 'b' of 11 rows",
        ),
        (
            "a,b,y\n" + "".join(f"1,{i} kg,0\n" for i in range(11)),
            "found '0 kg' in line 2 and 10 more; write numbers alone",
        ),
        *(
            (f"a,y\n{cell},1\n{cell},2\n", r"line 2 and 1 more; write numbers alone, as 12, 0\.5 or 1e-3")
            for cell in ("2d0", "1.5D+03", "-.5d-1", "5-", "1.5×10^3", "2 x 10³", "5\u200b", "\ufeff5")
        ),
        ("1\u00a0234 5 0.5\n2\u00a0234 6 1.5\n", "line 1 and 1 more; write numbers without separators"),
        ("a,y\n#1,5\n#2,6\n", "rows under the header, found 2 comments, as they start with #"),
        ("a,b,y\n1,(5),0\n1,−6,0\n", "found '.5.' in line 2 and 1 more; write numbers alone"),
        ("a,b,y\n1,$ 5,0\n1,$ 6,0\n", "found '\\$ 5' in line 2 and 1 more; write numbers alone"),
    ],
)
def test_a_bad_file_is_named_by_line_and_column(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        read_table(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("first", [",Unnamed: 0", ",Id", "Unnamed: 0.1,Unnamed: 0", "level_0,index"])
def test_no_index_of_a_table_that_was_written_twice_is_a_feature(tmp_path: Path, first: str) -> None:
    rows = read_table(written(tmp_path, f"{first},a,price\n0,1,5,0.5\n1,2,6,0.25\n"))
    assert rows.X.tolist() == [[5], [6]]
    second = first.split(",")[1]
    assert any(f"column {second!r} counts the rows and is left out" in note for note in rows.notes)
    # The file's own ids name the rows that are predicted, not the index before them.
    new = read_columns(written(tmp_path, f"{first},a\n0,71,5\n1,72,6\n"), rows.columns)
    own = ("71", "72") if first == ",Id" or "index" in first else ("0", "1")
    assert new.ids == own
    assert new.id_name == {",Id": "Id", "level_0,index": "index"}.get(first, "")


@pytest.mark.parametrize("first", ["", "Unnamed: 0", "Id", "index"])
def test_the_index_that_pandas_writes_is_no_feature(tmp_path: Path, first: str) -> None:
    rows = read_table(written(tmp_path, f"{first},a,price\n0,5,0.5\n1,6,0.25\n"))
    assert rows.X.tolist() == [[5], [6]]
    assert rows.columns is not None
    assert (rows.columns.features, rows.columns.target) == (("a",), "price")
    assert any("counts the rows and is left out" in note for note in rows.notes)
    rows = read_table(written(tmp_path, f"{first},a,price\n1,5,0.5\n2,6,0.25\n"))
    assert rows.X.tolist() == [[5], [6]]
    rows = read_table(written(tmp_path, f"{first},a,price\nr1,5,0.5\nr2,6,0.25\n"))
    assert rows.X.tolist() == [[5], [6]]
    assert any("names the rows" in note for note in rows.notes)
    # A frame whose rows were drawn leaves its index behind; another column called id may be a feature.
    rows = read_table(written(tmp_path, f"{first},a,price\n7,5,0.5\n3,6,0.25\n"))
    assert rows.X.shape == ((2, 1) if first in ("", "Unnamed: 0") else (2, 2))


def test_different_integers_of_many_rows_are_an_id(tmp_path: Path) -> None:
    lines = [f"{(37 * row) % 101},{row},{row}.5" for row in range(30)]
    assert read_table(written(tmp_path, "\n".join(["id,a,price", *lines]))).X.shape == (30, 1)
    assert read_table(written(tmp_path, "\n".join(["size,a,price", *lines]))).X.shape == (30, 2)
    repeated = [*lines, "0,30,30.5"]
    assert read_table(written(tmp_path, "\n".join(["id,a,price", *repeated]))).X.shape == (31, 2)


@pytest.mark.parametrize("name", ["PassengerId", "row_id", "ImageID", "sample-id"])
def test_a_column_that_is_an_id_by_its_last_word(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, f"{name},a,price\n1,5,0.5\n2,6,0.25\n")
    rows = read_table(path)
    assert rows.X.tolist() == [[5], [6]]
    new = read_columns(written(tmp_path, f"{name},a\n77,5\n99,6\n", "new.csv"), rows.columns)
    assert new.ids == ("77", "99")
    assert read_table(written(tmp_path, f"{name},a,price\nC7,5,0.5\nC9,6,0.25\n")).X.tolist() == [[5], [6]]
    # What neither counts nor names the rows stays, or is refused.
    assert read_table(written(tmp_path, f"{name},a,price\n1,5,0.5\n3,6,0.25\n")).X.shape == (2, 2)
    with pytest.raises(DataError, match=f"to know the label, found words in column '{name}'"):
        read_table(written(tmp_path, f"{name},a,price\nC7,5,0.5\nC7,6,0.25\n"))


def test_a_column_that_trailing_delimiters_leave_names_no_rows(tmp_path: Path) -> None:
    """All predictions had an empty id."""
    like = read_table(written(tmp_path, "a,y,,\n1,0.5,,\n2,1.5,,\n")).columns
    assert read_columns(written(tmp_path, "a,,,\n1,,,\n2,,,\n", "new.csv"), like).ids is None


@pytest.mark.parametrize("name", ["acid", "Fluid", "t", "paid"])
def test_a_first_column_of_another_name_is_a_feature(tmp_path: Path, name: str) -> None:
    assert read_table(written(tmp_path, f"{name},a,price\n0,5,0.5\n1,6,0.25\n")).X.tolist() == [
        [0, 5],
        [1, 6],
    ]


def test_the_label_is_said(tmp_path: Path) -> None:
    rows = read_table(written(tmp_path, "a,target,b\n1,2,3\n"))
    assert rows.notes == ("a.csv: the label is column 'target', by its name; target=NAME names another",)
    rows = read_table(written(tmp_path, "a,b,c\n1,2,3\n"))
    assert rows.notes == ("a.csv: the label is column 'c', the last; target=NAME names another",)


@pytest.mark.parametrize(
    ("target", "X", "y"),
    [
        ("a", [[2, 3]], [1]),
        ("B", [[1, 3]], [2]),
        (1, [[1, 3]], [2]),
        ("-1", [[1, 2]], [3]),
        ("-3", [[2, 3]], [1]),
    ],
)
def test_the_label_is_named_or_counted(
    tmp_path: Path, target: str | int, X: list[list[float]], y: list[float]
) -> None:
    rows = read_table(written(tmp_path, "a,b,c\n1,2,3\n"), FileOptions.of(target=target))
    assert (rows.X.tolist(), rows.y.tolist()) == (X, y)
    rows = read_table(
        written(tmp_path, "1,2,3\n"), FileOptions.of(target={"a": 0, "B": 1}.get(str(target), target))
    )
    assert (rows.X.tolist(), rows.y.tolist()) == (X, y)


def test_a_last_column_that_names_rows_is_no_label(tmp_path: Path) -> None:
    path = written(tmp_path, "a,price,house_id\n1,0.5,7\n2,1.5,9\n")
    with pytest.raises(
        DataError, match="found 'house_id', which names rows; name the label with target=NAME"
    ):
        read_table(path)
    rows = read_table(path, FileOptions.of(target="price", drop="house_id"))
    assert rows.X.tolist() == [[1], [2]]


def test_columns_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, 'a,job,"b, or c",y\n1,cook,2,3\n4,smith,5,6\n')
    for drop in ("job", ["job"], [1], "job,nothing"):
        if drop == "job,nothing":
            with pytest.raises(InputError, match=r"drop: got 'nothing', expected a column of a\.csv"):
                read_table(path, FileOptions.of(drop=drop))
            continue
        rows = read_table(path, FileOptions.of(drop=drop))
        assert rows.X.tolist() == [[1, 2], [4, 5]]
        assert any("columns left out: job" in note for note in rows.notes)
    assert read_table(path, FileOptions.of(drop='job,"b, or c"')).X.tolist() == [[1], [4]]
    assert read_table(path, FileOptions.of(drop=["b, or c", "job"])).X.tolist() == [[1], [4]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "pric"}, r"target: got 'pric', expected a column of a\.csv; did you mean 'price'\?"),
        ({"target": "zzz"}, "its columns are a, a, price"),
        ({"target": 7}, "target: got 7, expected a column of a.csv, 0 to 2"),
        ({"target": "a"}, "2 columns of a.csv are called so; give an index, one of 0, 1"),
        ({"drop": "price"}, "drop: got 'price', which is the label"),
        (
            {"drop": ["pric", "a b", 0]},
            r"drop: got 'pric', 'a b', expected columns of a\.csv; did you mean 'price'\?",
        ),
        ({"drop": "xx,zz"}, r"drop: got 'xx', 'zz', expected columns of a\.csv; its columns are a, a, price"),
        ({"keys": {"X": "a", "y": "b"}}, "keys: got X, y, but a.csv is a table"),
    ],
)
def test_what_is_asked_of_columns_is_checked(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    path = written(tmp_path, "a,a,price\n1,2,3.5\n4,5,6.5\n")
    with pytest.raises(InputError, match=message) as caught:
        read_table(path, FileOptions.of(**options))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_every_column_but_the_label_cannot_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="drop: got a,b, expected some column"):
        read_table(written(tmp_path, "a,b,y\n1,2,3\n"), FileOptions.of(drop="a,b"))


def test_labels_may_be_words(tmp_path: Path) -> None:
    rows = read_table(written(tmp_path, "a,species\n1,setosa\n2, virginica\n3,setosa\n"))
    assert rows.class_names == ("setosa", "virginica")
    assert rows.y.tolist() == [0, 1, 0]
    # Numbers among words are words, too, and so are true and false.
    assert read_table(written(tmp_path, "a,y\n1,10\n2,x\n3,9\n")).class_names == ("10", "9", "x")
    assert read_table(written(tmp_path, "a,y\n1,True\n2,False\n")).class_names == ("False", "True")
    mixed = read_table(written(tmp_path, "a,y\n1,True\n2,False\n3,1\n"))
    assert mixed.class_names == ("1", "False", "True")
    assert "a.csv: the label holds numbers and words, taken as classes" in mixed.notes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a;y\n1;1.234,50\n2;1.299,00\n", "found '1.234,50' in line 2; .*without separators of thousands"),
        (
            "a,y\n" + "".join(f"{i},{i}.5\n" for i in range(30)) + "3,x\n",
            "found 'x' in line 32 of what are else numbers",
        ),
        ("a,y\n1,$5\n2,$6\n", "numbers that are written otherwise, '.5' in line 2; write numbers alone"),
        ("a,y\n1,2021-05-01\n2,2021-05-02\n", "found dates or times, '2021-05-01' in line 2"),
        (
            "a,b,name\n" + "".join(f"1,{i},n{i}\n" for i in range(11)),
            "found 11 different words in 11 rows of the last column, 'name'; name the label with target=NAME",
        ),
    ],
)
def test_words_among_numbers_are_no_classes_unasked(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=message):
        read_table(path)
    rows = read_table(path, FileOptions.of(task="classification"))
    assert rows.class_names is not None
    assert len(rows.class_names) == len(rows.X)


def test_a_test_table_is_read_like_the_training_table(tmp_path: Path) -> None:
    train = read_table(written(tmp_path, "a,y,b\n1,1,2\n3,x,4\n"), FileOptions.of(target="y"))
    test = read_table(written(tmp_path, "b,a,y\n20,10,1\n", "b.csv"), None, train.columns)
    assert test.X.tolist() == [[10, 20]]
    assert test.class_names == ("1",)
    with pytest.raises(DataError, match="labels in the column 'y' that was trained on, found no such column"):
        read_table(written(tmp_path, "b,a\n20,10\n", "b.csv"), None, train.columns)


@pytest.mark.parametrize(
    ("train", "options", "rows", "X", "labelled"),
    [
        ("1,2,3,0.5\n", {}, "7,8,9\n", [[7, 8, 9]], False),
        ("1,2,3,0.5\n", {}, "7,8,9,1\n", [[7, 8, 9]], True),
        ("1,2,3,0.5\n", {"target": 0}, "7,8,9,1\n", [[8, 9, 1]], True),
        ("1,2,3,0.5\n", {"target": 0}, "7,8,9\n", [[7, 8, 9]], False),
        ("1,2,3,0.5\n", {"target": 0, "drop": "2"}, "7,8,9,1\n", [[8, 1]], True),
        ("1,2,3,0.5\n", {"target": 0, "drop": "2"}, "8,9,1\n", [[8, 1]], False),
        ("1,2,3,0.5\n", {"target": 0, "drop": "2"}, "8,1\n", [[8, 1]], False),
        ("1,2,3,0.5\n", {"target": 3, "drop": "0"}, "a,b,c\n7,8,9\n", [[8, 9]], False),
        ("a,b,c,y\n1,2,3,0.5\n", {"drop": "a"}, "7,8,9\n", [[8, 9]], False),
    ],
)
def test_new_rows_without_names_are_read_by_position(
    tmp_path: Path, train: str, options: dict[str, object], rows: str, X: list[list[float]], labelled: bool
) -> None:
    like = read_table(written(tmp_path, train), FileOptions.of(**options)).columns  # type: ignore[arg-type]
    new = read_columns(written(tmp_path, rows, "new.csv"), like)
    assert (new.X.tolist(), new.labelled) == (X, labelled)


def test_new_rows_without_names_of_another_width_are_refused(tmp_path: Path) -> None:
    like = read_table(written(tmp_path, "1,2,3,0.5\n"), FileOptions.of(drop="0")).columns
    with pytest.raises(
        DataError, match="2 columns, those that were trained on, or 4 as the training file has, found 5"
    ):
        read_columns(written(tmp_path, "1,2,3,4,5\n", "new.csv"), like)


@pytest.mark.parametrize("names", ["a,b,c\n", ""])
def test_features_and_a_label_of_one_file_with_names_are_not_read_as_an_id_and_features(
    tmp_path: Path, names: str
) -> None:
    """The label was taken as the last feature, and the first one left aside."""
    train = written(tmp_path, "1,2,3,0.5\n4,5,6,1.5\n")
    like = read_table(train, FileOptions.of(target=3, drop=0)).columns
    with pytest.raises(DataError, match=r"column 0, where the training rows have '0'.*found '7\.5'"):
        read_columns(written(tmp_path, f"{names}7.5,8,9\n1.5,2,3\n", "new.csv"), like)
    new = read_columns(written(tmp_path, "id,b,c\n7.5,8,9\n1.5,2,3\n", "new.csv"), like)
    assert (new.X.tolist(), new.ids) == ([[8, 9], [2, 3]], ("7.5", "1.5"))


@pytest.mark.parametrize("rows", ["0.5,7,3\n0.25,8,4\n", "5,7,3\n5,8,4\n"])
def test_features_and_a_label_without_names_are_not_read_as_an_id_and_features(
    tmp_path: Path, rows: str
) -> None:
    train = "".join(f"{row},{row % 7}.5,{row % 5},{row}\n" for row in range(40))
    like = read_table(written(tmp_path, f"id,a,b,y\n{train}")).columns
    assert like.features == ("a", "b")
    with pytest.raises(DataError, match=r"column 0, where the training rows have 'id'.*; give the header of"):
        read_columns(written(tmp_path, rows, "new.csv"), like)
    assert read_columns(written(tmp_path, "7,1,2\n3,5,6\n", "new.csv"), like).X.tolist() == [[1, 2], [5, 6]]


def test_a_label_that_new_rows_leave_empty_is_not_scored(tmp_path: Path) -> None:
    like = read_table(written(tmp_path, "a,y\n1,0.5\n2,1.5\n")).columns
    new = read_columns(written(tmp_path, "a,y\n1,\n2,?\n3,4.5\n", "new.csv"), like)
    np.testing.assert_array_equal(new.y, [np.nan, np.nan, 4.5])
    assert (new.X.tolist(), new.notes) == ([[1], [2], [3]], ())
    words = read_columns(written(tmp_path, "a,y\n1,\n2,b\n", "new.csv"), like)
    assert (words.class_names, words.y.tolist(), words.notes) == (("", "b"), [0, 1], ())


@pytest.mark.parametrize("label", ["0.5", "x"])
def test_a_label_that_a_test_table_lacks_is_named(tmp_path: Path, label: str) -> None:
    """The file was said to have no labels, or to be in another format than the training rows."""
    like = read_table(written(tmp_path, f"a,y\n1,{label}\n2,{label}\n")).columns
    for cell, found in (("", "an empty cell in line 3"), ("b", "'b' in line 3")):
        path = written(tmp_path, f"a,y\n1,{label}\n2,{cell}\n", "new.csv")
        if (label, cell) == ("x", "b"):
            assert read_table(path, None, like).class_names == ("b", "x")
            continue
        with pytest.raises(DataError, match=f"column 'y'.* found {found}"):
            read_table(path, None, like)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a,y\n1,cat\n2,\n3,dog\n4,\n", "an empty cell in line 3 and 1 more; fill it"),
        ("a,y\n1,cat\n2,NA\n3,\n", "an empty cell in line 4; fill it"),
        ("a,y\n1,True\n2,NA\n3,False\n", "'NA' in line 3; fill it"),
    ],
)
def test_a_label_that_is_missing_is_no_class(tmp_path: Path, text: str, found: str) -> None:
    with pytest.raises(DataError, match=f"a label in every row of column 'y', found {found}"):
        read_table(written(tmp_path, text))


def test_a_class_may_be_called_none(tmp_path: Path) -> None:
    text = "a,y\n1,none\n2,mild\n3,NA\n"
    rows = read_table(written(tmp_path, text))
    assert rows.class_names == ("NA", "mild", "none")
    assert "a.csv: taken as classes, not as missing labels: NA, none" in rows.notes
    # Test rows of such a class had no label.
    again = read_table(written(tmp_path, "a,y\n1,none\n", "new.csv"), None, rows.columns)
    assert again.class_names == ("none",)
    new = read_columns(written(tmp_path, "a,y\n1,none\n2,\n", "new.csv"), rows.columns)
    assert ([new.class_names[code] for code in new.y], new.notes) == (["none", ""], ())


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("a,a,y\n1,2,3\n", "2 columns are called 'a' and told apart by their order"),
        (
            "zip,y\n01234,1\n99999,2\n",
            "numbers that begin with 0, as codes do, are taken as numbers: zip (01234)",
        ),
        (
            "zip,y\n" + "20095,1\n" * 40 + "01234,2\n",  # after the lines that the header is told by
            "numbers that begin with 0, as codes do, are taken as numbers: zip (01234)",
        ),
        ("a;b;y\n" + "1;x;2\n" * 40 + '1;x; "007"\n', "are taken as numbers: y (007)"),
        *(
            (
                f"day,y\n20200131{time},1\n20200201{time},2\n",
                f"numbers that look like dates, 20200131{time}",
            )
            for time in ("", "1230", "235959")
        ),
        (
            ",,a,y\nu,0,5,1\nu,1,6,2\nv,0,7,3\n",
            "column 1, which has no name, is taken as a feature; leave an index out (drop=['1'])",
        ),
        ("a,b,y\n1,2,1\n3,4,3\n", "column 'a' is the label itself in every row; leave it out (drop=['a'])"),
        ('a,b,y\n1,x,1\n3,"x\n\x1bz",2\n', "b (x, x ?z)"),
        ('a,b,y\n1,x,1\n3,"x, z,\nx, z",2\n', "b (x, x, z, x, z)"),
        ("a,y\n1.234,1\n950,2\n-2.500,2\n", "though they may separate thousands: a (1.234)"),
        ("a;y\n250.000;1\n300.000;2\n", "though they may separate thousands: a (250.000)"),
        ("a;y\n1.5;1.234\n2;2.500\n3;6.000\n", "though they may separate thousands: y (1.234)"),
        (
            "a,town,y\n" + "1,x,1.5\n2,y,0.5\n" * 12 + "36,Total,24\n",
            "words that stand in one row alone, as of a total or mistyped, in column 'town': Total",
        ),
        (
            "No,a,y\n" + "".join(f"{row},{row % 7},{row % 5}\n" for row in range(1, 30)),
            "column 'No' counts the rows, taken as a feature; leave it out (drop=['No']) unless",
        ),
        ("a,y\n-999,1\n-999,2\n12,2\n", "column 'a' holds -999 in 2 rows, far from all others"),
    ],
)
def test_what_numbers_may_be_is_said(tmp_path: Path, text: str, note: str) -> None:
    assert any(note in said for said in read_table(written(tmp_path, text)).notes)


def test_nothing_is_said_of_ordinary_numbers(tmp_path: Path) -> None:
    text = (
        "year,count,big,share,word,y\n2020,20200101,-999,0.500,01,1.234\n"
        "2021,20209901,-999,0,b,2.500\n1999,5,-500,0.25,b,3.000\n"
    )
    rows = read_table(written(tmp_path, text))
    assert rows.X.shape == (3, 6)
    assert "word (01, b)" in "".join(rows.notes)
    rows = read_table(written(tmp_path, text), FileOptions.of(drop="word"))
    assert [note for note in rows.notes if "the label is" not in note and "left out" not in note] == []


def test_percents_that_have_lost_their_sign_are_said(tmp_path: Path) -> None:
    """Excel stores 12 % as 0.12, which was taken beside 12 without a word."""
    columns = read_table(written(tmp_path, "a,share,y\n1,12%,1\n2,7 %,2\n")).columns
    assert columns is not None
    columns = TableColumns.of_dict(columns.to_dict())
    said = "taken as they stand, without the percent sign of the training rows (12 is 12 %): share"
    plain = read_columns(written(tmp_path, "share,a\n0.12,1\n"), columns)
    assert plain.X.tolist() == [[1, 0.12]]
    assert f"a.csv: {said}" in plain.notes
    signed = read_columns(written(tmp_path, "share,a\n12%,1\n"), columns)
    assert signed.X.tolist() == [[1, 12]]
    assert not any(said in note for note in signed.notes)
    for forged in (["share"], [2], [True], 1):
        with pytest.raises(ValueError, match="percents"):
            TableColumns.of_dict(columns.to_dict() | {"percents": forged})


@pytest.mark.parametrize(
    ("text", "X"),
    [
        ("a;b;y\n1,5;2;0,5\n", [[1.5, 2]]),
        ("1,5;2,25;0,5\n", [[1.5, 2.25]]),
        ("1,5\t-,25\t0,5\n", [[1.5, -0.25]]),
        ("1,5;x;0,5\n2,5;z;0,7\n", [[1.5, 1, 0], [2.5, 0, 1]]),
        ("1,5;x;z;0,5\n2,5;x;z;0,7\n", [[1.5, 1, 1], [2.5, 1, 1]]),
        ("1,5\tTrue\tFalse\tx\n2,5\tTrue\tTrue\tz\n", [[1.5, 1, 0], [2.5, 1, 1]]),
        ("a;b,c;y\n0,5;x;z\n1,5;x;z\n", [[0.5, 1], [1.5, 1]]),
        ("1,5 2,25 0,5\n", [[1.5, 2.25]]),
        ('"1,5","2","0,5"\n', [[1.5, 2]]),
        ("a;b;y\n1;2;3\n" + "4;5;6\n" * 50 + "1,234;7,5;8\n", None),  # the first comma stands far below
        ("a;y\n1,5e3;2\n", [[1500]]),
    ],
)
def test_decimal_commas(tmp_path: Path, text: str, X: list[list[float]] | None) -> None:
    rows = read_table(written(tmp_path, text))
    if X is None:
        X = [[1, 2], *([[4, 5]] * 50), [1.234, 7.5]]
    assert rows.X.tolist() == X
    assert any("decimal commas" in note for note in rows.notes)


def test_comments_and_empty_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    text = "# measured in May\na,b,y\n1,2,3\n# a break\n,,\n4,5,6\n"
    rows = read_table(written(tmp_path, text))
    assert rows.X.tolist() == [[1, 2], [4, 5]]
    assert "a.csv: 2 comment lines, which start with #, are left out" in rows.notes
    assert "a.csv: 1 line without any value is left out" in rows.notes


def test_the_header_that_numpy_writes(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "a.txt", [[1.0, 2, 3], [4, 5, 6]], header="a target b")
    rows = read_table(tmp_path / "a.txt")
    assert rows.X.tolist() == [[1, 3], [4, 6]]
    assert any("the comment above the first row is taken as the names" in note for note in rows.notes)
    for header in (
        "in May\na target b",
        "a target b\n--- ------ -",
        "a target b\n----",
        "a target b\n1 2 3\nm m m",
    ):
        np.savetxt(tmp_path / "a.txt", [[1.0, 2, 3], [4, 5, 6]], header=header)
        assert read_table(tmp_path / "a.txt").X.tolist() == [[1, 3], [4, 6]]
    np.savetxt(tmp_path / "b.txt", [[1.0, 2, 3], [4, 5, 6]], header="as I measured it in May")
    assert read_table(tmp_path / "b.txt").X.tolist() == [[1, 2], [4, 5]]


def test_a_header_whose_first_name_is_the_sign_of_comments(tmp_path: Path) -> None:
    """All names were lost with it, as a comment."""
    text = "#,Name,HP,target\n1,x,5,3\n2,y,4,9\n3,x,6,1\n"
    rows = read_table(written(tmp_path, text), FileOptions.of(target="HP"))
    assert rows.columns is not None
    assert rows.columns.names == ("target", "Name=x", "Name=y")
    assert any("the first column counts the rows and is left out" in note for note in rows.notes)
    new = read_columns(written(tmp_path, "#\tName\ttarget\n7\ty\t2\n8\tx\t4\n"), rows.columns)
    assert new.X.tolist() == [[2, 0, 1], [4, 1, 0]]
    assert (new.id_name, new.ids) == ("#", ("7", "8"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("# ,mm,kg\n5,3,1\n4,9,0\n", False),
        ("# Iris class data\n#\n5 3 1\n4 9 0\n", False),
        ("# Iris class data\n##\n#\n5 3 1\n4 9 0\n", False),
        ("# Iris class data\n# of 1936\n5 3 1\n4 9 0\n", False),
        ("# Iris, class, data\n# of 1936\n5,3,1\n4,9,0\n", False),
        ("# a,class,b\n#\n# -----\n5,3,1\n4,9,0\n", True),
        ("# a,class,b\n# mm,,mm\n5,3,1\n4,9,0\n", True),
    ],
)
def test_a_title_in_comments_is_no_names_of_columns(tmp_path: Path, text: str, named: bool) -> None:
    rows = read_table(written(tmp_path, text))
    assert rows.columns is not None
    assert rows.columns.named == named
    assert rows.X.tolist() == ([[5, 1], [4, 0]] if named else [[5, 3], [4, 9]])


def test_a_row_that_is_commented_out_leaves_the_names_above_the_first_one(tmp_path: Path) -> None:
    rows = read_table(written(tmp_path, "# y,a,b\n1,2.5,3\n#0,9.1,4\n2,3.5,1\n"))
    assert rows.X.tolist() == [[2.5, 3], [3.5, 1]]
    assert rows.y.tolist() == [1, 2]
    assert "a.csv: 1 comment line, which starts with #, is left out" in rows.notes
    below = read_table(written(tmp_path, "1,2.5,3\n# y,a,b\n2,3.5,1\n"))
    assert below.X.tolist() == [[1, 2.5], [2, 3.5]]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("0,1,2,3\n5,6,7,8\n", True),
        (",0,1\n0,6,7\n1,8,9\n", True),
        ("0,1\n0.5,1.5\n", True),
        ("0,1\n1,2\n", False),
        ("0,1,2\n1,2,3\n", False),
    ],
)
def test_a_header_that_counts_is_a_header_with_a_note(tmp_path: Path, text: str, named: bool) -> None:
    rows = read_table(written(tmp_path, text))
    assert rows.columns is not None
    assert rows.columns.named == named
    meaning = "the names of its columns" if named else "a row"
    assert f"a.csv: the first line, 0, 1, 2, ..., is taken as {meaning}" in rows.notes


def test_columns_that_are_called_by_numbers_may_stand_in_another_order(tmp_path: Path) -> None:
    train = read_table(written(tmp_path, "0,1,2,3\n5,6,7,0.5\n8,9,10,1.5\n"))
    new = read_columns(written(tmp_path, "2,0,1\n70,50,60\n", "new.csv"), train.columns)
    assert new.X.tolist() == [[50, 60, 70]]


def test_many_columns_are_read_and_messages_stay_short(tmp_path: Path) -> None:
    names = [f"c{index}" for index in range(20_000)]
    text = ",".join(names) + "\n" + ",".join(["1"] * 19_999 + ["0.5"]) + "\n"
    path = written(tmp_path, text)
    assert read_table(path).X.shape == (1, 19_999)
    like = read_table(path).columns
    with pytest.raises(DataError, match="and 19991 more") as caught:
        read_columns(written(tmp_path, "x,y\n1,2\n", "new.csv"), like)
    assert len(str(caught.value)) < 700


def test_names_of_tables() -> None:
    assert [stem_of(Path(name)) for name in ("a.csv", "a.b.csv.gz", "a.npz", "a.gz")] == [
        "a",
        "a.b",
        "a",
        "a",
    ]
    for name in (
        "a.csv",
        "A.CSV",
        "a.tsv.gz",
        "a.txt.xz",
        "adult.data",
        "a.csv.bz2",
        "a.parquet",
        "a.feather",
    ):
        assert is_table(Path(name)), name
    for name in ("a.npz", "a.gz", "csv", "a.parquet.gz", "a.h5"):
        assert not is_table(Path(name)), name


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found no such file"):
        read_table(tmp_path / "a.csv")


def test_a_test_file_of_another_format_is_asked_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "y,a\n" + "".join(f"{i % 3},{i}\n" for i in range(20)))
    np.savez(tmp_path / "test.npz", X=np.arange(4.0)[:, None], y=np.arange(4) % 3)
    dataset = load(path, test=tmp_path / "test.npz", target="y", drop=[])
    assert (dataset.n_train, dataset.n_test) == (20, 4)
    dataset = load(tmp_path / "test.npz", test=path, keys={"X": "X", "y": "y"})
    assert (dataset.n_train, dataset.n_test) == (4, 20)


def test_load_takes_what_is_said_of_a_table(tmp_path: Path) -> None:
    lines = [f"{i},{i % 7},{'ab'[i % 2]},{i * 3 % 5}" for i in range(40)]
    path = written(tmp_path, "n,m,kind,z\n" + "\n".join(lines) + "\n")
    dataset = load(path, target="kind", drop=["z"])
    assert dataset.classes == ("a", "b")
    assert dataset.columns == ("n", "m")
    assert dataset.target == "kind"
    numbers = load(path, target="m", drop="kind", task="regression")
    assert numbers.classes is None
    assert numbers.y_train.max() == 6
    with pytest.raises(InputError, match="task: got 'ordinal', expected one of classification, regression"):
        load(path, task="ordinal")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="target, drop, task, keys, missing: got some for digits"):
        load("digits", target="label")


@pytest.mark.parametrize("names", ["c\tcX\twords", "c\tc X\twords"])
def test_tabs_cut_where_blanks_stand_between_words(tmp_path: Path, names: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(names + "\n0.5\t0.0\tna ja\n0.0\t1.0\tna ja\n0.0\t2.0\tna ja\n")
    rows = read_table(path)
    assert rows.columns is not None
    assert rows.columns.features == tuple(names.split("\t")[:2])
    assert rows.class_names == ("na ja",)


def test_blanks_cut_where_they_stand_between_numbers_as_tabs_do(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a b\tc\n1 2\t3\n4 5\t6\n7 8\t10\n")
    rows = read_table(path)
    np.testing.assert_array_equal(rows.X, [[1.0, 2.0], [4.0, 5.0], [7.0, 8.0]])


@pytest.mark.parametrize("target", ["0", "1"])
def test_of_columns_of_the_labels_name_the_label_is_the_one_of_training(tmp_path: Path, target: str) -> None:
    text = "y,y,a\n1,10,0.5\n2,20,0.25\n3,30,0.75\n"
    trained = read_table(written(tmp_path, text), FileOptions.of(target))
    columns = trained.columns
    assert columns is not None
    assert TableColumns.of_dict(columns.to_dict()) == columns
    for read in (read_table, read_columns):
        again = read(written(tmp_path, text), like=columns)
        np.testing.assert_array_equal(again.X, trained.X)
        np.testing.assert_array_equal(again.y, trained.y)
    turned = read_columns(written(tmp_path, "a,y,y\n0.5,1,10\n0.25,2,20\n0.75,3,30\n"), columns)
    np.testing.assert_array_equal(turned.X, trained.X)
    np.testing.assert_array_equal(turned.y, trained.y)
    alone = read_columns(written(tmp_path, "a,y\n0.5,7\n"), columns)
    assert (alone.X.tolist(), alone.labelled) == ([[7, 0.5]], False)
    with pytest.raises(
        DataError, match=r"2 columns called 'y', as the training rows have.* found 3 of that name"
    ):
        read_columns(written(tmp_path, "y,y,y,a\n1,2,3,4\n"), columns)


def test_a_second_column_of_the_labels_name_is_not_taken_for_it(tmp_path: Path) -> None:
    columns = read_table(written(tmp_path, "a,y\n1,0.5\n2,1.5\n")).columns
    with pytest.raises(DataError, match=r"one column called 'y', the label, found 2 of that name"):
        read_columns(written(tmp_path, "a,y,y\n1,0.5,9\n2,1.5,9\n"), columns)


def test_equal_names_keep_their_order_beside_columns_that_are_left_aside(tmp_path: Path) -> None:
    """The training file itself was refused where it has an id."""
    text = "id,a,a,b,y\n1,5,6,7,0.5\n2,8,9,7.5,1.5\n"
    trained = read_table(written(tmp_path, text))
    columns = trained.columns
    assert columns is not None
    assert columns.features == ("a", "a", "b")
    for again in (text, "a,new,a,b\n5,x,6,7\n8,x,9,7.5\n"):
        assert read_columns(written(tmp_path, again), columns).X.tolist() == trained.X.tolist()
    for other in ("a,b,a\n5,7,6\n", "id,a,b\n1,5,7\n", "a,a,a,b\n5,6,6,7\n"):
        with pytest.raises(DataError, match="the columns a, a, b, of which some have one name"):
            read_columns(written(tmp_path, other), columns)


def test_all_faults_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    """They were told one a call: a column, and in it a kind."""
    text = "a,b,c,y\n1,x,inf,0.5\n2,2,1\n3,,2,none\n4,4,3,0.5,6\n,5,4,2.5\n"
    with pytest.raises(DataError) as caught:
        read_table(written(tmp_path, text))
    message = str(caught.value)
    assert message.startswith(
        f"{tmp_path / 'a.csv'}: 5 faults: (1) expected 4 columns as in the first line, found "
    )
    for said in (
        "found 3 in line 3, 5 in line 5; mend the lines; (2)",
        "missing values in 2 columns: a (1), b (1)",
        "a number in column 'b', found 'x' in line 2",
        "finite numbers in column 'c', found 'inf' in line 2",
        "a number in the label column 'y', found 'none' in line 4",
    ):
        assert said in message


def test_many_faults_are_counted(tmp_path: Path) -> None:
    names = [f"a{column}" for column in range(12)]
    text = f"{','.join(names)},y\n{'inf,' * 12}1\n{'2,' * 12}3\n"
    with pytest.raises(
        DataError, match=r"12 faults: \(1\) .* \(8\) .*'a7', found 'inf' in line 2; .*; and 4 more$"
    ):
        read_table(written(tmp_path, text))


def test_labels_that_have_lost_their_percent_sign_are_said(tmp_path: Path) -> None:
    """Those of features were, and 0.12 was scored against 12 %."""
    like = read_table(written(tmp_path, "a,y\n1,12%\n2,7.5 %\n3,8%\n")).columns
    assert like is not None
    like = TableColumns.of_dict(like.to_dict())
    said = "taken as they stand, without the percent sign of the training rows (12 is 12 %): y"
    unsigned = read_columns(written(tmp_path, "a,y\n1,0.12\n", "new.csv"), like)
    assert f"new.csv: {said}" in unsigned.notes
    for text in ("a,y\n1,12%\n", "a\n1\n"):
        assert not [
            note for note in read_columns(written(tmp_path, text, "new.csv"), like).notes if said in note
        ]


def test_numbers_that_are_missing_are_a_fault_of_rows_to_test_on_alone(tmp_path: Path) -> None:
    like = read_table(written(tmp_path, "a,b,y\n1,2,0.5\n2,3,1.5\n")).columns
    new = written(tmp_path, "a,b,y\n1,,0.5\n?,3,1.5\n", "new.csv")
    np.testing.assert_array_equal(read_columns(new, like).X, [[1, np.nan], [np.nan, 3]])
    with pytest.raises(
        DataError,
        match=r"missing values in 2 columns: a \(1\), b \(1\).*leave out the rows \(missing='rows'\)$",
    ):
        read_table(new, None, like)


def test_accents_within_letters_and_behind_them_are_one_word(tmp_path: Path) -> None:
    """Columns, categories and classes were others, of two names that looked equal."""
    text = "café,n,é\nthé,1,ü\neau,2,b\nthé,3,ü\neau,4,b\n"
    apart = unicodedata.normalize("NFD", text)
    rows = read_table(written(tmp_path, text), FileOptions.of(target=apart.split(",")[2][:2]))
    new = read_columns(written(tmp_path, apart, "new.csv"), rows.columns)
    np.testing.assert_array_equal(new.X, rows.X)
    assert new.class_names == rows.class_names == ("b", "ü")
