"""Runs of networks as chapters of a report. No torch here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kernelfit.deep.paper import exhibits
from kernelfit.deep.recipe import Recipe, choices, default
from kernelfit.deep.training import tables
from kernelfit.errors import DataError
from kernelfit.report.html.page import page


def run_record(**changes: Any) -> dict[str, Any]:
    recipe = Recipe("mlp-1x512", dataset="digits", epochs=2, rates=(0.01,), **changes)
    history = [
        {
            "epoch": epoch,
            "step": 10 * epoch,
            "window_steps": [10 * epoch - 5, 10 * epoch],
            "window_losses": [2.0 / epoch, None if epoch == 2 else 1.0],
            "online_accuracy": 0.25 * epoch,
            "train_accuracy": 0.3 * epoch,
            "test_accuracy": 0.2 * epoch,
            "clean_accuracy": None,
            "corrupted_accuracy": None,
        }
        for epoch in (1, 2)
    ]
    return {
        "key": recipe.key,
        "recipe": recipe.to_json(),
        "status": "finished",
        "rate": 0.01,
        "epochs": 2,
        "steps": 20,
        "seconds": 1.5,
        "converged_step": None,
        "loss": 1.0,
        "train_accuracy": 0.6,
        "train_top5": None,
        "test_accuracy": 0.4,
        "test_top5": None,
        "best_test_accuracy": 0.4,
        "best_test_top5": None,
        "corrupted_test_error": None,
        "choices": choices(recipe),
        "history": history,
    }


def test_a_run_has_its_curves_and_its_command() -> None:
    exhibit = exhibits.of_record(run_record(crop=True, seed=3), "deep-runs/key/result.json")
    assert exhibit is not None
    loss, accuracy = exhibit.parts[0].charts
    assert loss.series[0].x == (5.0, 10.0, 15.0, 20.0)
    assert loss.series[0].y == (2.0, 1.0, 1.0, None)
    assert {series.name: series.y for series in accuracy.series}["test"] == (0.2, 0.4)
    assert exhibit.command == (
        "kernelfit deep train --model mlp-1x512 --crop --seed 3 --dataset digits --epochs 2"
    )
    written = page([exhibit])
    assert "What the paper leaves open" in written
    assert "local response norm" in written  # which no field of a recipe is
    assert exhibit.command in written


@pytest.mark.parametrize(
    ("recipe", "command"),
    [
        (default("mlp-1x512", epochs=100), "--model mlp-1x512 --epochs 100"),
        (default("mlp-1x512"), "--model mlp-1x512"),
        (default("alexnet", rates=(0.1, 0.012345678)), "--model alexnet --rate 0.1,0.012345678"),
        (default("inception-v3", seed=2), "--model inception-v3 --images ROOT --seed 2"),
        (default("alexnet", dataset="my data.npz"), "--model alexnet --dataset 'my data.npz'"),
        (Recipe("gone.nets:build", rates=(0.01,), network_source="1234"), "--model gone.nets:build"),
        (default("alexnet", momentum=0.5), ""),
    ],
)
def test_a_command_makes_the_same_run(recipe: Recipe, command: str) -> None:
    record = run_record() | {"recipe": recipe.to_json()}
    exhibit = exhibits.of_record(record, "deep-runs/key/result.json")
    assert exhibit is not None
    assert exhibit.command == (f"kernelfit deep train {command}" if command else "")


def test_runs_in_the_folders_of_a_sweep(tmp_path: Path) -> None:
    for seed in range(2):
        record = run_record(seed=seed)
        (tmp_path / record["key"]).mkdir()
        (tmp_path / record["key"] / "result.json").write_text(json.dumps(record))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "result.json").write_text("{}")
    results = exhibits.finished_below(tmp_path)
    assert len(results) == 2
    (sweep,) = exhibits.of_sweep(results)
    assert sweep.title == "Networks: 2 runs"
    assert sweep.parts[0].charts[1].series[1].x == (40.0, 40.0)
    (single,) = exhibits.of_sweep(results[:1])
    assert single.title.startswith("Network: mlp-1x512 true seed")


def test_runs_of_a_sweep_that_differ_in_other_fields_are_told_apart() -> None:
    decays = (4e-5, 5e-4)
    runs = [run_record(weight_decay=decay) for decay in decays] + [run_record()]
    (sweep,) = [exhibits.of_record({"runs": runs, "unfinished": []}, "sweep.json")]
    assert sweep is not None
    expected = [
        *(f"mlp-1x512 true wd seed0 weight-decay {decay}" for decay in decays),
        "mlp-1x512 true seed0",
    ]
    loss, accuracy = sweep.parts[0].charts
    assert [series.name for series in loss.series] == expected
    assert accuracy.y.names == tuple(expected)
    assert [row[0] for row in tables.runs(runs).rows] == expected
    assert loss.title == "Training loss"


def test_runs_of_a_sweep_are_told_apart_from_those_that_are_not_finished() -> None:
    left = Recipe("mlp-1x512", dataset="digits", epochs=2, rates=(0.01,), weight_decay=4e-5)
    record = {"runs": [run_record(weight_decay=5e-4)], "unfinished": [left.key]}
    record["unfinished_recipes"] = [left.to_json()]
    sweep = exhibits.of_record(record, "sweep.json")
    assert sweep is not None
    assert sweep.parts[0].charts[0].series[0].name == "mlp-1x512 true wd seed0 weight-decay 0.0005"
    shown = " ".join(page([sweep]).split())
    assert "not finished: mlp-1x512 true wd seed0 weight-decay 4e-05" in shown


def test_losses_that_are_not_drawn_are_counted() -> None:
    (sweep,) = [exhibits.of_record({"runs": [run_record(seed=seed) for seed in range(9)]}, "sweep.json")]
    assert sweep is not None
    loss = sweep.parts[0].charts[0]
    assert (loss.title, len(loss.series)) == ("Training loss of the first 8 of 9 runs", 8)


def test_figure_2a_says_of_what_it_is() -> None:
    curve = {"unfinished": False, "steps": [1], "train": [0.5], "test": [0.4], "best": [0.4]}
    record = {"target": "fig2", "scaled_down": None, "unfinished": [], "runs": 2, "seeds": [0], "choices": []}
    cifar = {"stand_in": "CIFAR-10 in place of ImageNet", "curves": {"inception": curve}}
    for figure2a, title in (
        (cifar, "2a: early stopping (CIFAR-10 in place of ImageNet)"),
        ({"none": curve}, "2a: ImageNet, early stopping"),
    ):
        exhibit = exhibits.of_record({**record, "figure2a": figure2a}, "fig2.json")
        assert exhibit is not None
        assert [chart.title for chart in exhibit.parts[0].charts] == [title]
    # Where no run has come as far as its first evaluation there is nothing to draw.
    begun = exhibits.of_record({**record, "figure2a": {**cifar, "curves": {}}}, "fig2.json")
    assert begun is not None
    assert begun.parts[0].charts == ()


def test_a_table_of_the_paper_stands_beside_ours() -> None:
    cells = [
        {
            "row": "mlp-1x512",
            "column": "neither",
            "metric": metric,
            "paper": paper,
            "paper_fails_to_converge": False,
            "ours": ours,
            "spread": None,
            "seeds": 1,
            "difference": None,
            "within_gate": None,
        }
        for metric, paper, ours in (("train_accuracy", 100.0, 99.0), ("test_accuracy", 50.51, None))
    ]
    record = {
        "target": "table1",
        "scaled_down": None,
        "cells": cells,
        "unfinished": [],
        "runs": 1,
        "seeds": [0],
        "choices": [],
        "command": "kernelfit reproduce table1",
    }
    exhibit = exhibits.of_record(record, "table1.json")
    assert exhibit is not None
    (chart,) = exhibit.parts[0].charts
    assert [(series.name, series.x, series.y) for series in chart.series] == [("train", (100.0,), (99.0,))]
    assert "kernelfit reproduce table1" in page([exhibit])
    assert exhibits.of_record({"study": "sgd"}, "sgd.json") is None
    with pytest.raises(DataError, match=r"runs: got table1\.json, whose record lacks 'metric'"):
        exhibits.of_record({**record, "cells": [{"paper": 1}]}, "table1.json")
