"""Rows of tables in which a value is missing, left out: as if the file had not these rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from kernelfit.cli import root
from kernelfit.datasets import load
from kernelfit.datasets.file_options import FileOptions
from kernelfit.datasets.table import read_table
from kernelfit.errors import DataError, InputError
from tests.datasets.test_table import written

ROWS = FileOptions.of(missing="rows")


def test_rows_with_gaps_are_left_out_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "age,kind,y\n1,a,0.5\n,b,1.5\n3,,2.5\n4,b,NA\n?,a,3.5\n6,a,4.5\n")
    with pytest.raises(DataError, match=r"'age', .*leave out such rows \(missing='rows'\), or the column"):
        read_table(path)
    rows = read_table(path, ROWS)
    # The empty cell among words is a word; "b" occurs in rows that are left out alone, and is none.
    assert rows.columns is not None
    assert rows.columns.categories == (None, ("", "a"))
    np.testing.assert_array_equal(rows.X, [[1, 0, 1], [3, 1, 0], [6, 0, 1]])
    np.testing.assert_array_equal(rows.y, [0.5, 2.5, 4.5])
    assert rows.of_file is not None
    assert rows.of_file.tolist() == [0, 2, 5]
    assert rows.lines is not None
    assert list(rows.lines) == [2, 4, 7]
    assert "a.csv: 3 of 6 rows are left out, as values are missing: age (2), y (1)" in rows.notes


CELL = st.one_of(st.just(""), st.just("NA"), st.integers(-99, 99).map(str), st.sampled_from(["0.5", "1e-3"]))


@given(
    cells=st.lists(st.tuples(CELL, CELL, CELL).filter(any), min_size=4, max_size=12),
    marks=st.sampled_from([",", ";"]),
)
def test_what_is_left_is_what_a_file_of_complete_rows_gives(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, ...]], marks: str
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    cells = [*cells, ("1", "2", "0.5"), ("3", "4", "1.5"), ("5", "6", "2.5")]
    complete = [row for row in cells if not {"", "NA"} & set(row)]
    options = FileOptions.of(target="y", task="regression", missing="rows")

    def text(rows: list[tuple[str, ...]]) -> str:
        return "\n".join(marks.join(row) for row in [("a", "b", "y"), *rows]) + "\n"

    rows = read_table(written(folder, text(cells)), options)
    alone = read_table(written(folder, text(complete), "b.csv"), options)
    np.testing.assert_array_equal(rows.X, alone.X)
    np.testing.assert_array_equal(rows.y, alone.y)
    assert rows.of_file is None or [cells[row] for row in rows.of_file] == complete
    assert (rows.of_file is None) == (len(complete) == len(cells))


def test_gaps_beside_decimal_commas_and_percents(tmp_path: Path) -> None:
    path = written(tmp_path, "a;b;y\n1,5;10 %;0\n;20 %;1\n2,5;30 %;1\n3,5;;0\n")
    rows = read_table(path, ROWS)
    np.testing.assert_array_equal(rows.X, [[1.5, 10], [2.5, 30]])
    # Beside rows that stay, one number without the sign is a fault, whatever those have that are left out.
    path = written(tmp_path, "a,b,y\n1,10 %,0\n,20 %,1\n2,30,1\n3,40 %,0\n,5 %,1\n")
    with pytest.raises(DataError, match=r"percent signs in all cells .*one of 2 in 3 rows"):
        read_table(path, ROWS)


def test_what_is_wrong_in_other_rows_is_named_where_it_stands_in_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b,y\n,1,0\n1,,1\n2,inf,1\n3,4,0\n")
    with pytest.raises(DataError, match="'inf' in line 4"):
        read_table(path, ROWS)


def test_a_column_without_values_takes_no_rows_with_it(tmp_path: Path) -> None:
    rows = read_table(written(tmp_path, "a,b,y\n1,,0\n2,,1\n,,1\n4,,0\n"), ROWS)
    np.testing.assert_array_equal(rows.X, [[1], [2], [4]])


@pytest.mark.parametrize(
    ("labels", "left"),
    [
        (("cat", "", "dog", "NA"), [0, 2, 3]),
        (("True", "", "False", "true"), [0, 2, 3]),
        ((1, "nan", 2, 1), [0, 2, 3]),
    ],
)
def test_rows_without_a_label(tmp_path: Path, labels: tuple[object, ...], left: list[int]) -> None:
    text = "".join(f"{row},{label}\n" for row, label in enumerate(labels))
    rows = read_table(written(tmp_path, f"a,y\n{text}"), ROWS)
    assert rows.X[:, 0].tolist() == left


def test_columnar_tables(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(
        {
            "a": [1.0, np.nan, 3.0, 4.0],
            "b": pandas.array([1, 2, None, 4], "Int64"),
            "y": [0.5, 1.5, 2.5, 3.5],
        },
        index=pandas.Index(["p", "q", "r", "s"], name="who"),
    )
    path = tmp_path / "a.parquet"
    frame.to_parquet(path)
    rows = read_table(path, ROWS)
    np.testing.assert_array_equal(rows.X, [[1, 1], [4, 4]])
    assert rows.of_file is not None
    assert rows.of_file.tolist() == [0, 3]
    frame["a"] = [1.0, np.nan, 3.0, np.inf]
    frame.to_parquet(path)
    with pytest.raises(DataError, match="'inf' in row 3"):
        read_table(path, ROWS)
    new = read_table(path.with_name("a.parquet"), FileOptions.of(drop="a", missing="rows"))
    assert new.X[:, 0].tolist() == [1, 2, 4]


def test_rows_of_a_test_table_are_left_out_as_well(tmp_path: Path) -> None:
    train = written(tmp_path, "a,y\n1,0.5\n2,1.5\n,1.5\n4,0.25\n")
    test = written(tmp_path, "y,a\n0.5,\n1.5,2\n,7\n", "test.csv")
    complete = written(tmp_path, "a,y\n1,0.5\n2,1.5\n4,0.25\n", "complete.csv")
    with pytest.raises(DataError, match=r"test\.csv.*missing='rows'"):
        load("mine", train=complete, test=test)
    data = load("mine", train=train, test=test, missing="rows")
    assert data.X_train[:, 0].tolist() == [1, 2, 4]
    assert data.X_test[:, 0].tolist() == [2]
    assert "test.csv: 2 of 3 rows are left out, as values are missing: a (1), y (1)" in data.notes
    assert data.origin is not None
    assert list(data.origin) == [0, 1, 3]


def test_rows_that_are_held_out_and_left_keep_their_numbers_of_the_file(tmp_path: Path) -> None:
    lines = [f"{'' if row % 3 == 0 else row},{row}.5" for row in range(30)]
    data = load(written(tmp_path, "a,y\n" + "\n".join(lines) + "\n"), missing="rows")
    assert data.origin is not None
    assert data.test_origin is not None
    assert data.X_train[:, 0].tolist() == list(data.origin)
    assert data.X_test[:, 0].tolist() == list(data.test_origin)


def test_no_row_without_a_gap(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b,y\n1,,0\n,2,1\n")
    with pytest.raises(
        InputError, match=r"missing: got rows, but in each of the 2 rows .*a \(1\), b \(1\); .*drop="
    ):
        read_table(path, ROWS)


def test_what_is_no_table_has_no_such_rows(tmp_path: Path) -> None:
    arrays, folder = tmp_path / "a.npz", tmp_path / "images"
    np.savez(arrays, X=np.eye(4), y=np.arange(4.0))
    folder.mkdir()
    for path, words in ((arrays, "leave such rows out of its arrays"), (folder, "is a folder")):
        with pytest.raises(InputError, match=f"missing: got rows, but .*{words}"):
            load(path, missing="rows")
    with pytest.raises(InputError, match="missing: got some for digits"):
        load("digits", missing="rows")
    with pytest.raises(InputError, match="missing: got 'columns', expected one of refuse, rows"):
        load(written(tmp_path, "a,y\n1,2\n3,4\n"), missing="columns")  # type: ignore[arg-type]


def test_a_run_is_stored_and_predicts_with_its_rows_left_out(tmp_path: Path) -> None:
    lines = [f"{row % 7},{'' if row in (3, 8) else row * row % 11},{row % 2}" for row in range(40)]
    own, run = written(tmp_path, "a,b,y\n" + "\n".join(lines) + "\n"), tmp_path / "run"
    invoke, words = CliRunner().invoke, ["solve", "--train", str(own), "--task", "classification"]
    assert "leave out such rows (--missing rows)" in str(invoke(root, words).exception)
    done = invoke(root, [*words, "--ridge", "1e-3", "--missing", "rows", "--out", str(run)])
    assert done.exit_code == 0, done.output
    assert "2 of 40 rows are left out" in done.output
    again = invoke(root, ["predict", str(run), "--dataset", str(own), "--out", str(tmp_path / "p.csv")])
    assert again.exit_code == 0, again.output
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 1 + round(0.2 * 38)
