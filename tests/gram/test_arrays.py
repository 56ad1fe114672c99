"""What is given as numbers: pandas' nullable columns, objects, integer Grams, and what float64 does not hold."""

from __future__ import annotations

from datetime import time

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

import kernelfit
from kernelfit.errors import InputError
from kernelfit.estimators import KernelInterpolator
from kernelfit.gram.arrays import as_array, exact_floats
from kernelfit.gram.sparse import SparsePoints


@pytest.fixture
def frame(rng):
    return pd.DataFrame(rng.standard_normal((20, 3)), columns=list("abc"))


def test_nullable_columns_are_their_numbers(rng, frame):
    """They were refused as objects."""
    y = rng.standard_normal(20)
    expected = kernelfit.solve(frame.to_numpy(), y, gamma=1.0)
    nullable = kernelfit.solve(frame.astype("Float64"), y, gamma=1.0)
    assert np.array_equal(nullable.alpha, expected.alpha)
    assert np.array_equal(nullable.predict(frame.astype("Float64")), expected.predict(frame.to_numpy()))
    whole = (100 * frame).round()
    assert as_array(whole.astype("Int64"), "X").dtype == np.int64
    mixed = pd.concat([whole.astype("Int64"), frame.astype("Float64").rename(columns=str.upper)], axis=1)
    assert np.array_equal(as_array(mixed, "X"), np.hstack([whole.to_numpy(), frame.to_numpy()]))


@pytest.mark.parametrize("missing", [pd.NA, None])
def test_a_missing_value_is_named(frame, missing):
    objects = frame.astype(object)
    objects.iloc[3, 1] = missing
    with pytest.raises(
        InputError, match=r"^X: got a missing value at row 3, column 1, expected all to be there"
    ):
        kernelfit.solve(objects, np.ones(20))


class PolarsFrame:
    """What a frame of polars has: names, columns by name, and an array that makes numbers of dates."""

    def __init__(self, **columns):
        self._columns = {name: np.array(values) for name, values in columns.items()}
        self.columns = list(columns)

    def __getitem__(self, name):
        return self._columns[name]

    def to_pandas(self):
        return pd.DataFrame(self._columns)

    def __array__(self, dtype=None, copy=None):
        return np.column_stack([values.astype(np.int64) for values in self._columns.values()])


@pytest.mark.parametrize(
    "dates",
    [
        pd.date_range("2020-01-01", periods=3).to_numpy(),
        np.arange(3).astype("timedelta64[us]"),
        [time(hour) for hour in range(3)],
    ],
)
def test_dates_in_a_frame_of_polars_are_no_numbers(dates):
    """They were microseconds beside the numbers, in silence: its array has one type for all columns."""
    frame = PolarsFrame(a=[1, 2, 3], when=dates)
    with pytest.raises(
        InputError, match=r"^X: got dates in column 'when'.* \(X\.to_pandas\(\)\['when'\] - X"
    ):
        as_array(frame, "X")
    assert as_array(PolarsFrame(a=[1, 2, 3]), "X").tolist() == [[1], [2], [3]]


def test_a_query_of_polars_is_to_be_collected():
    """It was a TypeError: not subscriptable."""
    lazy = type("LazyFrame", (), {"columns": property(lambda self: pytest.fail("resolves the query"))})()
    for call in (
        lambda: as_array(lazy, "X"),
        lambda: kernelfit.solve(lazy, np.ones(3)),
        lambda: KernelInterpolator().fit(lazy, np.ones(3)),
    ):
        with pytest.raises(InputError, match=r"^X: got a LazyFrame, .*; use X\.collect\(\)"):
            call()


def test_integers_of_128_bits_of_polars_are_named():
    """They were polars' own traceback: NumPy has no such type."""
    parts = {"__module__": "polars.frame", "columns": ["a", "n"], "dtypes": ["Float64", "Int128"]}
    frame = type("DataFrame", (), parts)()
    column = type("Series", (), {"__module__": "polars.series", "dtype": "UInt128"})()
    of_frame = (
        r"^X: got Int128 in column 'n', .*; use X\.with_columns\(polars\.col\('n'\)\.cast\(polars\.Int64\)\)"
    )
    for call in (kernelfit.solve, KernelInterpolator().fit):
        with pytest.raises(InputError, match=of_frame):
            call(frame, np.ones(3))
        with pytest.raises(InputError, match=r"^[yY]: got UInt128, .*; use [yY]\.cast\(polars\.Int64\)"):
            call(np.eye(3), column)


def test_objects_that_are_no_numbers_stay_objects():
    for values in (["a", "2"], [1 + 2j, 1.0], [object(), 1.0]):
        assert as_array(np.array(values, object), "X").dtype == object
    with pytest.raises(InputError, match=r"^X: float64 does not hold the number at row 0, column 1"):
        as_array(np.array([[0.5, 2**53 + 1]], object), "X")
    assert as_array(np.array([[2**70], [0.5]], object), "X")[0, 0] == 2.0**70


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool, object])
def test_a_gram_of_integers_is_exact(dtype):
    """It was refused: `use astype(float)`."""
    K = np.eye(3, dtype=int) if dtype is bool else np.array([[200, 1, 0], [1, 200, 3], [0, 3, 100]])
    solution = kernelfit.solve(K.astype(dtype), np.ones(3), kernel="precomputed")
    assert solution.notes == []
    assert np.array_equal(
        solution.alpha, kernelfit.solve(K.astype(float), np.ones(3), kernel="precomputed").alpha
    )
    with pytest.raises(InputError, match=r"^gram: got integers beyond 2\^53"):
        exact_floats(np.array([[2**53 + 1]]), "gram")


@pytest.mark.skipif(np.finfo(np.longdouble).bits == 64, reason="long double is float64 here")
@pytest.mark.parametrize("argument", ["X", "Y", "gram", "sample_weight"])
def test_digits_that_float64_does_not_hold_are_not_rounded_in_silence(argument):
    """Long doubles were rounded without a word; those that float64 holds are taken."""
    values = {"X": np.eye(3), "Y": np.arange(3.0), "gram": np.eye(3), "sample_weight": np.ones(3)}
    values[argument] = values[argument].astype(np.longdouble)

    def solve() -> None:
        rows, kernel = (values["gram"], "precomputed") if argument == "gram" else (values["X"], "linear")
        kernelfit.solve(rows, values["Y"], kernel=kernel, sample_weight=values["sample_weight"])

    solve()
    values[argument][0] += np.longdouble(1) / 3
    with pytest.raises(InputError, match=rf"^{argument}: got (float128|longdouble|float96) with digits"):
        solve()


def test_integers_beyond_float64_are_refused_as_targets_and_weights():
    """2^53 + 1 became 2^53."""
    large = np.array([1, 2, 2**53 + 1])
    with pytest.raises(InputError, match=r"^Y: got integers beyond 2\^53"):
        kernelfit.solve(np.eye(3), large, kernel="linear")
    with pytest.raises(InputError, match=r"^sample_weight: got integers beyond 2\^53"):
        kernelfit.solve(np.eye(3), np.ones(3), kernel="linear", sample_weight=large)


def test_columns_of_several_types_are_not_rounded_in_silence(rng):
    """NumPy makes integers beside floats float64; sparse rows became float64 as they came."""
    stamps = np.array([2**60 + 1, 2**60 + 2, 2**60 + 3])
    frame = pd.DataFrame({"t": stamps, "a": rng.standard_normal(3)})
    for values in (frame, frame.astype({"t": "Int64"})):
        with pytest.raises(
            InputError, match=r"^X\['t'\]: got the integer 1152921504606846977 at row 0, column 0"
        ):
            kernelfit.solve(values, np.ones(3))
    with pytest.raises(InputError, match=r"^X.data: got the integer 1152921504606846977 at row 0"):
        SparsePoints(csr_array(stamps[:, None]))
    frame["t"] -= 2**60
    assert as_array(frame, "X").dtype == np.float64


def test_nothing_is_no_array():
    with pytest.raises(InputError, match=r"^X: got None, expected an array$"):
        as_array(None, "X")
