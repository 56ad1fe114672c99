"""`kernelfit.study.descent`: where gradient methods go, beside what is known exactly."""

import numpy as np
import pytest

from kernelfit.study.descent import REACHED, Coordinates, descend, looked_at, step_sizes


@pytest.fixture(scope="module")
def coordinates(digits):
    return Coordinates.of(digits[1], threads=1)


@pytest.fixture(scope="module")
def paths(coordinates):
    made = descend(coordinates, steps=400, passes=20)
    return {(path.method, path.start): path for path in made}


def test_coordinates_are_those_of_the_kernel(coordinates, digits):
    solution, rows = digits
    assert coordinates.error < 1e-12
    assert np.linalg.norm(coordinates.least_norm) == pytest.approx(solution.rkhs_norm, rel=1e-10)
    test = rows.every.values[rows.n :]
    assert np.allclose(coordinates.test @ coordinates.least_norm, solution.predict(test), atol=1e-8)
    assert np.allclose(coordinates.basis.T @ coordinates.basis, np.eye(rows.n), atol=1e-12)


def test_from_zero_everything_stays_in_the_span_and_goes_to_the_least_norm(paths):
    for (_, start), path in paths.items():
        assert max(path.outside) < 1e-10
        if start == "0":
            assert path.to_limit == path.to_least_norm
            assert path.to_limit[-1] < path.to_limit[0] == 1
    assert paths["conjugate gradients", "0"].to_limit[-1] < REACHED
    assert paths["conjugate gradients", "0"].reached is not None


def test_from_elsewhere_the_limit_is_the_nearest_interpolant_and_no_other(paths):
    path = paths["conjugate gradients", "elsewhere"]
    assert path.to_limit[-1] < REACHED
    assert path.to_least_norm[-1] > 0.1
    # |limit|^2 = |least norm|^2 + |what the start has outside the span|^2
    least = paths["conjugate gradients", "0"].norms[-1]
    assert path.norms[-1] == pytest.approx(least * np.hypot(1, path.to_least_norm[-1]), rel=1e-6)


def test_gradient_descent_is_as_far_as_the_spectrum_says(paths, coordinates):
    path = paths["gradient descent", "0"]
    assert np.allclose(path.to_limit, path.predicted, rtol=1e-9)
    least = np.linalg.norm(coordinates.least_norm)
    step = 1 / coordinates.largest
    steps = coordinates.steps_to(1e-2 * least, step)
    after, before = coordinates.distance_after([steps, steps - 1], step)
    assert after <= 1e-2 * least < before


@pytest.mark.parametrize("method", ["Nesterov", "conjugate gradients"])
def test_bounds_hold(paths, method):
    for start in ("0", "elsewhere"):
        path = paths[method, start]
        assert (np.array(path.to_limit) <= np.maximum(path.predicted, 1e-11)).all()


def test_single_rows_get_nearer_with_every_few_passes(paths):
    for start in ("0", "elsewhere"):
        distances = paths["stochastic descent", start].to_limit
        assert distances[-1] < 0.9 * distances[0]


def test_the_same_seed_walks_the_same_way(coordinates, paths):
    again = {(path.method, path.start): path for path in descend(coordinates, steps=5, passes=3)}
    first = paths["stochastic descent", "elsewhere"]
    assert again["stochastic descent", "elsewhere"].to_limit == first.to_limit[:4]


def test_steps_beyond_two_over_the_largest_eigenvalue_diverge(coordinates):
    rows = {row["step_times_l_max"]: row for row in step_sizes(coordinates)}
    assert rows[1.0]["loss_ratio"] < 1 < 1e6 < rows[2.1]["loss_ratio"]
    assert rows[1.9]["largest_factor"] < 1 < rows[2.1]["largest_factor"]


def test_steps_are_looked_at_from_the_first_to_the_last():
    steps = looked_at(1000)
    assert (steps[0], steps[1], steps[-1]) == (0, 1, 1000)
    assert steps == sorted(set(steps))
    assert len(steps) < 100
