"""Labels: integers are classes, anything else is a regression target."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelfit.datasets.labels import as_among, encode_labels, names_of
from kernelfit.datasets.rows import Rows
from kernelfit.datasets.table_columns import TableColumns
from kernelfit.errors import DataError, InputError


def rows(y: Any, names: tuple[str, ...] | None = None, path: str = "a.npz") -> Rows:
    y = np.asarray(y)
    return Rows(Path(path), np.zeros((len(y), 1)), y, None, names)


def test_codes_follow_the_order_of_the_values_over_both_parts() -> None:
    (train, test), classes, notes = encode_labels([rows([3, -2, 3, -2, 1, 1]), rows([1, -2])])
    assert train.tolist() == [2, 0, 2, 0, 1, 1]
    assert test.tolist() == [1, 0]
    assert classes == ("-2", "1", "3")
    assert notes == (
        "a.npz: y holds 3 different integers in 8 rows, taken as classes; task='regression' takes them as numbers",
    )
    assert train.dtype == np.int64


@pytest.mark.parametrize("dtype", ["u1", "i2", "u8", "i8", "f4", "f8"])
def test_every_type_of_whole_number_is_a_class(dtype: str) -> None:
    (train, _), classes, _ = encode_labels([rows(np.array([1, 0, 1, 0], dtype)), rows(np.array([1], dtype))])
    assert train.tolist() == [1, 0, 1, 0]
    assert classes == ("0", "1")


def test_booleans_are_called_as_they_stand() -> None:
    """They were called 0 and 1."""
    flags = rows([True, False, True, False])
    (train, _), classes, notes = encode_labels([flags, rows([True])])
    assert (train.tolist(), classes, notes) == ([1, 0, 1, 0], ("False", "True"), ())
    assert encode_labels([flags, rows([0, 1])])[1] == ("0", "1")  # the other part holds numbers
    assert encode_labels([flags, rows([True])], "regression")[1] is None
    # Beside a table, by its names.
    for names in (("False", "True"), ("FALSE", "TRUE")):
        (train, test), classes, _ = encode_labels([rows([0, 1], names), flags])
        assert (train.tolist(), test.tolist(), classes) == ([0, 1], [1, 0, 1, 0], names)
    # TRUE of Excel was another class than True, which pandas makes of it.
    (_, test), classes, _ = encode_labels([rows([0, 1], ("FALSE", "TRUE")), rows([1, 0], ("False", "true"))])
    assert (test.tolist(), classes) == ([1, 0], ("FALSE", "TRUE"))
    assert as_among(("True", "FALSE", "x"), ("0", "1")) == ("1", "0", "x")
    assert as_among(("True", "FALSE"), ("no", "TRUE")) == ("TRUE", "FALSE")
    # Of numbers beside a word, as pandas writes them where one is missing.
    assert as_among(("1.0", "0.0", "-0.5", "x", "2.0"), ("0", "1", "-0.5")) == ("1", "0", "-0.5", "x", "2.0")
    with pytest.raises(DataError, match="the further classes False, True"):
        encode_labels([rows([0, 1], ("no", "yes")), flags])


@pytest.mark.parametrize(
    ("y", "classes", "names", "noted"),
    [
        ([True, False], ("False", "True"), ["True", "False"], False),
        ([True, False], ("FALSE", "TRUE", "unsure"), ["TRUE", "FALSE"], False),
        ([True, False], ("0", "1"), ["1", "0"], False),
        ([1, 0], ("False", "True"), ["True", "False"], True),
        ([1.0, 2], ("False", "True"), ["1", "2"], False),
        ([1.0, 0.5], ("0.5", "1"), ["1", "0.5"], False),
    ],
)
def test_labels_of_numbers_are_called_as_the_classes_are(
    y: list[Any], classes: tuple[str, ...], names: list[str], noted: bool
) -> None:
    called, notes = names_of(np.array(y), classes, "a.npz")
    assert called == names
    assert notes == (("a.npz: labels 0 and 1 are taken as False and True",) if noted else ())


def test_a_column_of_labels_is_flattened() -> None:
    (train, _), classes, _ = encode_labels([rows([[1], [0], [1], [0]]), rows([[1]])])
    assert train.tolist() == [1, 0, 1, 0]
    assert classes == ("0", "1")


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (np.arange(200) % 20, True),  # few
        (-(np.arange(200) % 20), True),
        (np.arange(210) % 21, True),  # from 0, 10 rows each
        (np.arange(210) % 21 + 1, True),  # from 1
        (np.arange(1000.0) % 100, True),  # floats that are whole
        (np.repeat([0, 1, 2, 3, 5, 6, 9], 3), True),  # digits, of which some are missing
        (np.array([2, 4] * 10), True),  # the diagnoses of the Wisconsin breast cancers
        (np.arange(104) % 21, False),  # 20 in 5 rows, one in 4
        (np.arange(420) % 42 * 2, False),  # many with gaps
        (np.repeat(np.arange(18, 91), 400), False),  # ages of a large file
        (np.repeat([18, 25, 31, 44, 60], 40), False),  # a few ages
        (np.arange(1000) % 100 + 5, False),
        (np.repeat([120000.0, 180000.0], 30), False),  # prices
        (np.repeat([2019, 2020, 2021], 30), False),  # years
        (np.array([23, 25, 26, 28, 24, 27, 29, 30, 31, 22]), False),  # each once
        (np.random.default_rng(0).poisson(12, 2000), False),  # counts
    ],
)
def test_integers_are_classes_or_targets_and_the_guess_is_said(y: Any, classes: bool) -> None:
    (train, test), names, notes = encode_labels([rows(y[:-9]), rows(y[-9:])])
    assert (names is not None) == classes
    assert f"{len(set(y.tolist()))} different integers in {len(y):,} rows, taken as " in notes[0]
    for task in ("classification", "regression"):
        (train, test), names, notes = encode_labels([rows(y[:-9]), rows(y[-9:])], task)
        assert not any("taken as" in note for note in notes)
        if task == "regression":
            assert names is None
            assert train.dtype == np.float64
            np.testing.assert_array_equal(np.concatenate([train, test]), y)
        else:
            assert names is not None
            assert [float(names[code]) for code in (*train, *test)] == y.tolist()


def test_words_that_tell_rows_apart_are_said() -> None:
    names = tuple(f"n{index}" for index in range(9))
    columns = TableColumns(("a",), "name", ("a", "name"), named=True)
    parts = [dataclasses.replace(rows(range(9), names), columns=columns), rows([0], names)]
    _, _, notes = encode_labels(parts)
    assert (
        "y holds 9 different words in 10 rows, taken as classes; target=NAME names another column" in notes[0]
    )
    assert (
        encode_labels(
            [dataclasses.replace(rows([0, 1] * 4, names[:2]), columns=columns), rows([0], names[:2])]
        )[2]
        == ()
    )


def test_what_a_task_makes_of_labels() -> None:
    (train, _), names, _ = encode_labels([rows([0.5, 1, 0.5]), rows([1.0])], "classification")
    assert (train.tolist(), names) == ([0, 1, 0], ("0.5", "1"))
    # Of float32 they were called 0.10000000149011612 by training and 0.1 by new rows, large ones 1e+20 and 1000...
    for kind, other in (("f4", "f4"), ("f4", "f8"), ("f8", "f4")):
        y, new = np.array([0.1, 0.3, -2, 2**70, 0.3], kind), np.array([0.3, 0.1, 2**70], other)
        (train, test), names, notes = encode_labels([rows(y), rows(new)], "classification")
        assert train.tolist() == [1, 2, 0, 3, 2]
        assert test.tolist() == [2, 1, 3]
        assert names == ("-2", "0.1", "0.3", str(2**70))
        assert notes == ()
        assert names_of(new, names, "a.npz") == (["0.3", "0.1", str(2**70)], ())
    # 0.1 of float32 was another class than 0.10000000149011612, which float64 makes of it.
    for kind, other in (("f4", "f8"), ("f8", "f4"), ("f2", "f4"), ("f4", "f2")):
        y = np.array([0.1, 0.3, 0.1], "f2" if "f2" in (kind, other) else "f4")
        (train, test), names, notes = encode_labels(
            [rows(y.astype(kind)), rows(y.astype(other))], "classification"
        )
        assert train.tolist() == test.tolist() == [0, 1, 0]
        assert names == tuple(map(str, y[:2].astype(kind)))
        assert notes == ()
        new = np.array([*y, 70000.5], other if other != "f2" else "f8")
        assert names_of(new, names, "a.npz") == ([names[0], names[1], names[0], "70000.5"], ())
    (train, _), names, _ = encode_labels([rows([0.1, float(np.float32(0.1))]), rows([0.1])], "classification")
    assert (train.tolist(), names) == ([0, 1], ("0.1", "0.10000000149011612"))
    one_hot = [[1, 0], [0, 1], [1, 0]]
    (train, _), names, notes = encode_labels([rows(one_hot), rows(one_hot[:1])])
    assert names is None
    assert "a single 1 among zeros, taken as 2 targets; task='classification'" in notes[0]
    (train, _), names, _ = encode_labels([rows(one_hot), rows(one_hot[:1])], "classification")
    assert (train.tolist(), names) == ([0, 1, 0], ("0", "1"))
    with pytest.raises(InputError, match=r"task: got classification, but y of a\.npz has shape \(2, 2\)"):
        encode_labels([rows([[1, 1], [0, 1]]), rows([[1, 1]])], "classification")
    with pytest.raises(InputError, match=r"task: got regression, but y of a\.npz holds text"):
        encode_labels([rows([0, 1], ("a", "b")), rows([0], ("a", "b"))], "regression")


@pytest.mark.parametrize("y", [[0.5, 1, 2], [[1.0, 2], [3, 4], [5, 6]], [[1, 0], [0, 1], [1, 0]]])
def test_anything_else_is_a_target(y: Any) -> None:
    (train, test), classes, _ = encode_labels([rows(y), rows(y[:1])])
    assert classes is None
    assert train.dtype == np.float64
    np.testing.assert_array_equal(train, y)
    np.testing.assert_array_equal(test, y[:1])


def test_whole_test_targets_stay_targets_when_training_targets_have_fractions() -> None:
    (_, test), classes, _ = encode_labels([rows([0.5, 1.5]), rows([1.0, 2.0])])
    assert classes is None
    assert test.tolist() == [1.0, 2.0]


def test_the_largest_unsigned_codes_keep_apart_from_negative_ones() -> None:
    big = np.array([2**64 - 1, 0, 2**64 - 1, 0], np.uint64)
    (train, test), classes, _ = encode_labels([rows(big), rows(np.array([-1], np.int64))], "classification")
    assert classes == ("-1", "0", str(2**64 - 1))
    assert train.tolist() == [2, 1, 2, 1]
    assert test.tolist() == [0]


def test_codes_past_the_exact_range_of_floats_are_refused() -> None:
    with pytest.raises(DataError, match=r"class codes in y up to 2\^53"):
        encode_labels([rows([1.0, 1e300]), rows([1.0])], "classification")
    (train, _), classes, _ = encode_labels([rows([1.0, 1e300]), rows([1.0])])
    assert classes is None
    assert train.tolist() == [1.0, 1e300]


@pytest.mark.parametrize("y", [[2**60, 2**60 + 1], [[2**60 + 1, 0], [0, 1]]])
def test_targets_past_the_exact_range_of_floats_are_refused(y: Any) -> None:
    with pytest.raises(
        DataError, match=r"integers up to 2\^53 in y, as float64 holds, found 1152921504606846977"
    ):
        encode_labels([rows(np.array(y))])


def test_many_classes_and_unseen_ones_are_noted() -> None:
    _, _, notes = encode_labels([rows([1, 2, 3, 4] * 2), rows([6, 6])])
    assert "5 different integers in 10 rows" in notes[0]
    assert "the class '6', which no training row has" in notes[1]


def test_named_classes_are_matched_by_name() -> None:
    (_, test), classes, _ = encode_labels([rows([0, 1, 2], ("a", "b", "c")), rows([0, 1], ("b", "c"))])
    assert classes == ("a", "b", "c")
    assert test.tolist() == [1, 2]
    with pytest.raises(DataError, match="the further class 'd'"):
        encode_labels([rows([0, 1], ("a", "b")), rows([0], ("d",))])
    with pytest.raises(InputError, match="one that names its classes and one that does not"):
        encode_labels([rows([0, 1], ("a", "b")), rows([0])])


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30))
def test_classes_and_codes_give_the_labels_back(values: list[int]) -> None:
    y = np.array(values, np.int64)
    (train, test), classes, _ = encode_labels([rows(y), rows(y[:1])], "classification")
    assert classes is not None
    assert [int(classes[code]) for code in train] == values
    assert int(classes[test[0]]) == values[0]


def test_all_classes_that_no_training_row_has_are_named() -> None:
    """The first alone was: the next call told the next one."""
    with pytest.raises(DataError, match=r"found the further classes c, d; leave such rows out"):
        encode_labels([rows([0, 1], ("a", "b")), rows([0, 1, 2], ("a", "c", "d"))])
    *_, notes = encode_labels([rows([0, 1, 0, 1]), rows([0, 2, 3])], "classification")
    assert "test rows hold the classes 2, 3, which no training row has" in notes
