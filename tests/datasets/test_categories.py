"""Columns of words become columns of 0 and 1, the same ones for new rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import OneHotEncoder

from kernelfit.datasets.categories import are_dates, are_measures, one_hot, too_many
from kernelfit.datasets.file_options import FileOptions
from kernelfit.datasets.table import read_columns, read_table
from kernelfit.datasets.table_columns import TableColumns
from kernelfit.errors import DataError, InputError

CARS = pd.DataFrame(
    {
        "size": [1.5, 2.0, 0.5, 1.0] * 3,
        "colour": ["red", "blue", "red", ""] * 3,
        "doors": [2, 4, 4, 5] * 3,
        "fuel": ["petrol", "electric", "electric", "petrol"] * 3,
        "price": [0.5, 1.5, 2.5, 3.5] * 3,
    }
)


def stored(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.replace("", None).astype({"fuel": "category"} if "fuel" in frame else {}).to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_words_are_encoded_as_by_scikit_learn_and_remembered(tmp_path: Path, suffix: str) -> None:
    rows = read_table(stored(CARS, tmp_path / f"cars{suffix}"))
    columns = rows.columns
    assert columns is not None
    encoder = OneHotEncoder(sparse_output=False).fit(CARS[["colour", "fuel"]])
    expected = np.hstack([CARS[["size", "doors"]], encoder.transform(CARS[["colour", "fuel"]])])
    np.testing.assert_array_equal(rows.X, expected)
    assert columns.names == (
        *("size", "doors", "colour=", "colour=blue", "colour=red", "fuel=electric", "fuel=petrol"),
    )
    note = "words are encoded, a column of 0 and 1 for each: colour ('', blue, red), fuel (electric, petrol)"
    assert f"cars{suffix}: {note}" in rows.notes
    again = TableColumns.of_dict(columns.to_dict())
    assert again == columns
    turned = stored(CARS[CARS.columns[::-1]], tmp_path / f"new{suffix}")
    np.testing.assert_array_equal(read_columns(turned, again).X, expected)
    np.testing.assert_array_equal(again.encoded_frame(CARS.replace("", None), print, "rows"), expected)
    missing = CARS.replace("", None).convert_dtypes()  # pandas' NA
    np.testing.assert_array_equal(again.encoded_frame(missing, print, "rows"), expected)
    table = pytest.importorskip("pyarrow").Table.from_pandas(missing)
    np.testing.assert_array_equal(again.encoded_frame(table, print, "rows"), expected)


@pytest.mark.parametrize("absent", ["NA", "None", ""])
@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_what_is_missing_in_a_frame_is_the_category_that_says_so(
    tmp_path: Path, absent: str, dtype: Any
) -> None:
    cars = CARS.assign(colour=["red", "blue", "red", absent] * 3)
    rows = read_table(stored(cars, tmp_path / "cars.csv"))
    assert rows.columns is not None
    frame = pd.read_csv(tmp_path / "cars.csv")
    assert frame["colour"].isna().sum() == 3  # pandas' reader keeps none of these words
    notes: list[str] = []
    encoded = rows.columns.encoded_frame(frame.astype({"colour": dtype}), notes.append, "rows")
    np.testing.assert_array_equal(encoded, rows.X)
    assert notes == []


def test_missing_values_of_several_categories_are_none_of_them(tmp_path: Path) -> None:
    cars = CARS.assign(colour=["red", "NA", "null", "red"] * 3)
    columns = read_table(stored(cars, tmp_path / "cars.csv")).columns
    assert columns is not None
    notes: list[str] = []
    new = CARS.assign(colour=pd.array(["red", pd.NA, "null", "red"] * 3, dtype="string"))
    encoded = columns.encoded_frame(new, notes.append, "rows")
    assert encoded[:4, 2:5].tolist() == [[0, 0, 1], [0, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert notes[0].startswith(
        "rows: column 'colour' holds words that were not trained on, '' in 3 of 12 rows"
    )


def test_words_that_were_not_trained_on_are_said(tmp_path: Path) -> None:
    columns = read_table(stored(CARS, tmp_path / "cars.csv")).columns
    new = CARS.assign(colour=["red", "mauve", "teal", "teal"] * 3)
    rows = read_columns(stored(new, tmp_path / "new.csv"), columns)
    assert rows.X[:3, 2:5].tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert (
        "new.csv: column 'colour' holds words that were not trained on, mauve, teal in 9 of 12 rows, the first in "
        "line 3: they count as none of the known ones"
    ) in rows.notes
    with pytest.raises(DataError, match="a number in column 'size', found 'large'"):
        read_columns(stored(CARS.assign(size=["1", "large"] * 6), tmp_path / "a.csv"), columns)
    assert columns is not None
    with pytest.raises(InputError, match="rows: got words in column 'size', expected numbers"):
        columns.encoded_frame(CARS.assign(size="large"), print, "rows")


@pytest.mark.parametrize(
    ("cells", "what"), [("1_0", "words"), ("12", "words"), (b"12", "words"), (1 + 2j, "complex numbers")]
)
def test_what_numpy_alone_takes_for_numbers_is_refused_in_a_frame(
    tmp_path: Path, cells: object, what: str
) -> None:
    """1_0 was 10, and the imaginary part was lost."""
    columns = read_table(stored(CARS, tmp_path / "cars.csv")).columns
    assert columns is not None
    with pytest.raises(InputError, match=f"rows: got {what} in column 'size', expected numbers"):
        columns.encoded_frame(CARS.assign(size=[cells] * len(CARS)), print, "rows")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"name": [f"n{row}" for row in range(12)]},
            r"12 different words in column 'name' of 12 rows \('n0' in line 2\)",
        ),
        (
            {"rating": ["1", "2", "3", "3+"] * 3},
            r"a number in column 'rating', found '3\+' in line 5 and 2 more; write numbers alone",
        ),
        (
            {"mood": ["1", "2", "3", "bad"] * 3},
            r"a number in column 'mood', found 'bad' in line 5 and 2 more; mend it",
        ),
        ({"weight": ["$5", "$6", "$7"] * 4}, "found '.5' in line 2 and 11 more; write numbers alone"),
        ({"sold": ["2021-05-01", "2021-06-01"] * 6}, "dates or times in column 'sold'"),
        ({"sold": ["2021-05-01", "NA", "2021-06-01"] * 4}, "dates or times in column 'sold'"),
        ({"sold": ["1 Jan 2020", "02-Feb-2020", "03MAR2020:10:00"] * 4}, "dates or times in column 'sold'"),
        ({"sold": ["Jan 1, 2020", "March 12 2020"] * 6}, "dates or times in column 'sold'"),
        ({"weight": ["'5'", "'6'", "'7'"] * 4}, "found .'5'. in line 2 and 11 more; write numbers alone"),
        ({"cost": ["$5", "$7", "NA"] * 4}, "found '.5' in line 2 and 7 more; write numbers alone"),
    ],
)
def test_what_is_no_category_is_refused_with_what_leaves_it_out(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = stored(CARS.assign(**changes)[[*changes, *CARS.columns]], tmp_path / "a.csv")
    with pytest.raises(DataError, match=message) as raised:
        read_table(path)
    (name,) = changes
    assert f"drop=['{name}']" in str(raised.value) or "write numbers" in message
    assert read_table(path, FileOptions.of(drop=name)).X.shape == (12, 7)


def test_a_label_that_may_be_the_first_column_is_asked_for(tmp_path: Path) -> None:
    path = stored(CARS[["fuel", "size", "price"]], tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"name it with target='fuel' or target='price'"):
        read_table(path)
    assert read_table(path, FileOptions.of("price")).X.shape == (12, 3)
    assert read_table(path, FileOptions.of("fuel")).class_names == ("electric", "petrol")


@pytest.mark.parametrize("missing", ["", "nan", "NA"])
def test_words_of_which_most_are_missing_are_categories(tmp_path: Path, missing: str) -> None:
    """Those written nan counted as numbers, and the words as few among these."""
    path = tmp_path / "a.csv"
    path.write_text(
        "a,b,y\n"
        + "".join(f"{word},{row},{row}.5\n" for row, word in enumerate(["u", "v", "u", *[missing] * 7]))
    )
    rows = read_table(path, FileOptions.of("y"))
    assert rows.columns is not None
    assert rows.columns.categories == (tuple(sorted({"u", "v", missing})), None)


def test_columns_without_values_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b,c,Unnamed: 3,y\n1,,NA,,2\n3,,?,,4\n")
    rows = read_table(path)
    assert rows.X.tolist() == [[1], [3]]
    assert "a.csv: columns without any value are left out: b, c, Unnamed: 3" in rows.notes


def test_numbers_dates_and_names_are_told_from_categories() -> None:
    assert all(map(are_measures, (["0x10"], ["1_000", "2_000"], ["$5", "-€ 7,5", ""], ["12 %"], ["١٢"])))
    assert are_measures([f"{i} km/h" for i in range(11)])
    assert are_measures(["1e-5", "-2.5", "inf"])
    assert not any(map(are_measures, (["1st", "2nd"], ["4WD"], ["<5", ">=5"], ["10-20"], ["3+"], ["M", "F"])))
    assert not are_measures(["1" + "a" * 5000 + "!"] * 11)
    assert are_dates(["2021-05-01 12:30:00", ""])
    assert are_dates(["1/5/21", "01.05.2021", "20200131T235959", "20200131T2359"])
    assert are_dates(["1 day, 0:00:05", "0:00:00", "-2 days +23:59:59.5"])
    # A missing value is neither of them, nor a reason to take the others for words.
    assert are_dates(["1/5/21", "NA", "?"])
    assert are_measures(["$5", "nan", "\\N"])
    assert not are_dates(["NA", ""])
    assert not are_measures([""])
    assert not are_dates(["May", "1-2"])
    assert too_many(["x"] * 101, 10**6)
    assert too_many(["x"] * 11, 21)
    assert not too_many(["x"] * 10, 10)
    assert one_hot(["b"], ["a"])[0].tolist() == [[0]]


@pytest.mark.parametrize(
    "change",
    [
        *({"categories": 3}, {"categories": [[1]]}, {"categories": [None]}, {"categories": [None, "abc"]}),
        *({"label": 0}, {"label": 3}, {"label": None}, {"label": "2"}, {"label": -1}),
    ],
)
def test_forged_categories_and_labels_are_refused(change: dict[str, Any]) -> None:
    whole = TableColumns(("a", "b"), "y", ("a", "b", "y"), categories=(None, ("x", "z"))).to_dict()
    assert TableColumns.of_dict(whole).names == ("a", "b=x", "b=z")
    with pytest.raises((TypeError, ValueError)):
        TableColumns.of_dict(whole | change)


def test_words_that_differ_in_case_alone_are_said(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2, 3], "fuel": ["Gas", "gas", "oil"], "label": ["yes", "no", "Yes"]})
    rows = read_table(stored(frame, tmp_path / "a.csv"))
    said = "a.csv: words that differ in case alone are different ones in column"
    assert f"{said} 'fuel': Gas, gas" in rows.notes
    assert f"{said} 'label': Yes, yes" in rows.notes


def test_a_table_of_words_without_a_header_keeps_its_first_row(tmp_path: Path) -> None:
    path = tmp_path / "votes.data"
    path.write_text("rep,n,y,?\ndem,y,n,n\nrep,y,y,n\ndem,n,n,?\n")
    rows = read_table(path, FileOptions.of("0"))
    assert rows.X.shape == (4, 6)
    assert rows.class_names == ("dem", "rep")
    assert "votes.data: the first line is taken as a row, as its words stand below it as well" in rows.notes
    path.write_text("party,a,b\nrep,n,y\ndem,y,n\n")
    assert len(read_table(path, FileOptions.of("party")).X) == 2


def test_names_that_begin_as_months_are_no_dates() -> None:
    assert not are_dates(["Maruti 800"])
    assert not are_dates(["mar 2020"])
    assert not are_dates(["december12"])
