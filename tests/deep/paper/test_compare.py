"""Ours beside the paper's: means, spreads, curves, what was scaled down."""

import io
import re

import pytest
from rich.console import Console

from kernelfit.deep.paper import compare, figures, grid, tables


def test_scaling_down_is_said():
    full = grid.recipes("fig2", [0], {})
    assert compare.scaling_note(full, full) is None
    small = grid.recipes("fig2", [0], {"epochs": 2, "n": 500})
    assert compare.scaling_note(small, full) == (
        "scaled down: 2 epochs instead of 100, 500 training rows instead of all"
    )


def test_cells_have_mean_spread_and_difference(fake_results):
    wanted = grid.table1([0, 1], {})
    rows = compare.cells(wanted, fake_results([r for c in wanted for r in c.recipes]))
    row = next(r for r in rows if r["row"] == "alexnet" and r["metric"] == "train_accuracy")
    assert row["ours"] == pytest.approx(91.0)
    assert row["spread"] == pytest.approx(2**0.5)
    assert row["difference"] == pytest.approx(91.0 - 99.90)
    assert row["seeds"] == 2


def test_noise_curves_are_relative_to_clean_labels(fake_results):
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


def test_the_classes_of_the_noise_curves_are_those_of_the_data_set(fake_results):
    runs = grid.figure1bc([0], {"dataset": "cifar100"}, ["mlp-1x512"])
    every = {p: recipes for p, recipes in runs["mlp-1x512"].items() if p in (0, 0.3, 0.5)}
    results = fake_results([r for recipes in every.values() for r in recipes], n_classes=100)
    curves = compare.noise_curves(runs, results)
    clean, some, half = curves["mlp-1x512"]
    assert clean["corrupted_test_error"] == pytest.approx(0.5)
    assert some["corrupted_test_error"] == pytest.approx(1 - (0.7 * (1 - some["test_error"]) + 0.003))
    assert half["corrupted_test_error"] == pytest.approx(1 - (0.5 * 0.3 + 0.005))
    (rule,) = figures.test_errors(curves).rules
    assert rule.value == pytest.approx(0.99)
    assert figures.test_errors({"mlp-1x512": [clean]}).rules == ()


def test_curves_of_unfinished_runs_go_as_far_as_they_were_trained(fake_results):
    runs = grid.figure1a([0, 1], {})
    results = fake_results(runs["true"])
    begun = {runs["gaussian"][1].key: [{"window_steps": [50, 60], "window_losses": [2.0, 1.5]}]}
    curves = compare.loss_curves(runs, results, begun)
    assert list(curves) == ["true", "gaussian"]
    assert (curves["true"]["unfinished"], curves["gaussian"]["unfinished"]) == (False, True)
    assert (curves["gaussian"]["steps"], curves["gaussian"]["losses"]) == ([50, 60], [2.0, 1.5])
    assert curves["gaussian"]["converged_step"]["mean"] is None
    assert compare.convergence_order(curves) == ["true", "gaussian"]


def test_accuracies_of_unfinished_runs_go_as_far_as_they_were_evaluated(fake_results):
    runs = grid.figure2([0], {})
    begun_name, unseen = list(runs)[:2]
    seen = {"step": 20, "train_accuracy": 0.4, "test_accuracy": 0.3, "best_test_accuracy": 0.3}
    begun = {runs[begun_name][0].key: [seen, {"step": 40}], runs[unseen][0].key: [{"step": 20}]}
    curves = compare.accuracy_curves(runs, {}, begun)
    assert list(curves) == [begun_name]  # of the other nothing was evaluated yet
    assert (curves[begun_name]["steps"], curves[begun_name]["test"]) == ([20], [0.3])
    assert curves[begun_name]["unfinished"]
    finished = compare.accuracy_curves(runs, fake_results(runs[begun_name]))
    assert not finished[begun_name]["unfinished"]


def test_time_to_overfit_by_accuracy():
    """At p = 1 the loss never comes down to 0.1 while 99 % of the labels are fitted."""
    history = [
        {"step": 10, "online_accuracy": 0.98, "train_accuracy": 0.985},
        {"step": 20, "online_accuracy": 0.991},
        {"step": 30, "online_accuracy": 0.98, "train_accuracy": 0.995},
    ]
    assert compare.accuracy_step({"history": history}) == 20
    assert compare.accuracy_step({"history": history[::2]}) == 30
    assert compare.accuracy_step({"history": history[:1]}) is None
    runs = grid.figure1bc([0], {}, ["mlp-1x512"])
    results = {}
    for p, (recipe,) in runs["mlp-1x512"].items():
        results[recipe.key] = {
            "converged_step": 100 if p == 0 else None,
            "corrupted_test_error": None,
            "test_accuracy": 0.5,
            "train_accuracy": 0.993,
            "history": [{"step": round(100 * (1 + p)), "online_accuracy": 0.99}],
        }
    last = compare.noise_curves(runs, results)["mlp-1x512"][-1]
    assert (last["relative_time"], last["relative_time_by_accuracy"]) == (None, 2.0)


def test_no_time_is_that_of_the_seeds_which_got_there(fake_results):
    """Of five seeds at p = 0.5 one gets there early; its time alone would be below that of clean labels."""
    runs = grid.figure1bc(range(5), {}, ["mlp-1x512"])
    results = fake_results([r for by_p in runs.values() for recipes in by_p.values() for r in recipes])
    half = runs["mlp-1x512"][0.5]
    for recipe in half[1:]:
        results[recipe.key]["converged_step"] = None
    results[half[0].key]["history"][0]["train_accuracy"] = 1.0
    curves = compare.noise_curves(runs, results)
    point = curves["mlp-1x512"][5]
    assert point["converged_step"] == {"mean": None, "spread": None, "seeds": 5, "reached": 1}
    assert point["accuracy_step"] == {"mean": None, "spread": None, "seeds": 5, "reached": 1}
    assert (point["relative_time"], point["relative_time_by_accuracy"]) == (None, None)
    assert curves["mlp-1x512"][4]["converged_step"]["reached"] == 5
    assert curves["mlp-1x512"][4]["relative_time"] == pytest.approx(1.4)
    (series,) = figures.overfitting_time(curves).series
    assert list(series.x) == [p for p in runs["mlp-1x512"] if p not in (0.5, 1.0)]
    figure1a = compare.loss_curves({"never": half[1:], "some": half, "always": half[:1]}, results)
    assert compare.convergence_order(figure1a) == ["always", "some", "never"]
    record = {
        "target": "fig1",
        "figure1a": figure1a,
        "order": ["always", "some", "never"],
        "figure1bc": curves,
    }
    record |= {"unfinished": [], "scaled_down": None, "seeds": list(range(5))}
    console = Console(width=200, record=True, file=io.StringIO())
    for part in tables.reproduction(record):
        console.print(part)
    text = console.export_text()
    assert re.search(r"some +1 of 5 ", text)
    assert re.search(r"0\.5 +1 of 5 +1 of 5 ", text)


def test_cells_of_smaller_runs_are_not_judged(fake_results):
    of = grid.table1([0], {"n": 500})
    rows = compare.cells(of, fake_results([r for c in of for r in c.recipes]), judged=False)
    assert {row["within_gate"] for row in rows} == {None}
    assert all(row["ours"] is not None for row in rows)


def test_the_order_of_convergence_puts_the_unfinished_last(fake_results):
    runs = grid.figure1a([0], {})
    curves = compare.loss_curves(runs, fake_results([r for rs in runs.values() for r in rs]))
    assert compare.convergence_order(curves)[0] == "true"
    curves["gaussian"]["converged_step"]["mean"] = 5.0
    assert compare.convergence_order(curves)[0] == "gaussian"


def _printed(record):
    console = Console(width=200, record=True, file=io.StringIO())
    for part in tables.reproduction(record):
        console.print(part)
    return console.export_text()


def test_means_of_fewer_seeds_than_were_asked_for_say_so(fake_results):
    record = {"target": "table1", "unfinished": [], "scaled_down": None, "seeds": [0, 1]}
    of = grid.table1([0, 1], {})
    every = [r for c in of for r in c.recipes]
    whole = _printed({**record, "cells": compare.cells(of, fake_results(every))})
    assert " of 2" not in whole
    assert "2 seeds where the comparison asks for 5" in whole
    some = [r for r in every if r.seed == 0 or r.model == "alexnet"]
    partly = _printed({**record, "cells": compare.cells(of, fake_results(some))})
    assert re.search(r"alexnet .* 2 of 2\n", partly)
    assert re.search(r"mlp-1x512 .* 1 of 2\n", partly)
    assert "1 to 2 seeds where the comparison asks for 5" in partly
    runs = grid.figure1bc([0, 1], {}, ["mlp-1x512"])
    half = [
        r for by_p in runs.values() for p, recipes in by_p.items() for r in recipes[: 2 if p < 0.5 else 1]
    ]
    curves = {"figure1bc": compare.noise_curves(runs, fake_results(half))}
    noise = _printed({**record, "target": "fig1", **curves})
    assert re.search(r"\n0\.4 .* 2 of 2\n", noise)
    assert re.search(r"\n0\.5 .* 1 of 2\n", noise)


def test_what_is_drawn_of_one_seed_is_said(fake_results):
    both = grid.figure2([0, 1], {})
    curves = compare.accuracy_curves(both, fake_results([r for runs in both.values() for r in runs]))
    record = {"target": "fig2", "figure2b": curves, "unfinished": [], "scaled_down": None}
    told = "are of one seed: the first that is finished"
    assert told in _printed({**record, "seeds": [0, 1]})
    assert told not in _printed({**record, "seeds": [0]})


def test_runs_that_failed_are_named_beside_the_means_they_count_in(fake_results):
    record = {"target": "table1", "unfinished": [], "scaled_down": None, "seeds": [0], "cells": [], "runs": 9}
    named = _printed({**record, "failed": {"alexnet-true-seed0-0123456789": "diverged"}})
    assert "1 of 9 runs failed, and count in the means: alexnet-true-seed0-0123456789 diverged" in named
    assert "failed" not in _printed({**record, "failed": {}})
