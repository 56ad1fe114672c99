"""A plan refuses what a solve refuses."""

import re
from pathlib import Path

import numpy as np
import pytest

from kernelfit.errors import InputError
from kernelfit.experiments.experiment import Experiment
from kernelfit.experiments.planning import Shape, plan_cluster, plan_solve, shape_of, shape_of_numbers
from kernelfit.experiments.specs import DataSpec, SolverSettings


@pytest.mark.parametrize(("solver", "tier"), [("pcg", "disk"), ("askotch", "disk"), ("askotch", "ram")])
def test_a_tier_that_iterations_have_not(solver, tier):
    with pytest.raises(InputError, match=f"tier: got '{tier}' with solver '{solver}'"):
        plan_solve(Shape(1_000, 10, 1), SolverSettings(solver=solver, tier=tier), predict_time=False)


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({"jitter": 1e-3}, "jitter: got 0.001 with solver"),
        ({"precision": "mixed"}, "precision: got 'mixed' with solver"),
        ({"engine": "dask"}, "engine: got dask with solver"),
    ],
)
@pytest.mark.parametrize("solver", ["pcg", "askotch"])
def test_what_a_solve_refuses_is_not_planned(solver, settings, refused):
    """It was ignored without a word."""
    with pytest.raises(InputError, match=refused):
        plan_solve(Shape(1_000, 10, 1), SolverSettings(solver=solver, **settings), predict_time=False)
    with pytest.raises(InputError, match=f"workers: got 2 with solver '{solver}'"):
        plan_cluster(Shape(1_000, 10, 1), SolverSettings(solver=solver), 2, rate=1e9)


@pytest.mark.parametrize(
    "options",
    [{"dataset": "mnist"}, {"test": Path("b.csv")}, {"target": "y"}, {"keys": {"X": "a"}}, {"n_test": 5}],
)
def test_numbers_of_rows_and_columns_are_of_no_data_set(options):
    """It was ignored without a word."""
    with pytest.raises(
        InputError, match=rf"^n_features: got 100 beside {next(iter(options))}, which is of a data set"
    ):
        shape_of_numbers(DataSpec(n_train=1_000, **options), 100)
    assert shape_of_numbers(DataSpec(n_train=1_000), 100) == Shape(1_000, 100, 1)


@pytest.mark.parametrize("bandwidth", ["0", "-1Gbit", "fast", "1e400Gbit"])
def test_a_bandwidth_is_named_as_it_was_given(bandwidth):
    with pytest.raises(
        InputError, match=f"bandwidth: got '{bandwidth}', expected bits a second such as 10Gbit"
    ):
        plan_cluster(Shape(1_000, 10, 1), SolverSettings(), 2, bandwidth, rate=1e9)


@pytest.mark.parametrize("bandwidth", ["10Gb", "10Gb/s", "10 gb/s", "800Mb", "1Gib"])
def test_a_bandwidth_of_bits_is_not_taken_for_bytes(bandwidth):
    """It was: a link eight times as fast."""
    with pytest.raises(InputError, match=f"bandwidth: got '{bandwidth}', .*; say Gbit or GB"):
        plan_cluster(Shape(1_000, 10, 1), SolverSettings(), 2, bandwidth, rate=1e9)


def test_bits_are_an_eighth_of_bytes():
    links = ("10Gbit", "10Gbit/s", "1.25GB", "1.25GB/s", "1250000000")
    plans = {
        plan_cluster(Shape(1_000, 10, 1), SolverSettings(threads=1), 2, link, rate=1e9) for link in links
    }
    assert len(plans) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"target": "price"},
        {"drop": ("a",)},
        {"keys": {"X": "a", "y": "b"}},
        {"task": "regression"},
        {"test": Path("b.csv")},
        {"n_test": 361},
        {"n_test": 361, "n_train": 100},
    ],
)
def test_a_known_data_set_has_what_it_has(options):
    """A plan of the digits was printed, where `train` was forgotten; the solve refuses with the same words."""
    data = DataSpec(**options)
    with pytest.raises(InputError) as refused:
        data.load(0)
    with pytest.raises(InputError, match=f"^{re.escape(str(refused.value))}$"):
        shape_of(data)
    assert shape_of(DataSpec(n_test=360)) == Shape(1_437, 64, 10, "uint8")


def test_workers_have_no_tensor_cores():
    with pytest.raises(InputError, match="precision: got tf32, which GPUs alone have"):
        plan_cluster(Shape(1_000, 10, 1), SolverSettings(precision="tf32"), 2, rate=1e9)


def test_auto_plans_the_factor_that_a_solve_with_a_jitter_makes():
    shape = Shape(60_000, 784, 10, "uint8")

    def factors(**more):
        settings = SolverSettings(solver="auto", tolerance=1e-2, memory="24GB", **more)
        return plan_solve(shape, settings, predict_time=False).has_factor

    assert not factors()
    assert factors(jitter=1e-10)
    assert factors(precision="float32")


@pytest.fixture(scope="module", params=["bytes", "wide bits", "wide bytes", "float32", "float64"])
def rows(request, tmp_path_factory):
    """A file of few rows, of as many features as tell inner products that are exact from others."""
    rng = np.random.default_rng(3)
    high, d = {"bytes": (256, 30), "wide bits": (2, 1_200), "wide bytes": (256, 1_200)}.get(
        request.param, (0, 7)
    )
    X = rng.integers(0, high, (40, d), np.uint8) if high else rng.standard_normal((40, d))
    path = tmp_path_factory.mktemp("rows") / "rows.npz"
    np.savez(path, X=X.astype(request.param) if not high else X, y=rng.integers(0, 2, 40))
    return path


@pytest.mark.parametrize("precision", ["float64", "mixed"])
def test_a_plan_is_that_of_the_solve(rows, precision):
    """Rows were planned without what is known of each and, where they are float32, with twice their bytes; bytes with
    all of K in mixed precision, of which a solve keeps the inner products."""
    arguments = {"train": rows, "task": "classification", "n_test": 0}
    solver = SolverSettings(precision=precision, memory="1GB", device="cpu")
    planned = plan_solve(shape_of(DataSpec(**arguments)), solver, predict_time=False)
    solved = Experiment(**arguments, precision=precision, memory="1GB", device="cpu").run()
    assert planned == solved.solution.plan
