"""gamma="auto" with ridge="auto": the least leave-one-out error of all pairs, and nothing decided in silence."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import kernelfit
from kernelfit.errors import InputError, PlanError
from kernelfit.gram.points import Points
from kernelfit.solver import search as search_module
from kernelfit.solver.search import search
from kernelfit.solver.trials import Asked

WIDTHS = {
    "gaussian": {"gamma": "auto"},
    "laplacian": {"gamma": "auto"},
    "polynomial": {"gamma": "auto"},
    "matern": {"kernel_params": {"length_scale": "auto"}},
    "rational-quadratic": {"kernel_params": {"length_scale": "auto"}},
}


@pytest.fixture(scope="module")
def noisy():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (120, 2))
    return x, np.sin(3 * x[:, 0]) + 0.3 * rng.standard_normal(120)


def asked(kernel="gaussian", **others):
    return Asked(kernel, {}, **others)


@pytest.mark.parametrize("scaled", [False, True])
def test_diabetes_is_predicted_as_well_as_it_can_be(scaled):
    x, y = load_diabetes(return_X_y=True)
    model = kernelfit.KernelInterpolator(gamma="auto", ridge="auto")
    if scaled:
        model = make_pipeline(StandardScaler(), model)
    assert cross_val_score(model, x, y, scoring="r2").mean() > 0.48


@pytest.mark.parametrize("kernel", WIDTHS)
def test_the_choice_is_the_least_of_all_that_was_tried(noisy, kernel):
    x, y = noisy
    solution = kernelfit.solve(x, y, kernel=kernel, ridge="auto", **WIDTHS[kernel])
    width, ridge = solution.gamma_choice, solution.ridge_choice
    best = min(trial.loo_rmse for trial in width.trials if trial.loo_rmse is not None)
    mine = next(trial for trial in width.trials if trial.value == width.value)
    assert mine.loo_rmse == pytest.approx(best, rel=1e-3)
    assert solution.kernel.parameters[width.parameter] == width.value
    assert solution.ridge == ridge.ridge == mine.ridge
    assert min(t.loo_rmse for t in ridge.trials if t.loo_rmse is not None) == mine.loo_rmse
    assert not width.at_edge
    assert solution.notes[:2] == [width.summary(), ridge.summary()]
    # The search says what the solution itself says, and so does scikit-learn.
    left_out = solution.leave_one_out()
    assert np.sqrt(np.mean((left_out - y) ** 2)) == pytest.approx(mine.loo_rmse, rel=1e-5)


def test_it_is_no_worse_than_a_grid_of_scikit_learn(noisy):
    x, y = noisy
    solution = kernelfit.solve(x, y, gamma="auto", ridge="auto")
    mine = np.sqrt(np.mean((solution.leave_one_out() - y) ** 2))
    grid = []
    for gamma in (0.02, 0.1, 0.5, 2.5):
        k = rbf_kernel(x, gamma=gamma)
        for ridge in (0.001, 0.01, 0.1, 1.0):
            dual = KernelRidge(alpha=ridge, kernel="rbf", gamma=gamma).fit(x, y).dual_coef_
            grid.append(np.sqrt(np.mean((dual / np.diag(np.linalg.inv(k + ridge * np.eye(120)))) ** 2)))
    assert mine <= 1.001 * min(grid)


def test_a_ridge_that_is_given_stays(noisy):
    x, y = noisy
    solution = kernelfit.solve(x, y, gamma="auto", ridge=0.01)
    assert solution.ridge == 0.01
    assert solution.ridge_choice is None
    for trial in solution.gamma_choice.trials:
        k = np.exp(-trial.value * ((x[:, None] - x) ** 2).sum(-1)) + 0.01 * np.eye(120)
        inverse = np.linalg.inv(k)
        assert trial.loo_rmse == pytest.approx(
            np.sqrt(np.mean((inverse @ y / np.diag(inverse)) ** 2)), rel=1e-5
        )


def test_without_a_ridge_only_regular_widths_count(noisy):
    x, y = noisy
    solution = kernelfit.solve(x, y, gamma="auto")
    assert solution.ridge == 0
    assert solution.certificate.interpolates
    assert any(trial.loo_rmse is None for trial in solution.gamma_choice.trials)


def test_the_grid_is_left_where_the_best_lies_at_its_end(rng):
    # A line of 3-d rows: the wider the kernel, the more it is one.
    x = rng.standard_normal((60, 3))
    wide = kernelfit.solve(
        x, x @ [1.0, -2.0, 0.5] + 1e-4 * rng.standard_normal(60), gamma="auto", ridge="auto"
    )
    assert wide.kernel.gamma < 2.0**-7 * kernelfit.solve(x, x[:, 0], ridge=1.0).kernel.gamma
    # 100 rows of [0, 1]: every gaussian of the grid is singular without a ridge.
    x = np.linspace(0, 1, 100)[:, None]
    narrow = kernelfit.solve(x, np.sin(400 * x[:, 0]), gamma="auto")
    assert narrow.kernel.gamma > 2.0**6 * kernelfit.solve(x, x[:, 0], ridge=1.0).kernel.gamma


def test_a_wave_needs_a_narrower_kernel_than_a_slope(rng):
    x = rng.random((150, 1))
    slope, wave = (
        kernelfit.solve(x, y, gamma="auto", ridge="auto").gamma_choice
        for y in (x[:, 0], np.sin(60 * x[:, 0]))
    )
    assert wave.value > 16 * slope.value


def test_classes_are_counted_and_the_residual_decides_among_equals():
    x, labels = load_iris(return_X_y=True)
    x = x + 1e-3 * np.random.default_rng(0).standard_normal(x.shape)
    solution = kernelfit.solve(x, np.eye(3)[labels], gamma="auto", ridge="auto")
    trials = [trial for trial in solution.gamma_choice.trials if trial.loo_error is not None]
    least = min(trial.loo_error for trial in trials)
    mine = next(trial for trial in trials if trial.value == solution.gamma_choice.value)
    assert mine.loo_error == least <= 4 / 150
    assert mine.loo_rmse <= 1.001 * min(trial.loo_rmse for trial in trials if trial.loo_error == least)
    assert np.mean(solution.leave_one_out().argmax(axis=1) != labels) == least


def test_a_subsample_is_drawn_by_the_seed_and_reported(noisy, monkeypatch):
    monkeypatch.setattr(search_module, "COARSE_ROWS", 30)
    monkeypatch.setattr(search_module, "MIN_ROWS", 60)
    x, y = noisy
    first, same, other = (
        kernelfit.solve(x, y, gamma="auto", ridge="auto", seed=seed).gamma_choice for seed in (0, 0, 1)
    )
    assert (first.rows, first.of) == (60, 120)
    assert {trial.rows for trial in first.trials} == {30, 60}
    assert "60 training rows drawn from 120" in first.summary()
    assert first.trials == same.trials != other.trials


def test_the_number_of_threads_changes_nothing(noisy):
    x, y = noisy
    one, two = (kernelfit.solve(x, y, gamma="auto", ridge="auto", threads=t).gamma_choice for t in (1, 2))
    assert one.trials == two.trials


def test_rows_that_repeat_say_nothing_of_the_width(noisy):
    x, y = noisy
    once = kernelfit.solve(x, y, gamma="auto", ridge=0.1).gamma_choice
    twice = kernelfit.solve(np.tile(x, (2, 1)), np.tile(y, 2), gamma="auto", ridge=0.1).gamma_choice
    assert twice.rows == 120
    assert [t.value for t in twice.trials] == pytest.approx([t.value for t in once.trials], rel=0.2)
    assert 0.25 < twice.value / once.value < 4


def test_equal_rows_with_different_targets_ask_for_a_ridge(noisy):
    x, y = np.repeat(noisy[0], 2, axis=0), np.repeat(noisy[1], 2)
    y[::2] += 0.5
    solution = kernelfit.solve(x, y, gamma="auto", ridge="auto")
    assert solution.gamma_choice.rows == 240
    assert all(trial.ridge > 0 for trial in solution.ridge_choice.trials)


@pytest.mark.parametrize("factor", [1e-140, 1e140])
@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_units_change_nothing(noisy, factor, size):
    x, y = noisy
    plain = kernelfit.solve(x, y, gamma="auto", ridge="auto")
    scaled = kernelfit.solve(factor * x, size * y, gamma="auto", ridge="auto")
    assert scaled.ridge == pytest.approx(plain.ridge, rel=1e-6)
    assert scaled.kernel.gamma * factor**2 == pytest.approx(plain.kernel.gamma, rel=1e-4)
    rmse = [min(t.loo_rmse for t in s.ridge_choice.trials if t.loo_rmse) for s in (plain, scaled)]
    assert rmse[1] / size == pytest.approx(rmse[0], rel=1e-4)


@pytest.mark.parametrize("kernel", WIDTHS)
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_targets(rng, kernel, value):
    x = rng.standard_normal((20, 3))
    solution = kernelfit.solve(x, np.full(20, value), kernel=kernel, ridge="auto", **WIDTHS[kernel])
    np.testing.assert_allclose(solution.predict(x), value, atol=0.05)


@pytest.mark.parametrize("kernel", WIDTHS)
@pytest.mark.parametrize(("n", "d"), [(2, 1), (3, 1), (3, 50), (25, 400)])
def test_few_rows_and_many_features(rng, kernel, n, d):
    x, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    solution = kernelfit.solve(x, y, kernel=kernel, ridge="auto", **WIDTHS[kernel])
    assert np.isfinite(solution.predict(x)).all()
    assert solution.gamma_choice.rows == n


def test_heavy_tails(rng):
    x = rng.standard_cauchy((100, 3))
    y = np.tanh(x[:, 0]) + 0.1 * rng.standard_normal(100)
    solution = kernelfit.solve(x, y, gamma="auto", ridge="auto")
    assert np.sqrt(np.mean((solution.leave_one_out() - y) ** 2)) < y.std()


def test_rows_that_are_all_equal_are_refused():
    ones = np.ones((5, 2))
    with pytest.raises(
        InputError, match=r"^gamma: 'auto' needs at least 2 distinct rows, at a distance that float64"
    ):
        kernelfit.solve(ones, np.ones(5), gamma="auto", ridge="auto")
    with pytest.raises(InputError, match=r"^gamma: 'auto' needs at least 2 distinct rows"):
        kernelfit.solve(ones, np.arange(5.0), gamma="auto", ridge="auto")


def test_no_width_where_k_is_singular_for_all(rng, backend):
    # A polynomial of degree 1 of 1-d rows has rank 2.
    points = Points(rng.standard_normal((30, 1)))
    with pytest.raises(InputError, match=r"^gamma: 'auto' found no gamma whose K is positive definite"):
        search(Asked("polynomial", {"degree": 1}, ridge=0.0), points, points.values, backend, 10**10)


def test_a_kernel_without_a_width_has_its_ridge_chosen(noisy, backend):
    x, y = noisy
    found = search(asked("ntk"), Points(x), y[:, None], backend, 10**10)
    assert found.gamma_choice is None
    assert found.ridge_choice.ridge > 0


def test_less_memory_takes_fewer_rows(noisy, backend):
    x, y = noisy
    found = search(asked(), Points(x), y[:, None], backend, 10**6 // 2)
    assert found.gamma_choice.rows < 120
    with pytest.raises(PlanError, match=r"^memory: .* give the width and the ridge as numbers$"):
        search(asked(), Points(x), y[:, None], backend, 10)


def test_a_float32_factor_gets_a_ridge_that_it_can_bear(rng):
    x = rng.standard_normal((60, 3))
    y = x @ [1.0, -2.0, 0.5] + 1e-4 * rng.standard_normal(60)
    single, double = (
        kernelfit.solve(x, y, gamma="auto", ridge="auto", precision=precision)
        for precision in ("float32", "float64")
    )
    assert double.ridge < 1e-9
    assert single.ridge > 600 * np.finfo(np.float32).eps / 2
    assert single.score(x, y) > 0.9999


def test_refusals(noisy):
    x, y = noisy
    for given in ({"gamma": np.ones(2)}, {"kernel": "matern", "kernel_params": {"length_scale": [1.0, 2.0]}}):
        with pytest.raises(
            InputError, match=r"got an array of shape \(2,\), expected one number for all features"
        ):
            kernelfit.solve(x, y, **given)
    with pytest.raises(InputError, match=r"^gamma: the matern kernel has none; .*; give length_scale$"):
        kernelfit.solve(x, y, kernel="matern", gamma="auto")
    with pytest.raises(
        InputError, match=r"^length_scale: got 'best', expected a number > 0, 'median' or 'auto'"
    ):
        kernelfit.solve(x, y, kernel="matern", kernel_params={"length_scale": "best"})
    with pytest.raises(InputError, match=r"^degree: the gaussian kernel does not have it"):
        kernelfit.solve(x, y, gamma="auto", kernel_params={"degree": 2})
    with pytest.raises(InputError, match=r"^nu: got 7"):
        kernelfit.solve(x, y, kernel="matern", kernel_params={"length_scale": "auto", "nu": 7})


def test_conflicting_copies_have_no_part_in_the_choice_of_a_width():
    """No width was found for them, where the least ridge that helps was promised."""
    x, y = np.array([[0.0], [1.0], [2.0], [1.0], [3.5]]), np.array([0.0, 1.0, 2.0, 5.0, 1.0])
    found = kernelfit.solve(x, y, gamma="auto", singular="ridge")
    alone = kernelfit.solve(x[[0, 1, 2, 4]], y[[0, 1, 2, 4]], gamma="auto")
    assert found.kernel.gamma == pytest.approx(alone.kernel.gamma, rel=0.1)
    assert found.ridge > 0
    assert any(note.startswith("singular: equal rows carry different targets") for note in found.notes)


def test_choices_are_stored_with_a_run_and_a_solution(rng, tmp_path):
    """A run that was killed and resumed, and a solution from a file, knew no more of them than a line in the notes."""
    x = rng.standard_normal((60, 2))
    solution = kernelfit.solve(x, x[:, 0], gamma="auto", ridge="auto", run_dir=tmp_path / "run")
    (tmp_path / "run" / "solution.h5").unlink()
    resumed = kernelfit.resume(tmp_path / "run")
    for again in (resumed, kernelfit.load(tmp_path / "run" / "solution.h5")):
        assert again.ridge_choice == solution.ridge_choice is not None
        assert again.gamma_choice == solution.gamma_choice is not None
    assert resumed.solve(x[:, 1]).ridge_choice is None
