"""Kernels of the user's own: functions, partials, methods, objects, and those of scikit-learn."""

from __future__ import annotations

import copy
import functools
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    RBF,
    CompoundKernel,
    ConstantKernel,
    DotProduct,
    Matern,
    WhiteKernel,
)
from sklearn.metrics.pairwise import rbf_kernel

import kernelfit
from kernelfit import KernelInterpolator
from kernelfit.errors import DataError, InputError
from kernelfit.kernels import FromSklearn, Gaussian, Kernel, Pairwise, fingerprint
from kernelfit.runs import solution_file


def bell(x, y, width=1.0, height=1.0):
    total = 0.0
    for k in range(x.shape[0]):
        total += (x[k] - y[k]) ** 2
    return height * math.exp(-total / (2.0 * width * width))


def fixed_first(height, x, y, width):
    return height * math.exp(-((x[0] - y[0]) ** 2) / (2.0 * width * width))


class Bell:
    def __init__(self, width):
        self.width = width

    def __call__(self, x, y):
        return float(np.exp(-((x - y) ** 2).sum() / (2 * self.width**2)))

    def method(self, x, y, height=1.0):
        return height * self(x, y)


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(4)
    return rng.standard_normal((25, 3)), rng.standard_normal(25), rng.standard_normal((7, 3))


@pytest.mark.parametrize(
    ("kernel", "params", "interpreted"),
    [
        (bell, {"width": 0.7}, False),
        (functools.partial(bell, width=0.7), None, False),
        (functools.partial(functools.partial(bell, height=1.0), width=3.0), {"width": 0.7}, False),
        (Bell(0.7), None, True),
        (Bell(0.7).method, {"height": 1.0}, True),
        (lambda x, y: float(np.exp(-(np.subtract(*[x, y]) ** 2).sum() / (2 * 0.7**2))), None, True),
        (RBF(0.7), None, False),
        (1.0 * RBF(0.7) + 0.0 * WhiteKernel(), None, False),
    ],
)
def test_all_of_them_are_the_gaussian(problem, kernel, params, interpreted):
    x, y, new = problem
    expected = kernelfit.solve(x, y, kernel=Gaussian(1 / (2 * 0.7**2)), ridge=0.1)
    solution = kernelfit.solve(x, y, kernel=kernel, kernel_params=params, ridge=0.1)
    assert_allclose(solution.predict(new), expected.predict(new), rtol=1e-10)
    model = KernelInterpolator(kernel, kernel_params=params, ridge=0.1, keep_factor=True).fit(x, y)
    assert_allclose(model.predict(new), expected.predict(new), rtol=1e-10)
    assert_allclose(
        model.predict(new, return_std=True)[1], expected.predict(new, return_std=True)[1], rtol=1e-9
    )
    assert any("runs in Python, pair by pair" in note for note in solution.notes) == interpreted
    assert_allclose(copy.deepcopy(solution).predict(new), expected.predict(new), rtol=1e-10)


def test_settled_arguments_before_the_rows_are_compiled_too(problem):
    x, _, _ = problem
    kernel = Pairwise(functools.partial(fixed_first, 2.0), {"width": 0.7})
    kernel.compile()
    assert not list(kernel.remarks())
    assert_allclose(kernel.diagonal(kernelfit.gram.points.Points(x)), 2.0)
    assert kernel != Pairwise(functools.partial(fixed_first, 3.0), {"width": 0.7})
    assert kernel == Pairwise(functools.partial(fixed_first, 2.0, width=0.7))
    with pytest.raises(InputError, match="kernel_params: got depth for bell, which does not take it"):
        Pairwise(bell, {"depth": 3})


def test_solutions_of_own_kernels_are_stored_and_pickled(problem, tmp_path):
    x, y, new = problem
    for kernel, params in ((bell, {"width": 0.7}), (Matern(0.7, nu=1.5), {}), (Bell(0.7), {})):
        solution = kernelfit.solve(x, y, kernel=kernel, kernel_params=params, ridge=0.1)
        solution.save(tmp_path / "solution.h5")
        again = functools.partial(kernel, **params) if params else kernel
        loaded = kernelfit.load(tmp_path / "solution.h5", again)
        pickled = pickle.loads(pickle.dumps(solution))
        for other in (loaded, pickled):
            assert_allclose(other.predict(new), solution.predict(new), rtol=1e-12)
        with pytest.raises(InputError, match="function: "):
            kernelfit.load(tmp_path / "solution.h5")
        with pytest.raises(InputError, match="function: "):
            kernelfit.load(tmp_path / "solution.h5", Matern(0.8, nu=1.5) if kernel is not bell else bell)


WIDTH = 0.7


def of_width(x, y):
    return np.exp(-np.abs(x - y).sum() / WIDTH)


@pytest.mark.parametrize(
    "kernel", [of_width, Pairwise(of_width) + kernelfit.kernels.Gaussian(1.0)], ids=["alone", "in a sum"]
)
def test_a_pickled_solution_refuses_a_kernel_that_reads_something_else_by_now(problem, monkeypatch, kernel):
    """It predicted with alpha of one kernel and the values of another."""
    x, y, new = problem
    solution = kernelfit.solve(x, y, kernel=kernel, ridge=0.1)
    taken = pickle.dumps(solution)
    expected = solution.predict(new)
    assert_allclose(pickle.loads(taken).predict(new), expected, rtol=1e-12)
    monkeypatch.setitem(globals(), "WIDTH", 1.4)
    with pytest.raises(InputError, match="gives other values"):
        pickle.loads(taken)
    assert np.array_equal(copy.deepcopy(solution).predict(new), expected)


def of_centre(x, y):
    return math.exp(-abs(x[0] - y[0]) * (2.0 if abs(x[0]) > CENTRE or abs(y[0]) > CENTRE else 1.0))


CENTRE = 50.0


def test_a_pickled_solution_refuses_a_kernel_that_is_another_away_from_training_rows(problem, monkeypatch):
    """It was compared at training rows alone, where it was the same."""
    x, y, _ = problem
    taken = pickle.dumps(kernelfit.solve(x, y, kernel=of_centre, ridge=0.1))
    assert pickle.loads(taken).predict(x + 60.0).shape == y.shape
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(fingerprint, "_source", lambda code: "")  # its file is not at hand
        assert pickle.loads(taken).kernel is not None
    monkeypatch.setitem(globals(), "CENTRE", 40.0)
    with pytest.raises(InputError, match="gives other values here"):
        pickle.loads(taken)


def test_noise_of_scikit_learns_stands_on_the_diagonal(problem):
    x, y, new = problem
    kernel = ConstantKernel(2.0) * RBF(0.9) + WhiteKernel(0.3)
    x, y = np.vstack([x, x[:2]]), np.append(y, [5.0, 6.0])  # equal rows, which noise tells apart
    theirs = GaussianProcessRegressor(kernel, alpha=0.0, optimizer=None).fit(x, y)
    solution = kernelfit.solve(x, y, kernel=kernel)
    assert solution.ridge == 0
    assert len(solution.kept) == 27
    mean, deviation = solution.predict(new, return_std=True)
    expected = theirs.predict(new, return_std=True)
    assert_allclose(mean, expected[0], rtol=1e-11)
    assert_allclose(deviation, expected[1], rtol=1e-11)
    assert_allclose(solution.log_marginal_likelihood(), theirs.log_marginal_likelihood_value_, rtol=1e-12)
    assert any("formed by scikit-learn" in note for note in solution.notes)
    with pytest.raises(InputError, match="kernel_params: "):
        kernelfit.solve(x, y, kernel=kernel, kernel_params={"length_scale": 1.0})
    with pytest.raises(InputError, match="kernel: got 3"):
        FromSklearn(3)
    with pytest.raises(InputError, match=r"kernel: got the class Gaussian, expected Gaussian\(...\)"):
        kernelfit.solve(x, y, kernel=Gaussian)


def test_noise_is_no_interpolation_and_its_solution_can_be_read(problem, tmp_path):
    x, y, new = problem
    kernel = RBF(0.9) + WhiteKernel(0.3)
    solution = kernelfit.solve(x, y, kernel=kernel, run_dir=tmp_path / "run")
    assert np.abs(solution.predict(x) - y).max() > 0.1
    assert not solution.certificate.interpolates
    assert any("noise stands on the diagonal" in note for note in solution.notes)
    assert kernelfit.solve(x, y, kernel=RBF(0.3)).certificate.interpolates
    solution.save(tmp_path / "solution.h5")
    assert np.array_equal(
        kernelfit.load(tmp_path / "solution.h5", kernel).predict(new), solution.predict(new)
    )
    assert kernelfit.check(tmp_path / "run", function=kernel).problems == []
    meta, arrays = solution.as_data()
    solution_file.write(tmp_path / "forged.h5", meta, {**arrays, "alpha": 2 * arrays["alpha"]})
    with pytest.raises(DataError, match="alpha does not give the fitted values"):
        kernelfit.load(tmp_path / "forged.h5", kernel)


def test_noise_that_a_row_of_zeros_has_not_is_noise(tmp_path):
    """The first row alone was asked: targets were said to be met, equal rows refused, and the solution not read."""
    x = np.append(np.linspace(0, 10, 21), 5.0)[:, None]
    y, kernel = np.cos(x[:, 0]) + np.arange(22) % 2, RBF() + WhiteKernel() * DotProduct(sigma_0=0)
    solution = kernelfit.solve(x, y, kernel=kernel)
    assert len(solution.kept) == 22
    assert not solution.certificate.interpolates
    assert any("noise stands on the diagonal" in note for note in solution.notes)
    solution.save(tmp_path / "solution.h5")
    assert_array_equal(kernelfit.load(tmp_path / "solution.h5", kernel).predict(x), solution.predict(x))
    # One long row among others that have none.
    x = np.zeros((100, 1))
    x[37] = 1.0
    assert FromSklearn(kernel).has_noise(kernelfit.gram.points.Points(x))
    assert not FromSklearn(RBF() + 0.0 * kernel).has_noise(kernelfit.gram.points.Points(x))


def test_a_steep_kernel_is_no_noise(problem):
    """Equal rows are 2^-52 apart to scikit-learn, where a Matern kernel of nu = 1/4 has lost 1e-8."""
    x, y, _ = problem
    solution = kernelfit.solve(x, y, kernel=Matern(1.0, nu=0.25))
    assert solution.certificate.interpolates
    assert not any("noise stands on the diagonal" in note for note in solution.notes)
    assert_allclose(solution.predict(x), y, atol=1e-6)
    steeper = kernelfit.solve(x, y, kernel=Matern(1.0, nu=0.1))
    assert np.abs(steeper.predict(x) - y).max() > 1e-4
    assert any("a Matern kernel of scikit-learn's with nu below 0.19" in note for note in steeper.notes)
    points = kernelfit.gram.points.Points(x)

    class Steep(Matern):
        pass

    class Noise(WhiteKernel):
        pass

    for kernel, noise in [
        (2.0 * Matern(1.0, nu=0.25) + RBF(1.0), False),
        (Matern(1.0, nu=0.25) + WhiteKernel(0.1), True),
        (RBF(1.0) + WhiteKernel(1e-9), True),
        ((RBF(1.0) + 1e-9 * Noise(1.0)) ** 2, True),
        (Steep(1.0, nu=1.5), False),
        (Matern(1.0, nu=0.19), False),
        (Matern(1.0, nu=0.185), True),  # which predicts less than it was given
        (0.0 * RBF(1.0), False),
    ]:
        assert FromSklearn(kernel).has_noise(points) == noise


@pytest.mark.parametrize("nu", [0.2, 0.25, 0.35])
def test_a_solution_of_a_steep_kernel_can_be_read(problem, tmp_path, nu):
    """ "alpha does not give the fitted values" came, for what the kernel loses between equal rows."""
    x, y, new = problem
    steep = Matern(1.0, nu=nu)
    for kernel in (steep, 2.0 * steep + RBF(1.0), FromSklearn(steep) + Gaussian(0.5)):
        solution = kernelfit.solve(x, y, kernel=kernel)
        solution.save(tmp_path / "solution.h5")
        function = steep if isinstance(kernel, Kernel) else kernel
        assert_array_equal(
            kernelfit.load(tmp_path / "solution.h5", function).predict(new), solution.predict(new)
        )
    solution = kernelfit.solve(x, y, kernel=steep, run_dir=tmp_path / "run")
    assert kernelfit.check(tmp_path / "run", function=steep).problems == []
    assert kernelfit.open(tmp_path / "run", function=steep).certificate == solution.certificate


def test_a_compound_kernel_of_scikit_learn_is_refused(problem):
    x, y, _ = problem
    with pytest.raises(InputError, match=r"kernel: got CompoundKernel\(.*several values"):
        kernelfit.solve(x, y, kernel=CompoundKernel([RBF(1.0)]))


def test_a_function_that_fails_is_one_line(problem):
    x, y, _ = problem

    def wrong(x, y):
        return "no number"

    with pytest.raises(InputError, match="function: wrong gives 'no number', expected a real number"):
        kernelfit.solve(x, y, kernel=wrong, ridge=1.0)
    with pytest.raises(InputError, match="function: rbf_kernel raises ValueError") as caught:
        kernelfit.solve(x, y, kernel=rbf_kernel, ridge=1.0)
    assert "\n" not in str(caught.value)


def test_a_kernel_that_is_changed_after_the_solve_leaves_the_solution_what_it_was(problem):
    """Predictions were of the changed kernel, by an alpha of the first, without a word."""
    x, y, new = problem
    gaussian = Gaussian(0.5)
    solutions = [
        kernelfit.solve(x, y, kernel=kernel, ridge=0.1) for kernel in (gaussian, gaussian + gaussian)
    ]
    before = [solution.predict(new) for solution in solutions]
    gaussian.gamma = 5.0
    for solution, expected in zip(solutions, before, strict=True):
        assert_array_equal(solution.predict(new), expected)


def test_an_object_that_is_changed_after_the_solve_is_refused(problem, tmp_path):
    x, y, new = problem
    sklearns, own = ConstantKernel(2.0) * RBF(1.5), Bell(1.5)
    kernels = (sklearns, own, Gaussian(0.5) + Pairwise(own))
    solutions = [kernelfit.solve(x, y, kernel=kernel, ridge=0.1) for kernel in kernels]
    solutions[1].save(tmp_path / "s.h5")
    solutions.append(kernelfit.load(tmp_path / "s.h5", own))
    sklearns.k2.length_scale, own.width = 0.1, 0.1
    for solution in solutions:
        with pytest.raises(InputError, match="gives other values than at the solve"):
            solution.predict(new)


@pytest.mark.parametrize("value", [1j, np.complex128(1.0), "1.0", [1.0, 2.0]])
def test_what_is_no_real_number_is_named(problem, value):
    """NumPy took the real part, or read the text."""
    x, y, _ = problem
    with pytest.raises(
        InputError, match=r"^function: <lambda> gives .*, expected a real number for every pair"
    ):
        kernelfit.solve(x, y, kernel=lambda a, b: {0: value}[0], ridge=1.0)


def test_whatever_float_makes_a_number_of_exactly_is_one(problem):
    x, y, _ = problem
    for one in (1, True, np.float32(1.0), np.array([1.0]), Fraction(1)):
        solution = kernelfit.solve(x, y, kernel=lambda a, b, one=one: {0: one}[0], ridge=1.0)
        assert_allclose(solution.fitted, y.sum() / (len(y) + 1.0), rtol=1e-12)


def test_values_of_a_scikit_learn_kernel_of_another_shape_are_refused(problem):
    """They were taken for every row, or ended in a traceback."""

    class Short(RBF):
        def __call__(self, X, Y=None, eval_gradient=False):
            return super().__call__(X, Y)[0]

    x, y, _ = problem
    with pytest.raises(
        InputError, match=r"^kernel: Short\(.*\) gives float64 \(2,\) for 1 rows and 2, expected"
    ):
        kernelfit.solve(x, y, kernel=Short(), ridge=1.0)


@pytest.mark.parametrize("given", [False, True])
def test_data_that_change_few_values_of_a_function_in_python_are_seen(problem, given):
    """Two values were looked at: where they were the same, predictions were of other data, without a word."""
    x, y, new = problem
    weights = np.ones(2)

    def far(a, b, *, weights):  # by name alone, which Numba does not compile
        return np.exp(-abs(a[0] - b[0]) * weights[int(a[0] > 3.0 or b[0] > 3.0)]).item()

    def read(a, b):
        return far(a, b, weights=weights)

    if given:
        solution = kernelfit.solve(x, y, kernel=far, kernel_params={"weights": weights}, ridge=0.1)
    else:
        solution = kernelfit.solve(x, y, kernel=read, ridge=0.1)
    before = solution.predict(new + 9.0)
    weights[1] = 2.0
    with pytest.raises(InputError, match=r"^kernel: Pairwise\(.*\) gives other values than at the solve"):
        solution.predict(new + 9.0)
    weights[1] = 1.0
    assert_array_equal(solution.predict(new + 9.0), before)


def test_a_function_in_python_that_reads_something_else_by_now_is_refused(problem):
    """Predictions were of the new one by the alpha of the old, and other targets likewise, without a word."""
    x, y, new = problem
    read = {"width": 1.0}

    def kernel(a, b):
        return float(np.exp(-((a - b) ** 2).sum() / read["width"]))

    solution = kernelfit.solve(x, y, kernel=kernel, ridge=0.1)
    before = solution.predict(new)
    read["width"] = 1.5
    for use in (lambda: solution.predict(new), lambda: solution.solve(2 * y)):
        with pytest.raises(InputError, match=r"^kernel: Pairwise\(.*\) gives other values than at the solve"):
            use()
    read["width"] = 1.0
    assert_array_equal(solution.predict(new), before)
