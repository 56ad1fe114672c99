"""Targets, equal rows and nearest rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelfit.errors import DuplicateRowsError, InputError
from kernelfit.gram.points import Points
from kernelfit.solver.inputs import (
    Duplicates,
    as_targets,
    drop_duplicates,
    find_duplicates,
    nearest_neighbour,
    refuse_conflicts,
)


@pytest.mark.parametrize(
    ("targets", "shape"),
    [
        ([1, 2, 3], (3, 1)),
        (np.eye(3, dtype=bool), (3, 3)),
        (np.asfortranarray(np.ones((3, 2), np.float16)), (3, 2)),
        (np.arange(12).reshape(3, 4)[:, ::2], (3, 2)),
        (pd.Series([1.0, 2.0, 3.0]), (3, 1)),
        (pd.DataFrame({"a": [1, 2, 3], "b": [0.5, 0.5, 0.5]}), (3, 2)),
    ],
)
def test_targets_become_float64_columns(targets, shape):
    result = as_targets(targets, 3)
    assert result.shape == shape
    assert result.dtype == np.float64
    assert result.flags.c_contiguous
    assert np.array_equal(result, np.asarray(targets, float).reshape(shape))


def test_targets_are_copied():
    y = np.ones((3, 1))
    as_targets(y, 3)[0] = 7.0
    assert (y == 1).all()


def test_no_rows_are_no_error_here():
    assert as_targets(np.empty((0, 2)), 0).shape == (0, 2)
    assert as_targets([], 0).shape == (0, 1)


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        (["a", "b", "c"], "Y: got dtype <U1, expected numbers"),
        (np.array([1, None, 2], dtype=object), "Y: got a missing value at row 1"),
        (np.array([1, "a", 2], dtype=object), "Y: got dtype object"),
        (np.ones(3) * 1j, "Y: got dtype complex128"),
        (3.0, "Y: got 0 dimensions"),
        (np.ones((3, 1, 1)), "Y: got 3 dimensions"),
        ([1, 2], "Y: got 2 rows, expected 3 as in X"),
        (np.ones((3, 0)), "Y: got 0 columns"),
        ([[1], [2, 3], [4]], "Y: cannot be made an array"),
        ([[1.0, 2.0], [3.0, np.nan], [0.0, 0.0]], "Y: got nan at row 1, column 1"),
        ([1.0, 2.0, np.inf], "Y: got inf at row 2, column 0"),
    ],
)
def test_targets_that_are_refused(targets, says):
    with pytest.raises(InputError) as caught:
        as_targets(targets, 3)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


@settings(deadline=None, max_examples=80)
@given(
    st.lists(
        st.lists(st.sampled_from([0.0, -0.0, 0.3, 1.0, -1.0]), min_size=2, max_size=2),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from([np.float64, np.float32, np.int64]),
)
def test_equal_rows_are_found_and_no_others(rows, dtype):
    x = np.array(rows).astype(dtype)
    found = find_duplicates(Points(x)).groups
    expected = {}
    for index, row in enumerate(x.tolist()):
        expected.setdefault(tuple(value + 0.0 for value in row), []).append(index)
    assert sorted(found) == sorted(tuple(group) for group in expected.values() if len(group) > 1)


def test_every_row_but_the_first_of_a_group_is_dropped():
    duplicates = Duplicates(((4, 5, 9), (0, 7)))
    assert duplicates.dropped.tolist() == [5, 7, 9]


@pytest.mark.parametrize(("ridge", "kept"), [(0.0, [0, 1, 3]), (1e-3, [0, 1, 2, 3])])
def test_equal_rows_are_dropped_where_no_ridge_is_added(ridge, kept):
    notes = []
    points, targets = Points(np.array([[1.0], [2.0], [1.0], [3.0]])), np.array([[4.0], [5.0], [4.0], [6.0]])
    left, rows = drop_duplicates(points, targets, ridge, notes.append)
    assert rows.tolist() == kept
    assert np.array_equal(left, targets[kept])
    assert notes == ["1 row repeats an earlier row with the same target and was left out: 2"][: ridge == 0]
    with pytest.raises(DuplicateRowsError):
        drop_duplicates(points, np.arange(4.0)[:, None], 0.0, notes.append)


def test_conflicts_list_the_rows():
    y = np.arange(40.0).reshape(20, 2)
    refuse_conflicts(Duplicates(()), y)
    y[7] = y[3]
    refuse_conflicts(Duplicates(((3, 7),)), y)
    with pytest.raises(
        DuplicateRowsError, match=r"rows 3, 8; drop all but one of each, or give ridge > 0 \(or 'auto'\)$"
    ) as caught:
        refuse_conflicts(Duplicates(((3, 7), (3, 8))), y)
    assert caught.value.groups == ((3, 8),)
    many = Duplicates(tuple((2 * i, 2 * i + 1) for i in range(8)))
    y[6] = y[7]
    with pytest.raises(
        DuplicateRowsError, match=r"0, 1; 2, 3; 4, 5; 8, 9; 10, 11 and 2 more groups;"
    ) as caught:
        refuse_conflicts(many, y)
    assert len(caught.value.groups) == 7
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [np.float64, np.uint8])
def test_the_nearest_row_by_brute_force(rng, dtype):
    x = rng.integers(0, 256, (2500, 4)).astype(dtype)
    points = Points(x, 0.5)
    for row in (0, 1023, 1024, 2499):
        distances = np.linalg.norm((x.astype(float) - x[row].astype(float)) * 0.5, axis=1)
        distances[row] = np.inf
        neighbour, distance = nearest_neighbour(points, row)
        assert distances[neighbour] == distances.min() == pytest.approx(distance)
        assert neighbour != row


def test_one_row_has_no_neighbour():
    assert nearest_neighbour(Points(np.ones((1, 2))), 0) == (-1, float("inf"))
