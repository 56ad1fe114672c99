"""`kernelfit.study.interpolants`: functions that fit the training labels, against linear algebra in the open."""

from dataclasses import replace

import numpy as np
import pytest

import kernelfit
from kernelfit.metrics import error_rate, one_hot
from kernelfit.study.interpolants import interpolants


@pytest.fixture(scope="module")
def made(digits):
    notes: list[str] = []
    family = interpolants(*digits, scales=(2.0,), notes=notes)
    assert notes == []
    return {each.name: each for each in family}


def test_all_fit_the_training_labels_and_the_first_has_the_least_norm(made, digits):
    solution, _ = digits
    least = made["least norm"]
    assert len(made) == 4
    for each in made.values():
        assert each.train_error == 0
        assert each.misfit < 1e-6
        assert each.norm_ratio == pytest.approx(each.rkhs_norm / solution.rkhs_norm, rel=1e-12)
    assert all(each.norm_ratio > 1 for each in made.values() if each is not least)


def test_what_vanishes_on_the_training_rows_is_orthogonal_to_the_solution(made):
    assert made["plus 2 |f| that vanishes on the training rows"].norm_ratio == pytest.approx(
        np.sqrt(5), rel=1e-12
    )


def test_random_labels_at_the_test_rows_are_fitted_as_a_solve_of_both_fits_them(made, digits):
    _, rows = digits
    both = made["random labels fitted at the test rows too"]
    labels = kernelfit.datasets.corruptions.random_labels(rows.y_test, 10, 0)
    alone = kernelfit.solve(
        rows.every.values,
        one_hot(np.concatenate([rows.y_train, labels]), 10),
        gamma=0.1,
        scale=rows.every.scale,
    )
    assert both.rkhs_norm == pytest.approx(alone.rkhs_norm, rel=1e-10)
    assert both.test_error == np.mean(labels != rows.y_test)
    alone.close()


def test_functions_scaled_by_a_norm_that_is_not_resolved_are_not_made(digits):
    solution, rows = digits
    certificate = replace(solution.certificate, rkhs_norm=float("nan"))
    notes: list[str] = []
    made = interpolants(replace(solution, certificate=certificate), rows, scales=(2.0,), notes=notes)
    assert not any("vanishes" in each.name for each in made)
    assert notes[0].startswith("functions that vanish on the training rows: not made: ")
    assert np.isnan(made[0].norm_ratio)


def test_bumps_are_a_sum_of_sections(digits):
    solution, rows = digits
    rng = np.random.default_rng([0, 1])
    first, second = rng.integers(rows.n, size=(2, 2 * rows.n))
    share = rng.random((2 * rows.n, 1))
    every = rows.every.values * rows.every.scale
    centres = share * every[first] + (1 - share) * every[second]
    design, test = (
        np.exp(-0.1 * np.square(part[:, None] - centres).sum(axis=2))
        for part in (every[: rows.n], every[rows.n :])
    )
    weights = design.T @ np.linalg.solve(design @ design.T, one_hot(rows.y_train, 10))
    gram = np.exp(-0.1 * np.square(centres[:, None] - centres).sum(axis=2))
    bumps = interpolants(solution, rows, scales=())[1]
    assert bumps.rkhs_norm == pytest.approx(np.sqrt(np.sum(weights * (gram @ weights))), rel=1e-5)
    assert bumps.test_error == error_rate(test @ weights, rows.y_test)


def test_the_loss_curves_alike_at_every_interpolant(made):
    curvatures = [each.curvature for each in made.values()]
    assert np.ptp(curvatures) < 1e-9 * curvatures[0]
    assert curvatures[0] > 0


def test_a_test_error_is_that_of_the_function(made, digits):
    solution, rows = digits
    test = rows.every.values[rows.n :]
    assert made["least norm"].test_error == error_rate(solution.predict(test), rows.y_test)
