"""What pandas writes, in whatever dialect, is read to the same numbers."""

from __future__ import annotations

import bz2
import csv
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernelfit.datasets.table import read_columns, read_table

pandas = pytest.importorskip("pandas")

# A comma in 1,234 is either of two marks; 0.5 in a first column says which.
NUMBERS = st.one_of(
    st.integers(-(10**6), 10**6).map(float),
    st.floats(-1e6, 1e6, allow_nan=False),
    st.floats(allow_nan=False, allow_infinity=False),
)
PACKERS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}
# None is the name of a label or an index.
NAMES = st.text(st.sampled_from("abcXYZ äß_.-"), max_size=6).map(lambda name: f"c{name}".rstrip())


@st.composite
def frames(draw: st.DrawFn) -> Any:
    names = draw(st.lists(NAMES, min_size=2, max_size=5, unique_by=str.lower))
    n = draw(st.integers(2, 40))
    columns = {name: draw(st.lists(NUMBERS, min_size=n, max_size=n)) for name in names}
    columns[names[0]] = [0.5, *columns[names[0]][1:]]
    frame = pandas.DataFrame(columns)
    if draw(st.booleans()):
        frame["words"] = draw(st.lists(st.sampled_from(["ja", "nein", "na ja"]), min_size=n, max_size=n))
    return frame


@settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    frame=frames(),
    mark=st.sampled_from(
        [(",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ","), ("|", "."), (",", ",")]
    ),
    index=st.booleans(),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    packed=st.sampled_from(list(PACKERS)),
)
def test_every_dialect_gives_the_same_numbers(
    tmp_path: Path,
    frame: Any,
    mark: tuple[str, str],
    index: bool,
    quoting: int,
    encoding: str,
    end: str,
    packed: str,
) -> None:
    path = tmp_path / f"a.csv{packed}"
    separator, decimal = mark
    text = frame.to_csv(sep=separator, decimal=decimal, index=index, quoting=quoting, lineterminator=end)
    path.write_bytes(PACKERS[packed](text.encode(encoding)))
    rows = read_table(path)
    features = frame.columns[:-1]
    assert rows.columns is not None
    assert rows.columns.features == tuple(features)
    assert np.array_equal(rows.X, frame[features].to_numpy(float))
    label = frame[frame.columns[-1]]
    if rows.class_names is None:
        assert np.array_equal(rows.y, label.to_numpy(float))
    else:
        assert [rows.class_names[code] for code in rows.y] == label.tolist()
    # New rows in another dialect and order.
    turned = frame[features[::-1]]
    turned.to_csv(tmp_path / "new.csv", index=False)
    assert np.array_equal(read_columns(tmp_path / "new.csv", rows.columns).X, rows.X)
