"""Recipes, the grid of the paper, and what is shared or scaled down."""

import pytest

from kernelfit.deep import compare, grid
from kernelfit.deep.recipe import CHOICES, Recipe, choices, default
from kernelfit.errors import InputError


def test_the_papers_settings():
    inception, alexnet, mlp = default("inception"), default("alexnet"), default("mlp-3x512")
    assert (inception.rates, alexnet.rates, mlp.rates) == ((0.1,), (0.01,), (0.01,))
    assert (inception.epochs, alexnet.epochs, mlp.epochs) == (100, 100, 200)
    assert {r.momentum for r in (inception, alexnet, mlp)} == {0.9}
    assert {r.rate_decay for r in (inception, alexnet, mlp)} == {0.95}
    assert {r.batch for r in (inception, alexnet, mlp)} == {128}
    assert default("inception-no-bn").rates == (0.1, 0.05, 0.02, 0.01)
    assert default("inception", weight_decay=True).weight_decay == 4e-5
    assert default("alexnet", weight_decay=True).weight_decay == 0.004
    assert default("inception-v3").side == 299


def test_no_and_full_corruption_are_shared_with_the_other_tables():
    assert default("alexnet", corruption="corrupt-labels", p=0.0) == default("alexnet")
    assert default("alexnet", corruption="corrupt-labels", p=1.0) == default(
        "alexnet", corruption="random-labels"
    )
    assert default("alexnet", corruption="random-labels", p=0.3).p == 1.0


def test_the_key_names_every_field():
    base = default("mlp-1x512")
    others = [
        default("mlp-1x512", **change)
        for change in ({"seed": 1}, {"n": 10}, {"epochs": 3}, {"weight_decay": 1e-3}, {"threshold": 0.2})
    ]
    assert len({base.key, *(other.key for other in others)}) == 6
    assert Recipe.from_json(base.to_json()) == base
    assert default("mlp-1x512").key == base.key


def test_every_choice_is_reported():
    listed = choices(default("inception-no-bn"))
    assert {entry["name"] for entry in listed} == {choice.name for choice in CHOICES}
    assert all(entry["mark"] in ("C", "R", "G", "C/G") for entry in listed)
    assert next(entry for entry in listed if entry["name"] == "batch")["value"] == 128


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rates": (0.1, float("nan"))}, "rates"),
        ({"rates": (float("inf"),)}, "rates"),
        ({"rate_decay": -1.0}, "rate_decay"),
        ({"rate_decay": float("nan")}, "rate_decay"),
        ({"weight_decay": float("nan")}, "weight_decay"),
        ({"seed": -1}, "seed"),
        ({"corruption": "noise"}, "corruption: got 'noise'"),
        ({"crop": True, "corruption": "gaussian"}, "crop: random crops of gaussian"),
        ({"corruption": "corrupt-labels", "p": 1.5}, "p: got 1.5"),
        ({"epochs": 0}, "epochs: got 0"),
        ({"rates": (0.0,)}, "rates: got"),
        ({"weight_decay": -1.0}, "weight_decay: got"),
    ],
)
def test_refusals(change, message):
    with pytest.raises(InputError, match=message):
        default("mlp-1x512", **change)


def test_unknown_model():
    with pytest.raises(InputError, match="model: got 'resnet'"):
        default("resnet")


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
    assert len(grid.table2({})) == 7


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


def test_scaling_down_is_said():
    full = grid.recipes("fig2", [0], {})
    assert compare.scaling_note(full, full) is None
    small = grid.recipes("fig2", [0], {"epochs": 2, "n": 500})
    assert compare.scaling_note(small, full) == (
        "scaled down: 2 epochs instead of 100, 500 training rows instead of all"
    )


def fake_results(recipes):
    """Results that carry their recipe's seed and corruption, for arithmetic on them."""
    results = {}
    for recipe in recipes:
        history = [
            {
                "epoch": k,
                "step": 10 * k,
                "window_steps": [10 * k],
                "window_losses": [1 / k],
                "train_accuracy": 0.9,
                "test_accuracy": 0.1 * k,
                "best_test_accuracy": 0.1 * k,
                "clean_accuracy": 0.5,
                "corrupted_accuracy": 0.25,
                "clean_first_learned": 1.0,
                "corrupted_first_learned": 2.0,
                "clean_forgotten": 0.0,
                "corrupted_forgotten": 0.0,
            }
            for k in (1, 2, 3)
        ]
        level = recipe.p if recipe.corruption == "corrupt-labels" else float(recipe.corruption != "true")
        results[recipe.key] = {
            "status": "finished",
            "rate": recipe.rates[0],
            "seconds": 1.0,
            "train_accuracy": 0.9 + 0.02 * recipe.seed,
            "online_accuracy": 0.8,
            "train_top5": 0.95,
            "test_top5": 0.6,
            "best_test_accuracy": 0.5,
            "best_test_top5": 0.7,
            "system": {"precision": "float32"},
            "test_accuracy": 0.5 - 0.4 * level,
            "converged_step": None if level == 1.0 else 100 * (1 + level),
            "history": history,
        }
    return results


def test_cells_have_mean_spread_and_difference():
    wanted = grid.table1([0, 1], {})
    rows = compare.cells(wanted, fake_results([r for c in wanted for r in c.recipes]))
    row = next(r for r in rows if r["row"] == "alexnet" and r["metric"] == "train_accuracy")
    assert row["ours"] == pytest.approx(91.0)
    assert row["spread"] == pytest.approx(2**0.5)
    assert row["difference"] == pytest.approx(91.0 - 99.90)
    assert row["seeds"] == 2


def test_noise_curves_are_relative_to_clean_labels():
    runs = grid.figure1bc([0], {}, ["mlp-1x512"])
    points = compare.noise_curves(
        runs, fake_results([r for by in runs.values() for rs in by.values() for r in rs])
    )
    half = points["mlp-1x512"][5]
    assert half["p"] == 0.5
    assert half["relative_time"] == pytest.approx(1.5)
    assert half["test_error"] == pytest.approx(0.7)
    assert half["corrupted_test_error"] == pytest.approx(1 - (0.5 * 0.3 + 0.05))
    assert points["mlp-1x512"][10]["relative_time"] is None


def test_the_order_of_convergence_puts_the_unfinished_last():
    runs = grid.figure1a([0], {})
    curves = compare.loss_curves(runs, fake_results([r for rs in runs.values() for r in rs]))
    assert compare.convergence_order(curves)[0] == "true"
    curves["gaussian"]["converged_step"]["mean"] = 5.0
    assert compare.convergence_order(curves)[0] == "gaussian"


@pytest.mark.parametrize("target", grid.TARGETS)
def test_reproductions_write_json_tables_and_figures(target, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    import json

    from rich.console import Console

    from kernelfit.deep import reproduce, tables

    monkeypatch.setattr(reproduce, "run", lambda recipes, folder, **_: fake_results(recipes))
    records = reproduce.reproduce([target], tmp_path, seeds=[0, 1], scale={"epochs": 3}, data_dir=tmp_path)
    record = records[target]
    kept = json.loads((tmp_path / f"{target}.json").read_text())
    assert kept["scaled_down"].startswith("scaled down: 3 epochs")
    assert {choice["name"] for choice in kept["choices"]} == {choice.name for choice in CHOICES}
    names = {path.name for path in (tmp_path / "figures").glob("*")} if "figures" in kept else set()
    expected = {
        "fig1": {"fig1a", "fig1b", "fig1c", "memorisation"},
        "fig2": {"fig2a-cifar10", "fig2b"},
        "table2": {"fig2a"},
    }.get(target, set())
    assert names == {f"{name}.{suffix}" for name in expected for suffix in ("png", "svg")}
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for part in tables.reproductions([record]):
        console.print(part)
    console.file.close()
    text = console.export_text()
    assert "scaled down" in text
    if target == "table4":
        assert "fails" in text
    if target == "table1":
        # 91 % train and 50 % test (10 % after random labels): five tests on random labels and MLP 1x512's two are near.
        assert "7 of 38 means agree with the paper" in text
        assert "2 seeds where the comparison asks for 5" in text
        assert "99.90/81.22   91.00/50.00" in text
    if target == "table2":
        assert "best 1/5" in text
        assert "72.57/91.31" in text
