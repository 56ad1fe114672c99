"""The arithmetic of training, and the least time that it takes."""

import pytest

pytest.importorskip("torch")

from kernelfit.deep.paper import flops, grid
from kernelfit.deep.recipe import default


@pytest.mark.parametrize(
    ("model", "tera"), [("inception", 61.06), ("alexnet", 7.16), ("mlp-3x512", 0.40), ("mlp-1x512", 0.24)]
)
def test_the_arithmetic_of_an_epoch(model, tera):
    # An MLP by hand: weights are used forward and for their gradient, all but the first for the inputs' too.
    assert flops.of_run(default(model), 1) / 1e12 == pytest.approx(tera, abs=0.005)
    if model == "mlp-3x512":
        first, others = 2352 * 512, 2 * 512 * 512 + 5120
        assert flops.per_image(model, 28, 3, 10) == 4 * first + 6 * others


def test_a_crop_that_is_larger_than_the_image_costs_what_the_image_does():
    assert flops.of_run(default("alexnet", side=10**6)) == flops.of_run(default("alexnet", side=32))


def test_the_floor_of_table_1_and_figure_1():
    wanted = dict.fromkeys([*grid.recipes("table1", [0], {}), *grid.recipes("fig1", [0], {})])
    plan = flops.plan(list(wanted))
    assert plan["runs"] == 49
    assert plan["petaflop"] == pytest.approx(133, abs=0.5)
    assert plan["floor_seconds"] == pytest.approx(168, abs=1)
    assert {name: row["runs"] for name, row in plan["models"].items()} == {
        "inception": 17,
        "inception-no-bn": 3,
        "alexnet": 14,
        "mlp-3x512": 3,
        "mlp-1x512": 12,
    }
