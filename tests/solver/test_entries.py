"""Entries of K that float32 cannot hold, functions that are not symmetric, Grams whose triangles differ, identities."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.gaussian_process.kernels import RBF

import kernelfit
from kernelfit.errors import InputError, NotPositiveDefiniteError
from kernelfit.kernels import Gaussian, Pairwise
from kernelfit.solver import gamma
from kernelfit.solver.entries import asymmetry


@pytest.mark.parametrize("unit", [1e20, 1e-20])
def test_entries_beyond_float32(rng, unit):
    """K above 3e38 gave alpha = 0."""
    x, y = unit * rng.standard_normal((30, 40)), rng.standard_normal(30)
    with pytest.raises(InputError, match=r"^precision: got float32, but K has entries of the order of"):
        kernelfit.solve(x, y, kernel="linear", precision="float32")
    mixed = kernelfit.solve(x, y, kernel="linear", precision="mixed")
    assert mixed.plan.precision == "float64"
    assert any(note.startswith("mixed precision fell back to float64: K has") for note in mixed.notes)
    assert mixed.certificate.interpolates
    np.testing.assert_array_equal(mixed.alpha, kernelfit.solve(x, y, kernel="linear").alpha)


@pytest.mark.parametrize("given", ["rows", "matrix"])
def test_entries_that_have_lost_digits_are_refused(rng, given):
    """Beside a ridge entries of 1e-321 were solved with, of two digits each, and a backward error of 1e-16."""
    x, y = rng.standard_normal((6, 8)) * 1e-161, rng.standard_normal(6)
    kernel, rows = ("linear", x) if given == "rows" else ("precomputed", x @ x.T)
    with pytest.raises(InputError, match=r"^K: has entries of up to .*e-32\d, expected 2.23e-308 or more"):
        kernelfit.solve(rows, y, kernel=kernel, ridge=1e-310)
    few = kernelfit.solve(x[:, :3], x[:, 0], kernel="linear")
    assert few.weights is not None
    assert few.certificate.interpolates


@pytest.mark.parametrize("degree", [2, 3])
def test_a_kernel_that_vanishes_in_float64_is_refused(rng, degree):
    """|x|^4 of rows of 1e-160 has no number: beside a ridge predictions were 0, and a norm of 0 was known exactly."""
    x, y = rng.standard_normal((6, 8)), rng.standard_normal(6)
    options = {"kernel": "polynomial", "gamma": 1.0, "kernel_params": {"degree": degree, "coef0": 0.0}}
    with pytest.raises(
        InputError, match=r"^K: has entries of up to 0, expected 2.23e-308 or more.*rescale X"
    ):
        kernelfit.solve(1e-160 * x, y, ridge=1.0, **options)
    assert not kernelfit.solve(np.zeros_like(x), y, ridge=1.0, **options).fitted.any()  # as it is


def lopsided(x, y):
    return 2.0 if x[0] == y[0] else 0.01 + 0.001 * x[0]


def rounded(x, y):
    total = 0.0
    for k in range(x.shape[0]):
        total += x[k] * 0.1 * y[k]
    return np.exp(total)


@pytest.mark.parametrize("composite", [False, True])
def test_a_function_that_is_not_symmetric_is_refused(rng, composite):
    """Its lower triangle was solved: `interpolates=True` while predictions were off by 0.36."""
    x = rng.standard_normal((200, 2))
    kernel = Pairwise(lopsided)
    with pytest.raises(
        InputError, match=r"^kernel: got k\(x, y\) = .* expected a symmetric function; "
    ) as caught:
        kernelfit.solve(x, x[:, 0], kernel=kernel + Gaussian(1.0) if composite else kernel)
    assert "\n" not in str(caught.value)


def test_a_function_that_is_symmetric_to_rounding_is_solved(rng):
    x = rng.standard_normal((40, 60))
    assert kernelfit.solve(x, x[:, 0], kernel=Pairwise(rounded)).certificate.interpolates


def test_triangles_that_differ_are_noted(rng):
    gram = np.eye(2_000)
    gram[3, 1_900] = 0.5
    notes = kernelfit.solve(gram, np.ones(2_000), kernel="precomputed").notes
    assert notes == [
        "gram: not symmetric, it has 0 at (1900, 3) and 0.5 at (3, 1900); only the lower triangle is read"
    ]
    gram[1_900, 3] = 0.5
    assert list(asymmetry(gram)) == []
    assert list(asymmetry(np.tril(gram))) == []
    single = (gram * (1 + 1e-7 * rng.standard_normal(gram.shape))).astype(np.float32)
    assert list(asymmetry(single)) == []


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ({"kernel": "gaussian", "gamma": 0.02}, "the median rule would take gamma"),
        ({"kernel": "laplacian", "gamma": 0.1}, "the median rule would take gamma"),
        (
            {"kernel": "matern", "kernel_params": {"nu": 0.5, "length_scale": 1.0}},
            "the median distance of rows is",
        ),
    ],
)
def test_a_kernel_that_sees_no_other_row_is_said_to_be_too_narrow(rng, given, remedy):
    bytes_as_floats = rng.integers(0, 256, (80, 300)).astype(float)
    y = rng.standard_normal(80)
    solution = kernelfit.solve(bytes_as_floats, y, **given)
    (note,) = [note for note in solution.notes if note.startswith("kernel too narrow: K is the identity")]
    assert "predictions away from training rows are 0" in note
    assert remedy in note
    assert kernelfit.solve(bytes_as_floats, y, **given | {"ridge": 0.5}).notes == [note]
    assert kernelfit.solve(bytes_as_floats / 255, y, **given).notes == []


def test_targets_of_zero_say_nothing_of_the_width(rng):
    """The kernel was called too narrow, and first rows that are equal ended the solve in an error."""
    x, ones = rng.standard_normal((20, 2)), np.ones(20)
    for rows in (x, np.ones((20, 2))):
        assert kernelfit.solve(rows, 0 * ones, sample_weight=ones, ridge=1.0, gamma=1.0).notes == []
    per_target = kernelfit.solve(x, np.c_[0 * ones, ones], sample_weight=ones, ridge=[1.0, 2.0], gamma=0.1)
    assert per_target.notes == []
    narrow = kernelfit.solve(x, np.c_[0 * ones, ones], sample_weight=ones, ridge=1.0, gamma=1e9)
    assert [note[:17] for note in narrow.notes] == ["kernel too narrow"]


def test_a_remark_without_a_median_ends_no_solve(monkeypatch):
    """An error about gamma came after the work: squares of tiny distances underflow, and first rows may be equal."""
    x, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([1.0, 2.0, 3.0, 4.0])
    given = {"kernel": "matern", "kernel_params": {"length_scale": 1e-180}, "ridge": 0.1}
    (note,) = kernelfit.solve(1e-170 * x, y, **given).notes
    assert note.endswith("the median distance of rows is 1.5e-170, for the length scale")
    monkeypatch.setattr(gamma, "MEDIAN_ROWS", 3)
    first_equal, last_alone = np.array([[0.0], [0.0], [0.0], [9.0]]), np.array([0.0, 0.0, 0.0, 1.0])
    weights = np.arange(1.0, 5.0)
    (note,) = kernelfit.solve(first_equal, last_alone, gamma=1.0, ridge=1.0, sample_weight=weights).notes
    assert note.endswith("predictions away from training rows are 0")


def test_a_function_that_sees_no_other_row_is_said_to_have_a_diagonal_k(rng):
    x, y = rng.integers(0, 256, (20, 30)).astype(float), rng.standard_normal(20)
    for kernel in (RBF(1.0), 3.0 * RBF(1.0)):
        said = [kernelfit.solve(rows, y, kernel=kernel, ridge=0.1).notes for rows in (x, x / 255)]
        assert [any("K is diagonal to rounding" in note for note in notes) for notes in said] == [True, False]
        assert not any(
            "K is diagonal" in note for note in kernelfit.solve(x / 255, 0 * y, kernel=kernel).notes
        )


def test_componentwise_and_forward_errors(problem):
    x, y = problem
    solution = kernelfit.solve(x, y, gamma=0.5)
    certificate = solution.certificate
    K = np.exp(-0.5 * ((x[:, None] - x[None]) ** 2).sum(-1))
    sizes = np.abs(K) @ np.abs(solution.alpha) + np.abs(y)
    expected = np.max(np.abs(y - solution.fitted) / sizes)
    assert certificate.componentwise_backward_error == pytest.approx(expected, rel=1e-6)
    assert certificate.backward_error <= certificate.componentwise_backward_error <= 1e-13
    alpha = np.linalg.solve(K.astype(float), y)
    error = np.max(np.abs(solution.alpha - alpha)) / np.max(np.abs(alpha))
    assert error <= 2 * certificate.forward_error < 1e-9
    assert np.isnan(kernelfit.solve(x, y, gamma=0.5, condition=False).certificate.forward_error)


@pytest.mark.parametrize("precision", ["float64", "mixed", "float32"])
def test_the_condition_of_small_problems_is_exact(rng, precision):
    x = rng.standard_normal((40, 2))
    K = np.exp(-0.8 * np.abs(x[:, None] - x[None]).sum(-1))
    certificate = kernelfit.solve(
        x, x, kernel="laplacian", gamma=0.8, precision=precision, device="cpu"
    ).certificate
    exact = np.linalg.cond(K, 1)
    assert certificate.condition_estimate == pytest.approx(
        exact, rel=1e-9 if precision == "float64" else 1e-2
    )


def test_solves_leave_numpys_generator_alone(rng):
    x, y = rng.standard_normal((150, 3)), rng.standard_normal(150)
    before = np.random.get_state()  # noqa: NPY002
    kernelfit.solve(x, y, gamma="auto", ridge="auto").leave_one_out()
    after = np.random.get_state()  # noqa: NPY002
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("unit", [1e-155, 1e-158])
def test_rows_so_small_that_alpha_overflows(rng, unit):
    x = unit * rng.standard_normal((50, 2))
    try:
        solution = kernelfit.solve(x, x[:, 0] / unit, kernel="linear")
    except InputError as error:
        assert str(error).startswith("X: alpha overflows, with X up to ")  # noqa: PT017
    else:
        assert np.isfinite(solution.alpha).all()
        assert np.isfinite(solution.rkhs_norm)


def test_an_ill_conditioned_refined_system_does_not_promise_too_much():
    """The condition of a float32 factor saturates at 1e8: errors of 3e-3 were announced as 1e-8."""
    rng = np.random.default_rng(42)
    basis = np.linalg.qr(rng.standard_normal((24, 24)))[0]
    K = (basis * np.logspace(0, -9, 24)) @ basis.T
    K, y = (K + K.T) / 2, rng.standard_normal(24)
    certificate = kernelfit.solve(
        K, y, kernel="precomputed", precision="mixed", jitter=1e-6, device="cpu"
    ).certificate
    assert certificate.condition_estimate == pytest.approx(np.linalg.cond(K, 1), rel=1e-4)
    large = np.eye(100)
    large[0, 1] = large[1, 0] = 1 - 1e-7
    unknown = kernelfit.solve(
        large, np.ones(100), kernel="precomputed", precision="mixed", jitter=5e-7, device="cpu"
    ).certificate
    assert np.isnan(unknown.forward_error)


@pytest.mark.parametrize("device", [False, True])
def test_what_float32_cannot_hold_of_a_graded_gram_warns_nobody(make_device, device):
    """1 / 1e-41 overflows in float32: NumPy's warnings reached the user, and a condition number of 1 was claimed."""
    where = make_device(1_000_000) if device else "cpu"
    K, y = np.diag([1.0, 1e-20, 1e-41]), np.array([1.0, 2.0, 0.0])
    solution = kernelfit.solve(K, y, kernel="precomputed", precision="mixed", device=where)
    np.testing.assert_allclose(solution.alpha[:, 0], [1.0, 2e20, 0.0], rtol=1e-6)
    assert not solution.certificate.condition_estimate < 1e38


@pytest.mark.parametrize("precision", ["float64", "mixed", "float32"])
def test_the_forward_error_bounds_the_error(rng, precision):
    """It was half of |A^-1| |r| where |A| |alpha| is |y|: 3.8e-8 for 7.5e-8."""
    K = np.eye(16) + 1e-12 * np.ones((16, 16))
    y = rng.standard_normal((16, 40))
    solution = kernelfit.solve(K, y, kernel="precomputed", precision=precision)
    apart = np.longdouble(K[0, 0]) - np.longdouble(K[0, 1])
    exact = (y - K[0, 1] * y.sum(axis=0, dtype=np.longdouble) / (apart + 16 * np.longdouble(K[0, 1]))) / apart
    errors = np.abs(solution.alpha - exact).max(axis=0) / np.abs(exact).max(axis=0)
    assert errors.max() <= solution.certificate.forward_error


def test_a_singular_gram_that_float32_factors_has_no_forward_error():
    """5e8 was claimed as the condition number of a K that has none, from an inverse that refinement did not reach."""
    random = np.random.default_rng(6)
    for _ in range(20):
        Z = random.integers(-5, 6, (6, 5))
        try:
            certificate = kernelfit.solve(
                Z @ Z.T, np.ones(6), kernel="precomputed", precision="float32"
            ).certificate
        except NotPositiveDefiniteError:
            continue
        assert np.isnan(certificate.forward_error) or certificate.forward_error == 1.0
        assert certificate.condition_estimate > 1e5


def test_a_function_that_gives_no_number_for_a_pair_is_not_told_to_be_symmetric():
    def kernel(x, y):
        return math.exp(-((x[0] - y[0]) ** 2)) if x[0] * y[0] >= 0 else math.nan

    x = np.linspace(-1.0, 1.0, 8)[:, None]
    with pytest.raises(InputError, match=r"k\(x, y\) is nan for the rows 0 and 4, expected a finite number"):
        kernelfit.solve(x, x[:, 0], kernel=kernel, ridge=1.0)


@pytest.mark.parametrize(("share", "noted"), [(1e-10, True), (1e-15, False)])
def test_a_function_that_is_nearly_symmetric_is_noted(rng, share, noted):
    """Predictions are off by the difference times |alpha|, and neither a note nor the certificate said so."""

    def kernel(x, y):
        return math.exp(-((x[0] - y[0]) ** 2)) * (1.0 + share * math.copysign(1.0, x[0] - y[0]))

    x = rng.standard_normal((30, 1))
    notes = kernelfit.solve(x, x[:, 0], kernel=kernel, ridge=1.0).notes
    assert [line.startswith("kernel: k(x, y) and k(y, x) differ by") for line in notes] == [True] * noted
