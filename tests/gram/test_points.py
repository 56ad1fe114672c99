"""Rows: exact integer inner products against int64, recognition of byte grids, and every refusal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import kernelfit
from kernelfit.errors import InputError
from kernelfit.gram.arrays import as_array
from kernelfit.gram.points import Points, chunk_length, inner_products


def dots(rows: Points, columns: Points, exact: bool) -> np.ndarray:
    """<x_i, x_j> in units of both scales, put together as the kernels do."""
    if exact:
        first, second = rows.block(0, rows.shape[0], True), columns.block(0, columns.shape[0], True)
    else:
        first, second = rows.about_origin(0, rows.shape[0]), columns.about_origin(0, columns.shape[0])
    chunk = chunk_length(rows, columns)
    single = exact and first.shape[1] <= chunk
    out = np.full((rows.shape[0], columns.shape[0]), np.nan, np.float32 if single else np.float64)
    inner_products(first, second, out, chunk)
    if not exact:
        return out
    return out.astype(np.float64) + rows.vectors.offsets[:, None] + columns.vectors.offsets[None, :]


def int64_dots(x, y) -> np.ndarray:
    return x.astype(np.int64) @ y.astype(np.int64).T


def assert_exact(points: Points, integers: np.ndarray) -> None:
    assert points.exact
    assert np.array_equal(dots(points, points, True), int64_dots(integers, integers))
    squares = (integers.astype(np.int64) ** 2).sum(axis=1)
    assert np.array_equal(points.vectors.origin, squares)
    centred = integers.astype(np.int64) - points.centre
    assert np.array_equal(points.vectors.sq_norms, (centred**2).sum(axis=1))
    np.testing.assert_allclose(points.domain_sq_norms, squares * points.scale**2, rtol=1e-15)


@pytest.mark.parametrize("d", [1, 2, 19, 784, 1024, 1025, 3072])
def test_bytes_are_multiplied_exactly(rng, d):
    x = rng.integers(0, 256, (23, d), dtype=np.uint8)
    assert_exact(Points(x, 1 / 255), x)


@pytest.mark.parametrize("value", [0, 255])
def test_the_worst_case_of_a_chunk_is_still_exact(value):
    """Equal extreme bytes: every centred product has the largest magnitude and the same sign."""
    x = np.full((3, 4096), value, np.uint8)
    x[1] = 255 - value
    assert_exact(Points(x), x)


@pytest.mark.parametrize(("low", "high"), [(-300, 300), (0, 600), (1000, 1200), (-7, -1), (0, 1), (5, 5)])
@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64])
def test_small_integers_are_exact(rng, low, high, dtype):
    x = rng.integers(low, high + 1, (17, 1500)).astype(dtype)
    points = Points(x)
    assert points.values.dtype == (np.uint8 if low >= 0 and high <= 255 else np.int16)
    assert_exact(points, x)


def test_wide_integers_go_through_float64(rng):
    x = rng.integers(-30_000, 30_001, (9, 40)).astype(np.int16)
    points = Points(x)
    assert not points.exact
    assert np.array_equal(dots(points, points, False), int64_dots(x, x))  # below 2^53, so exact all the same


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_wide_integers_kept_as_floats_give_the_same_bits(rng, n):
    points = Points(rng.integers(-(10**6), 10**6, (n, 3)))
    again = Points(points.values, points.scale)
    assert np.array_equal(dots(again, again, False), dots(points, points, False))
    assert np.array_equal(again.vectors.sq_norms, points.vectors.sq_norms)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("divisor", [1, 16, 255, 256])
@pytest.mark.parametrize("form", ["quotient", "product"])
def test_floats_on_a_byte_grid_are_recognised(rng, dtype, divisor, form):
    levels = rng.integers(0, 17 if divisor == 16 else 256, (31, 200)).astype(np.uint8)
    floats = levels.astype(dtype)
    x = floats / dtype(divisor) if form == "quotient" else floats * dtype(1 / divisor)
    points = Points(x)
    assert points.values.dtype == np.uint8
    assert points.scale == 1 / divisor
    assert np.array_equal(points.values, levels)
    assert_exact(points, levels)


def test_digits_are_exact():
    from sklearn.datasets import load_digits

    x = load_digits().data
    assert_exact(Points(x / 16), x.astype(np.uint8))
    assert_exact(Points(x), x.astype(np.uint8))


@pytest.mark.parametrize("row", [0, 63, 64, 4095, 4096, 5000])
@pytest.mark.parametrize("change", [1e-6, -1.0, 2.0, 0.5 / 255])
def test_one_value_off_the_grid_is_enough(row, change):
    x = np.zeros((5001, 2))
    x[row, 1] = 7 / 255 + change
    points = Points(x)
    assert not points.exact
    assert points.scale == 1.0
    assert np.array_equal(points.scaled(0, 5001), x)


def test_a_given_scale_is_obeyed_and_floats_are_left_alone(rng):
    x = rng.integers(0, 256, (5, 3)).astype(np.float64)
    points = Points(x, 1 / 255)
    assert not points.exact
    assert np.array_equal(points.scaled(0, 5), x * (1 / 255))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_off_the_grid_are_multiplied_in_float64(rng, tolerance, dtype):
    x = rng.standard_normal((30, 111)).astype(dtype)
    points = Points(x)
    assert not points.exact
    assert points.arithmetic == "float64"
    wide = x.astype(np.float64)
    got = dots(points, points, False)
    assert np.abs(got - wide @ wide.T).max() <= tolerance(np.float64, 111) * np.abs(wide).max() ** 2


def test_training_rows_exact_and_test_rows_not(rng):
    train = rng.integers(0, 256, (12, 20)).astype(np.uint8)
    points = Points(train / 255)
    test = rng.random((4, 20))
    rows = Points(test, like=points)
    assert points.exact
    assert not rows.exact
    np.testing.assert_allclose(dots(rows, points, False), test @ (train / 255).T, rtol=1e-14)


def test_test_rows_on_the_training_grid_are_exact_with_the_training_centre(rng):
    train = rng.integers(0, 200, (12, 1300)).astype(np.uint8)
    test = rng.integers(0, 256, (5, 1300)).astype(np.uint8)
    points = Points(train / 255)
    rows = Points((test / 255).astype(np.float32), like=points)
    assert rows.exact
    assert rows.centre == points.centre
    assert np.array_equal(dots(rows, points, True), int64_dots(test, train))


def test_test_rows_on_another_grid_are_not_exact(rng):
    train = rng.integers(0, 256, (12, 6)).astype(np.uint8)
    points = Points(train / 255)
    rows = Points(rng.integers(1, 16, (3, 6)) / 16, like=points)
    assert not rows.exact
    assert rows.scale == 1.0


def test_test_rows_far_outside_the_training_range_are_not_exact():
    points = Points(np.arange(12, dtype=np.int16).reshape(4, 3))
    test = np.full((2, 3), 20_000, np.int16)
    rows = Points(test, like=points)
    assert not rows.exact
    assert np.array_equal(dots(rows, points, False), int64_dots(test, points.values))


@pytest.mark.parametrize("dtype", [np.int16, np.int64])
def test_test_rows_take_the_dtype_of_training_where_it_holds_them(rng, dtype):
    pixels = rng.integers(0, 256, (6, 40)).astype(np.uint8)
    points = Points(pixels)
    assert Points(pixels.astype(dtype), like=points).values.dtype == np.uint8
    signed = Points(pixels.astype(np.int16) - 200)
    rows = Points(pixels, like=signed)
    assert rows.values.dtype == np.int16
    assert rows.exact
    beyond = Points(pixels.astype(dtype) - 3, like=points)
    assert not beyond.exact
    assert np.array_equal(dots(beyond, points, False), int64_dots(beyond.values, pixels))


def test_zero_rows_are_allowed():
    assert Points(np.empty((0, 3)), like=Points(np.ones((2, 3)))).shape == (0, 3)


@pytest.mark.parametrize(
    "convert",
    [
        np.asfortranarray,
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x[::-1].copy()[::-1],
        lambda x: x.tolist(),
        pd.DataFrame,
        lambda x: x.astype(np.longdouble),
        lambda x: np.ma.array(x),
    ],
    ids=["fortran", "strided", "reversed", "list", "frame", "longdouble", "masked"],
)
def test_forms_of_the_same_rows(rng, convert):
    x = rng.standard_normal((7, 4))
    points = Points(convert(x))
    assert points.values.flags.c_contiguous
    assert np.array_equal(points.scaled(0, 7), x)


def test_half_floats_and_booleans(rng):
    x = rng.standard_normal((5, 4)).astype(np.float16)
    assert np.array_equal(Points(x).scaled(0, 5), x.astype(np.float64))
    flags = rng.random((5, 4)) < 0.5
    assert_exact(Points(flags), flags.astype(np.uint8))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (np.ones(3), "X: got a 1-d array of 3, expected rows (n, d); use reshape(1, -1) for one row"),
        (np.float64(3), "X: got 0 dimensions"),
        (np.ones((2, 2, 2)), "X: got 3 dimensions"),
        ([["a", "b"]], "X: got words such as 'a' in columns 0, 1"),
        (np.array([[1, None]], dtype=object), "X: got a missing value at row 0, column 1"),
        (np.array([[1, "a"]], dtype=object), "X: got words such as 'a' in column 1,"),
        (
            pd.DataFrame({"x": [1.5], "town": ["Ulm"]}),
            "X: got words such as 'Ulm' in column 'town',",
        ),
        (np.ones((2, 2)) * 1j, "X: got dtype complex128"),
        (np.array([["2020-01-01"]], dtype="datetime64[D]"), "X: got dates, expected numbers; make them"),
        ([[1.0, 2.0], [3.0]], "X: cannot be made an array"),
        (np.empty((3, 0)), "X: got 0 features"),
        (np.array([[0.0, np.nan]]), "X: got nan at row 0, column 1"),
        (np.array([[0.0], [-np.inf]], np.float32), "X: got -inf at row 1, column 0"),
        (np.array([[1e308], [1.0]]), "X: the squared norm of row 0 overflows"),
        (np.array([[1.0], [-1e160]]), "X: the squared norm of row 1 overflows"),
    ],
)
def test_rows_that_are_refused(rows, says):
    with pytest.raises(InputError) as caught:
        Points(rows)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_nan_far_down_is_named():
    x = np.zeros((9000, 2), np.float32)
    x[8191, 1] = np.nan
    with pytest.raises(InputError, match=r"at row 8191, column 1"):
        Points(x)


@pytest.mark.parametrize("scale", [0, -1, np.nan, np.inf, "wide"])
def test_a_scale_must_be_positive(scale):
    with pytest.raises(InputError, match=r"^scale: got .*expected a"):
        Points(np.ones((2, 2)), scale)


def test_another_number_of_features_is_refused():
    with pytest.raises(InputError, match=r"^X: got 2 features, expected 3 as in training$"):
        Points(np.ones((1, 2)), like=Points(np.ones((1, 3))))


def test_huge_single_precision_numbers_are_fine():
    x = np.array([[3e38], [-3e38]], np.float32)
    assert np.isfinite(Points(x).domain_sq_norms).all()


def test_as_array_names_the_argument():
    with pytest.raises(InputError, match=r"^Y: cannot be made an array .*expected rows of equal length$"):
        as_array([[1], [2, 3]], "Y")


@settings(deadline=None, max_examples=80)
@given(
    hnp.arrays(
        np.int16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(-350, 350)
    ),
    st.floats(1e-3, 1e3),
)
def test_integers_of_any_kind_are_exact_or_go_through_float64(x, scale):
    points = Points(x, scale)
    if points.exact:
        assert_exact(points, x)
    expected = int64_dots(x, x) * scale**2
    np.testing.assert_allclose(dots(points, points, False), expected, rtol=1e-12, atol=1e-9 * scale**2)


@settings(deadline=None, max_examples=80)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.sampled_from(
            [0.0, -0.0, 1.0, 0.5, 1 / 16, 3 / 255, 0.1, 255.0, 256.0, -1.0, 1e-300, 1e30]
        ),
    )
)
def test_what_is_stored_is_what_came(x):
    points = Points(x)
    eps = np.finfo(x.dtype).eps
    np.testing.assert_allclose(points.scaled(0, len(x)), x, rtol=eps, atol=0)


def test_norms_whose_fourfold_overflows_are_refused_in_one_line():
    """A RuntimeWarning came first."""
    with pytest.raises(InputError, match="the squared norm of row 0 overflows"):
        Points(np.full((2, 1), 1e154))


@pytest.mark.parametrize("scale", [1e160, 1e200, 1e308])
def test_integers_that_a_scale_takes_out_of_range_are_refused(scale):
    """Python's own OverflowError came."""
    with pytest.raises(InputError, match="the squared norm of row 0 overflows"):
        Points(np.full((2, 3), 7, np.uint8), scale)


@pytest.mark.parametrize(("n", "refused"), [(40, False), (3000, True)])
def test_an_array_that_is_changed_after_the_solve_gives_no_wrong_prediction(rng, n, refused):
    """Small arrays are copied; a large one that was changed is refused."""
    X = rng.standard_normal((n, 60))
    points = Points(X)
    before = points.values.copy()
    points.require_unchanged()
    X -= X.mean(axis=0)
    if refused:
        with pytest.raises(
            InputError, match=r"^X: the array that the solution is of was changed since the solve"
        ):
            points.require_unchanged()
    else:
        points.require_unchanged()
        assert np.array_equal(points.values, before)


def test_a_solution_of_an_array_that_was_changed_predicts_as_before_or_refuses(rng):
    X = rng.standard_normal((200, 3))
    solution = kernelfit.solve(X, X[:, 0], gamma=1.0)
    expected = solution.predict(X[:5].copy())
    new = X[:5].copy()
    X *= 2
    assert np.array_equal(solution.predict(new), expected)


@pytest.mark.parametrize("n", [1, 2, 3, 50, 1_000, 1_500])
def test_the_centre_is_the_median_of_an_odd_number_of_rows(rng, n):
    rows = rng.standard_normal((n, 3))
    count = min(n - 1 + n % 2, 1_001)
    sample = rows[np.linspace(0, n - 1, count).astype(int)]
    np.testing.assert_array_equal(Points(rows).median, np.median(sample, axis=0))


def test_the_array_of_an_object_that_hands_its_own_over_is_copied_too():
    """xarray's and others' was taken for one that had just been made, and was watched by nobody."""

    class Wrapped:
        values = np.arange(12.0).reshape(4, 3) - 0.5

        def __array__(self, dtype=None, copy=None):
            return self.values

    points = Points(Wrapped())
    Wrapped.values += 1.0
    assert points.values[0, 0] == -0.5


@pytest.mark.parametrize("dtype", [np.float64, np.uint8])
def test_a_scale_that_leaves_rows_without_their_digits_is_refused(rng, dtype):
    """Cosines were off by 0.75, without a word."""
    x = rng.integers(0, 256, (6, 3)).astype(dtype)
    with pytest.raises(
        InputError, match=r"^scale: got 1e-320, of which rows are up to .*e-318 long, expected"
    ):
        Points(x, 1e-320)
    assert Points(x, 1e-300).lengths.all()
