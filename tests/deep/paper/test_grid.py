"""The paper's grid: its runs, its cells, the gate of agreement."""

import pytest

from kernelfit.deep.options import TARGETS
from kernelfit.deep.paper import grid


def test_table_1_and_figure_1_need_49_runs():
    table, figure = grid.recipes("table1", [0], {}), grid.recipes("fig1", [0], {})
    together = set(table) | set(figure)
    assert len(together) == 49
    families = [r.model.split("-")[0] for r in together]
    assert {name: families.count(name) for name in set(families)} == {
        "inception": 20,
        "alexnet": 14,
        "mlp": 15,
    }


def test_the_grid_holds_the_papers_cells():
    cells = grid.table1([0], {})
    assert len(cells) == 19
    found = {(c.row, c.column): (c.paper["train_accuracy"], c.paper["test_accuracy"]) for c in cells}
    assert found["alexnet", "decay"] == (100.0, 77.36)
    assert found["inception", "random labels"] == (100.0, 9.78)
    failing = [c for c in grid.table4([0], {}) if c.fails]
    assert [(c.row, c.column, c.paper) for c in failing] == [
        ("alexnet", "weight decay", {"train_accuracy": None})
    ]
    varied = [c for c in grid.table4([0], {}) if "online_accuracy" in c.paper]
    assert {(r.epochs, r.rate_decay) for c in varied for r in c.recipes} == {(400, 0.999)}
    assert len(grid.table2([0], {})) == 7


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_trains_the_runs_that_its_record_reads(target):
    seeds = (3, 5)
    runs = grid.recipes(target, seeds, {})
    alone = [grid.recipes(target, [seed], {}) for seed in seeds]
    assert set(runs) == {run for of_seed in alone for run in of_seed}
    assert len(runs) == sum(map(len, alone))


def test_the_gate():
    cells = {(c.row, c.column): c for c in grid.table1([0], {})}
    alexnet, mlp = cells["alexnet", "neither"], cells["mlp-1x512", "neither"]
    assert grid.within_gate(alexnet, "test_accuracy", 77.0)
    assert not grid.within_gate(alexnet, "test_accuracy", 77.1)
    assert grid.within_gate(mlp, "test_accuracy", 52.0)
    random = cells["alexnet", "random labels"]
    assert grid.within_gate(random, "test_accuracy", 10.85)
    assert not grid.within_gate(random, "test_accuracy", 8.9)
    failing = next(c for c in grid.table4([0], {}) if c.fails)
    assert grid.within_gate(failing, "train_accuracy", 10.0) is None


def test_chance_is_one_of_a_thousand_on_imagenet():
    random = [c for c in grid.table2([0], {}) if c.row == "random-labels"]
    assert len(random) == 3
    assert all(grid.within_gate(cell, "test_accuracy", 0.12) for cell in random)
    assert not any(grid.within_gate(cell, "test_accuracy", 10.0) for cell in random)
