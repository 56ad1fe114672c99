"""Parquet and Feather, where pyarrow is installed; where it is not, the file is named with what to install."""

from __future__ import annotations

import builtins
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernelfit.datasets.file_options import FileOptions
from kernelfit.datasets.table import read_columns, read_table
from kernelfit.errors import DataError


def written(path: Path, **columns: Any) -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.feather
    import pyarrow.parquet

    table = pa.table(columns)
    write = pyarrow.parquet.write_table if path.suffix == ".parquet" else pyarrow.feather.write_feather
    write(table, str(path))
    return path


@pytest.mark.parametrize("name", ["a.parquet", "a.feather", "a.arrow", "year=2026/a.parquet"])
def test_columns_of_every_type_of_number(tmp_path: Path, name: str) -> None:
    pa = pytest.importorskip("pyarrow")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    path = written(
        tmp_path / name,
        i=pa.array([1, 2], pa.int8()),
        f=pa.array([0.5, 1.5], pa.float32()),
        b=[True, False],
        d=pa.array(["1.25", "2.5"]).cast(pa.decimal128(5, 2)),
        label=pa.array(["x", "y"]).dictionary_encode(),
        k=pa.array([7, 8]).dictionary_encode(),
    )
    rows = read_table(path)
    assert rows.X.tolist() == [[1, 0.5, 1, 1.25, 7], [2, 1.5, 0, 2.5, 8]]
    assert (rows.class_names, rows.y.tolist()) == (("x", "y"), [0, 1])
    new = read_columns(
        written(tmp_path / "b.parquet", k=[9], d=[1.0], b=[True], f=[2.0], i=[3]), rows.columns
    )
    assert new.X.tolist() == [[3, 2, 1, 1, 9]]
    assert not new.labelled
    assert read_table(path, FileOptions.of(target="b", drop="label")).class_names == ("False", "True")


def test_the_index_of_pandas_is_no_feature(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"a": [5.0, 6, 7], "price": [0.5, 1.5, 2.5]}, index=[9, 2, 4])
    for index in (frame, frame.set_index(pandas.Index([9, 2, 4], name="house"))):
        index.to_parquet(tmp_path / "a.parquet")
        rows = read_table(tmp_path / "a.parquet")
        assert rows.X.tolist() == [[5], [6], [7]]
        assert rows.columns is not None
        assert rows.columns.target == "price"
        name = index.index.name or "__index_level_0__"
        assert f"a.parquet: the index, {name}, is left out" in rows.notes
        # It names new rows, as one that to_csv writes does: they were counted beside other numbers.
        new = read_columns(tmp_path / "a.parquet", rows.columns)
        assert (new.ids, new.id_name) == (("9", "2", "4"), index.index.name or "")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([1, None, None], "a number in column 'a', found 'null' in row 1 and 1 more missing in this column"),
        (
            ["2021-05-01", "2021-05-02", None],
            r"dates or times in column 'a' .*'2021-05-01' in row 0.*drop=\['a'\]",
        ),
        ([1.0, float("nan"), 2], "found 'null' in row 1"),
        ([1.0, 2, float("-inf")], "finite numbers in column 'a', found '-inf' in row 2"),
        ([0, 2**53 + 1, 1], r"integers up to 2\^53 in column 'a'.* found '9007199254740993' in row 1"),
        ([[1], [2], [3]], "a number in column 'a', found values of the type list<.*: int64>"),
        (["1.5", "2.5", "1.5"], "found '1.5' in row 0 and 2 more; it is text: store the column as numbers"),
        (["0.126", "2.512", "1.500"], "found '0.126' in row 0 and 2 more; it is text: store the column"),
        (
            ["1e-5", "2.5", "1e-5"],
            "found '1e-5' in row 0 and 2 more; it is text: store the column as numbers",
        ),
        ([b"a", b"b", b"a"], "found values of the type binary"),
        (
            [timedelta(1), timedelta(0), timedelta(1)],
            "dates or times in column 'a' .*'1 day.*00:00' in row 0",
        ),
    ],
)
def test_what_is_no_number_is_named_by_row_and_column(
    tmp_path: Path, column: list[Any], message: str
) -> None:
    path = written(tmp_path / "a.parquet", a=column, b=[1, 2, 3], y=[0.5, 1.5, 2.5])
    with pytest.raises(DataError, match=message):
        read_table(path)
    assert read_table(path, FileOptions.of(drop="a")).X.tolist() == [[1], [2], [3]]


@pytest.mark.parametrize("kind", ["binary_view", "bool8", "month_day_nano_interval"])
def test_values_that_are_neither_numbers_nor_words_are_named_by_their_type(tmp_path: Path, kind: str) -> None:
    """They were words: b'a', True, MonthDayNano(...)."""
    pa = pytest.importorskip("pyarrow", "18")
    columns = {
        "binary_view": lambda: pa.array([b"a", b"b"], pa.binary_view()),
        "bool8": lambda: pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0], pa.int8())),
        "month_day_nano_interval": lambda: pa.array([(1, 2, 3)] * 2, pa.month_day_nano_interval()),
    }
    path = written(tmp_path / "a.feather", a=columns[kind](), y=[0.5, 1.5], b=[1, 2])
    with pytest.raises(DataError, match=rf"a number in column 'a', found values of the type .*{kind}"):
        read_table(path)


def test_decimals_that_float64_rounds_are_refused(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    digits = "9007199254740993"
    column = pa.array(["0.00", f"{digits}.00"]).cast(pa.decimal128(38, 2))
    path = written(tmp_path / "a.parquet", a=column, y=[0.5, 1.5])
    with pytest.raises(
        DataError, match=rf"integers up to 2\^53 in column 'a'.* found '{digits}\.00' in row 1"
    ):
        read_table(path)
    exact = pa.array(["0.00", "9007199254740992.00"]).cast(pa.decimal128(38, 2))
    assert read_table(written(tmp_path / "b.parquet", a=exact, y=[0.5, 1.5])).X.tolist() == [[0], [2**53]]


def test_a_decimal_is_the_nearest_number_as_in_a_text(tmp_path: Path) -> None:
    """By Arrow's cast 1/3 was 0.33333333333333337."""
    pa = pytest.importorskip("pyarrow")
    values = [f"{value:.25f}" for value in (1 / 3, 2 / 3, 1e-7, 12.675)]
    column = pa.array(values).cast(pa.decimal128(38, 25))
    rows = read_table(written(tmp_path / "a.parquet", a=column, y=[0.5, 1.5, 2.5, 3.5]))
    assert rows.X[:, 0].tolist() == list(map(float, values))


def test_words_are_those_of_text_and_frames_whatever_blanks_surround_them(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    work, y = [" Private", " State-gov", " Private"], [" <=50K", " >50K", " >50K"]
    rows = read_table(written(tmp_path / "a.parquet", n=[1, 2, 3], work=work, label=y))
    assert rows.columns is not None
    assert rows.columns.names == ("n", "work=Private", "work=State-gov")
    assert rows.class_names == ("<=50K", ">50K")
    frame = pandas.DataFrame({"n": [1, 2, 3], "work": work})
    np.testing.assert_array_equal(rows.columns.encoded_frame(frame, pytest.fail, "rows"), rows.X)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"ARROW1" * 20, bytes(100)])
@pytest.mark.parametrize("name", ["a.parquet", "a.feather"])
def test_damaged_files_are_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name) as caught:
        read_table(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    plain = builtins.__import__

    def without(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return plain(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r"pip install 'kernelfit\[tables\]', or save the table as CSV"):
        read_table(tmp_path / "a.parquet")


def test_text_and_columns_give_the_same_rows(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(20, 2))
    path = written(tmp_path / "a.parquet", a=values[:, 0], y=values[:, 1])
    np.savetxt(tmp_path / "a.csv", values, delimiter=",", header="a,y", comments="", fmt="%.17g")
    one, other = read_table(path), read_table(tmp_path / "a.csv")
    assert np.array_equal(one.X, other.X)
    assert np.array_equal(one.y, other.y)
    assert one.columns == other.columns


def test_a_stream_of_arrow_is_read_as_its_file(tmp_path: Path) -> None:
    """It was no Arrow file, without a remedy."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.ipc

    table = pa.table({"a": [1.5, 2.5], "y": ["u", "v"]})
    path = tmp_path / "a.arrow"
    with pyarrow.ipc.new_stream(str(path), table.schema) as stream:
        stream.write_table(table)
        stream.write_table(table)
    rows = read_table(path)
    assert (rows.X.tolist(), rows.class_names) == ([[1.5], [2.5]] * 2, ("u", "v"))
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(DataError, match=r"a\.arrow: expected a table"):
        read_table(path)
