"""Whether the first line of a table is its header."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernelfit.datasets.file_options import FileOptions
from kernelfit.datasets.header import holds_names
from kernelfit.datasets.table import read_columns, read_table

FLOWERS = ["5.1,3.5,1.4,0.2,setosa", "6.2,2.9,4.3,1.3,versicolor", "5.9,3.0,5.1,1.8,virginica"] * 4


def cut(lines: list[str]) -> list[list[str]]:
    return [line.split(",") for line in lines]


@pytest.mark.parametrize(
    ("header", "lines"),
    [
        ("0,1,2,3,species", FLOWERS),
        (",0,1,2,3,species", [f"{row},{line}" for row, line in enumerate(FLOWERS)]),
        ("400,402,404,406,species", FLOWERS),
        ("4000,3998,3996,3994,species", FLOWERS),
        ("12,7,3,9,class", FLOWERS),
        ("0,1,kind", ["0.5,1.5,a", "0.7,2,a", "0.1,3,b", "0.2,5,b"]),
        ("1,2,4,8,16,32,kind", [f"{i % 3},{i % 2},1,2,{i % 5},3,{'ab'[i % 2]}" for i in range(8)]),
        ("2019,2020,2021,2022,town", [f"{i % 3},{i % 2},1,2,n{i}" for i in range(8)]),
    ],
)
def test_numbers_above_numbers_are_names_beside_a_name_of_words(
    tmp_path: Path, header: str, lines: list[str]
) -> None:
    """They were a row, and the name a class of its own."""
    path = tmp_path / "a.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    rows = read_table(path, FileOptions.of(target=header.split(",")[-1], task="classification"))
    assert len(rows.X) == len(lines)
    assert rows.class_names == tuple(sorted({line.split(",")[-1] for line in lines}))
    assert any(note.endswith("is taken as the names of its columns") for note in rows.notes)


@pytest.mark.parametrize(
    ("first", "below", "said"),
    [
        ("5.1,3.5,1.4,0.2,setosa", FLOWERS, False),  # it occurs again
        ("1,2,3,4,5,6,rare", ["2,3,4,5,6,7,a", "1,3,5,7,9,11,a"], True),  # rows below are in order as well
        ("3,1,2,4,rare", FLOWERS, True),
        ("1,2,3,4,2021-05-01", ["4,2,3,1,2021-05-02", "4,2,3,1,2021-05-02"], False),
        ("1,2,3,4,True", ["4,2,3,1,False", "4,2,3,1,False"], False),
        ("1,,3,4,rare", FLOWERS, False),
        ("7,2,n1", ["4,2,n2", "4,2,n3"], False),  # names of rows
        ("3,2,y", ["4,2,n", "4,2,n"], True),
    ],
)
def test_a_row_stays_one_and_is_said_where_its_word_is_a_new_one(
    first: str, below: list[str], said: bool
) -> None:
    named, note = holds_names(first.split(","), cut(below), None)
    assert (named, bool(note)) == (False, said)
    assert not said or note.endswith("is taken as a row")


@pytest.mark.parametrize(
    ("first", "below", "named"),
    [
        ("2019,2020,2021,2022", ["1.5,3.5,2,4", "2.5,1,4.5,5"], True),
        ("2019,2020,2021,2022", ["15,35,20,40", "25,10,45,50"], False),
        ("2019,2020,2021,2022", ["1,2.5,3,4", "2.5,3,4.5,5"], False),  # rows below are in order as well
        ("2019,2020,2021.5,2022", ["1.5,3.5,2,4", "2.5,1,4.5,5"], False),
        ("1,2,3,party", ["y,n,y,a", "y,n,n,b", "n,y,y,a", "n,n,y,b"], True),
        ("1,y,n,b", ["y,n,y,a", "y,n,n,b", "n,y,y,a", "n,n,y,b"], False),
        ("1,2,3,party", ["y,n,y,a", "y,n,3,b", "n,y,y,a", "n,n,y,b"], False),
        ("1,active", ["0.5,True", "0.7,False"], True),
        ("1,True", ["0.5,True", "0.7,False"], False),
        ("1,True", ["0.5,False", "0.7,False"], False),
        ("1,true,class", ["5,x,a", "7,z,b", "5,x,a"], True),
    ],
)
def test_numbers_that_are_names_alone_above_words_or_beside_names_of_true_and_false(
    first: str, below: list[str], named: bool
) -> None:
    """They were a row in silence."""
    assert holds_names(first.split(","), cut(below), None)[0] is named


def test_a_word_that_occurs_again_is_no_name_above_numbers(tmp_path: Path) -> None:
    """Numbers among the words of a column made its first row a header."""
    lines = ["low,low,2,small,no", "med,low,2,big,yes", "low,med,more,big,no", "med,med,more,small,yes"] * 3
    for first in ("low,med,more,big,no", "low,med,more,big,yes"):
        assert holds_names(first.split(","), cut(lines), None)[0] is False
    assert holds_names(["a", "b", "c", "d", "e"], cut(lines), None) == (True, "")


TRAINED = ["x,o,1,win", "o,x,2,loss", "b,o,3,win", "x,b,4,loss"] * 3


@pytest.mark.parametrize("label", [True, False])
@pytest.mark.parametrize(
    ("lines", "header"),
    [
        (["x,b,1,win"], False),
        (["x,b,1,win", "o,o,2,loss"], False),
        (["x,b,?,win", "o,o,2,loss"], False),  # and refused
        (["left,right,count,end", "o,o,2,loss"], True),
    ],
)
def test_new_rows_of_trained_words_begin_with_a_row(
    tmp_path: Path, lines: list[str], header: bool, label: bool
) -> None:
    """Of words that did not repeat the first row was a header."""
    path = tmp_path / "train.data"
    path.write_text("\n".join(TRAINED) + "\n")
    like = read_table(path).columns
    assert like is not None
    assert not like.named
    rows = cut(lines) if label else [row[:-1] for row in cut(lines)]
    assert holds_names(rows[0], rows[1:], like)[0] is header


def test_new_rows_of_words_alone_are_all_predicted(tmp_path: Path) -> None:
    path, new = tmp_path / "train.data", tmp_path / "new.csv"
    path.write_text("low,2,no\nhigh,more,no\nmed,more,yes\nlow,2,yes\nhigh,more,yes\nmed,more,no\n")
    like = read_table(path).columns
    new.write_text("low,more\nhigh,2\n")
    rows = read_columns(new, like)
    assert rows.X.tolist() == [[0, 1, 0, 0, 1], [1, 0, 0, 1, 0]]
    assert rows.notes == ()


def test_names_that_are_numbers_are_known_beside_a_column_that_training_rows_lack(tmp_path: Path) -> None:
    """The header was a row, and what stood first the label."""
    path, new = tmp_path / "train.csv", tmp_path / "new.csv"
    path.write_text("class,400,407,409\n" + "0,0.5,0.25,1\n1,0.75,2,0.5\n" * 3)
    like = read_table(path).columns
    new.write_text("sample,400,407,409\ns1,1.5,2,3\ns2,4,5,6.5\n")
    rows = read_columns(new, like)
    assert (rows.X.tolist(), rows.labelled) == ([[1.5, 2, 3], [4, 5, 6.5]], False)
    new.write_text("0,400,407,409\n1,1.5,2,3\n")
    assert read_columns(new, like).X.tolist() == [[400, 407, 409], [1.5, 2, 3]]


def test_new_rows_that_begin_with_true_are_all_predicted(tmp_path: Path) -> None:
    path, new = tmp_path / "train.csv", tmp_path / "new.csv"
    path.write_text("True,False,0.5\nFalse,True,1.5\nTrue,True,2.5\n")
    new.write_text("True,False\nFalse,True\n")
    rows = read_columns(new, read_table(path).columns)
    assert rows.X.tolist() == [[1, 0], [0, 1]]
