"""What `solve` is given: arguments and data that are refused in one line, and inputs of every form and dtype."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.metrics.pairwise import rbf_kernel

import kernelfit
from kernelfit.errors import (
    DeviceError,
    InputError,
    PlanError,
)
from kernelfit.kernels import Gaussian


def test_a_limit_of_memory_is_kept_or_refused(problem):
    x, y = problem
    with pytest.raises(
        PlanError, match=r"^memory: [\d,]+ bytes needed .* got 1,000,000: [\d,]+ missing; .*memory="
    ):
        kernelfit.solve(x, y, gamma=1.0, memory="1MB")
    solution = kernelfit.solve(x, y, gamma=1.0, memory="2GB")
    assert solution.plan.memory_limit == 2 * 10**9
    assert solution.plan.bytes_memory <= 2 * 10**9


REFUSED = [
    ({"gamma": -1}, "gamma: got -1, expected a number > 0"),
    ({"gamma": "wide"}, "gamma: got 'wide', expected a number > 0, 'median' or 'auto'"),
    ({"gamma": np.nan}, "gamma: got nan, expected a finite number"),
    ({"kernel": "round"}, "kernel: got 'round', expected one of gaussian"),
    ({"kernel": "round", "gamma": 2.0}, "kernel: got 'round', expected one of gaussian"),
    ({"precision": "mixd"}, "precision: got 'mixd', expected one of float64, float32, mixed, tf32, auto"),
    ({"kernel": Gaussian(1.0), "gamma": 2.0}, "gamma: the kernel is an object"),
    ({"kernel": "linear", "gamma": 2.0}, "gamma: the linear kernel has none"),
    ({"gamma_factor": "wide"}, "gamma_factor: got 'wide', expected a number"),
    ({"gamma_factor": 0}, "gamma_factor: got 0, expected a number > 0"),
    ({"panel_width": 0}, "panel_width: got 0, expected an integer >= 1"),
    ({"panel_width": -5}, "panel_width: got -5, expected an integer >= 1"),
    ({"panel_width": 2.5}, "panel_width: got 2.5, expected an integer >= 1"),
    ({"kernel_params": {"degree": 3}}, "degree: the gaussian kernel does not have it"),
    ({"ridge": -1.0}, "ridge: got -1.0, expected a finite number >= 0"),
    ({"ridge": np.nan}, "ridge: got nan, expected"),
    ({"jitter": -1.0}, "jitter: got -1.0, expected"),
    ({"precision": "half"}, "precision: got 'half', expected one of"),
    ({"tier": "tape"}, "tier: got 'tape', expected one of"),
    ({"memory": 0}, "memory: got 0, expected"),
    ({"memory": "lots"}, "memory: got 'lots', expected"),
    ({"threads": 0}, "threads: got 0, expected"),
    ({"threads": "2"}, "threads: got '2', expected"),
    ({"scale": -1.0}, "scale: got -1.0, expected"),
    ({"device": "tpu"}, "device: got 'tpu', expected"),
    ({"gamma": "auto", "seed": -1}, "seed: got -1, expected an integer >= 0"),
    ({"gamma": "auto", "seed": "a"}, "seed: got 'a', expected a number"),
    ({"kernel": "matern", "kernel_params": [1.5]}, "kernel_params: got [1.5], expected a dict"),
    ({"kernel_params": np.ones(2)}, "kernel_params: got array([1., 1.]), expected a dict"),
    ({"kernel_params": 0}, "kernel_params: got 0, expected a dict"),
    (
        {"kernel": np.eye(40)},
        "kernel: got array([[1., 0., 0., ..., 0., 0., 0.], [0., 1., 0., ..., 0., ..., expected",
    ),
    ({"kernel": "linear", "tier": "tape"}, "tier: got 'tape', expected one of"),
    ({"tier": np.ones(2)}, "tier: got array([1., 1.]), expected one of"),
    ({"singular": np.ones(2)}, "singular: got array([1., 1.]), expected 'ridge' or 'raise'"),
    ({"engine": np.ones(2)}, "engine: got array([1., 1.]), expected process or dask"),
    (
        {"progress": np.eye(40)},
        "progress: got array([[1., 0., 0., ..., 0., 0., 0.], [0., 1., 0., ..., 0., ..., expected",
    ),
    ({"resume": "no"}, "resume: got 'no', expected True or False"),
    ({"gamma": [[1.0], [1.0, 2.0]]}, "gamma: got [[1.0], [1.0, 2.0]], expected lists of one length"),
    ({"ridge": [[1.0], [1.0, 2.0]]}, "ridge: got [[1.0], [1.0, 2.0]], expected lists of one length"),
    ({"ridge": [1.0 + 1.0j]}, "ridge: got (1+1j), expected"),
    ({"gamma": np.complex128(1.0 + 1.0j)}, "gamma: got np.complex128(1+1j), expected a number"),
]


@pytest.mark.parametrize(
    ("arguments", "says"), REFUSED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_arguments_that_are_refused_in_one_line(problem, arguments, says):
    x, y = problem
    with pytest.raises(InputError) as caught:
        kernelfit.solve(x, y, **arguments)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [{"gamma": 2.0}, {"kernel_params": {"degree": 2}}])
def test_parameters_of_a_kernel_beside_a_precomputed_gram_are_refused(problem, given):
    x, y = problem
    with pytest.raises(InputError, match=r"^gamma: a precomputed Gram matrix is used as it is"):
        kernelfit.solve(np.eye(len(x)), y, kernel="precomputed", **given)


def test_a_scale_beside_a_precomputed_gram_is_refused(problem):
    """It was left unused without a word."""
    x, y = problem
    with pytest.raises(InputError, match=r"^scale: a precomputed Gram matrix is used as it is"):
        kernelfit.solve(np.eye(len(x)), y, kernel="precomputed", scale=2.0)


def test_a_device_that_is_not_there(problem):
    with pytest.raises(DeviceError, match=r"^device: cuda:7 "):
        kernelfit.solve(*problem, device="cuda:7")


@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        (np.ones(5), np.ones(5), "X: got a 1-d array of 5"),
        (np.empty((0, 3)), np.empty((0, 1)), "X: got 0 rows"),
        (np.empty((3, 0)), np.ones(3), "X: got 0 features"),
        ([["a"], ["b"]], [1, 2], "X: got words such as 'a'"),
        ([[1.0], [np.nan]], [1, 2], "X: got nan at row 1, column 0"),
        ([[1.0], [1e200]], [1, 2], "X: the squared norm of row 1 overflows"),
        ([[1.0], [2.0]], ["a", "b"], "Y: got dtype <U1"),
        ([[1.0], [2.0]], [1.0, np.inf], "Y: got inf at row 1, column 0"),
        ([[1.0], [2.0]], [1.0], "Y: got 1 rows, expected 2 as in X"),
        ([[1.0], [2.0, 3.0]], [1.0, 2.0], "X: cannot be made an array"),
        ([[1.0], [2.0]], [[1.0], [2.0, 3.0]], "Y: cannot be made an array"),
        (pd.DataFrame({"a": ["x", "y"]}), [1, 2], "X: got words such as 'x' in column 'a'"),
        ([[1.0], [2.0]], csr_matrix([[1.0], [2.0]]), "Y: got a sparse matrix, expected an array"),
        (np.ma.masked_greater([[1.0], [2.0]], 1.5), [1, 2], "X: got masked entries"),
        ([[1.0], [2.0]], np.ma.masked_greater([1.0, 2.0], 1.5), "Y: got masked entries"),
    ],
)
def test_data_that_are_refused_in_one_line(x, y, says):
    with pytest.raises(InputError) as caught:
        kernelfit.solve(x, y, gamma=1.0)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "convert",
    [
        np.asfortranarray,
        lambda x: np.repeat(x, 3, axis=0)[::3],
        lambda x: x.tolist(),
        pd.DataFrame,
        lambda x: x.astype(np.longdouble),
    ],
    ids=["fortran", "strided", "list", "frame", "longdouble"],
)
def test_inputs_of_every_form_give_the_same(problem, convert):
    x, y = problem
    reference = kernelfit.solve(x, y, gamma=1.0)
    solution = kernelfit.solve(convert(x), convert(y), gamma=1.0)
    assert np.array_equal(solution.alpha, reference.alpha)
    assert np.array_equal(solution.predict(convert(x)), reference.predict(x))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8, np.int64, np.uint16, bool])
def test_inputs_of_every_dtype_are_solved(rng, dtype):
    x = (rng.standard_normal((60, 8)) * 3).astype(dtype)
    x, first = np.unique(x, axis=0, return_index=True)
    y = rng.standard_normal(len(first)).astype(np.float32)
    solution = kernelfit.solve(x, y, gamma=0.2)
    wide = x.astype(float)
    np.testing.assert_allclose(rbf_kernel(wide, gamma=0.2) @ solution.alpha[:, 0], y, atol=1e-6)


def test_x_and_y_are_left_as_they_were(problem):
    x, y = problem
    before = x.copy(), y.copy()
    kernelfit.solve(x, y, gamma=1.0).predict(x)
    assert np.array_equal(x, before[0])
    assert np.array_equal(y, before[1])


def test_predictions_of_no_rows_and_of_other_widths(problem):
    x, y = problem
    solution = kernelfit.solve(x, y, gamma=1.0)
    assert solution.predict(np.empty((0, 6))).shape == (0, 3)
    with pytest.raises(InputError, match=r"^X: got 5 features, expected 6 as in training$"):
        solution.predict(np.ones((2, 5)))
    with pytest.raises(InputError, match=r"^X: got nan at row 0, column 3"):
        solution.predict(np.where(np.arange(6) == 3, np.nan, 1.0)[None])


def test_predictions_from_a_gram_with_a_gap(problem):
    """NaN came."""
    x, y = problem
    solution = kernelfit.solve(rbf_kernel(x), y, kernel="precomputed")
    rows = np.where(np.arange(len(x)) == 3, np.nan, 1.0)[None]
    with pytest.raises(InputError, match=r"^X: got nan at row 0, column 3"):
        solution.predict(rows)


def test_predictions_that_overflow_are_refused(problem):
    """NaN came, of entries of K that are infinite."""
    x, y = problem
    solution = kernelfit.solve(x, y, kernel="polynomial", ridge=0.1, gamma=1.0)
    with pytest.raises(InputError, match=r"^X: predictions of row 1 overflow"):
        solution.predict(x[:2] * [[1.0], [1e140]])


@pytest.mark.parametrize(("dtype", "said"), [(np.float32, True), (np.float64, False), (np.uint8, False)])
def test_float32_multiples_of_a_255th_are_said_to_be_taken_for_them(rng, dtype, said):
    X = rng.integers(0, 256, (30, 5))
    X = X.astype(np.uint8) if dtype == np.uint8 else (X / 255).astype(dtype)
    solution = kernelfit.solve(X, rng.standard_normal(30), gamma=1.0 if dtype != np.uint8 else 1e-5)
    assert any("taken for k/255 exactly" in note for note in solution.notes) == said
