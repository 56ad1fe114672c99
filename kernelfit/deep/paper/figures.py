"""Figures 1a, 1b, 1c, 2a and 2b as charts, from the curves of `kernelfit.deep.paper.compare`. No torch here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kernelfit.report import figures, plot
from kernelfit.report.chart import Axis, Chart, Rule, Series, values_of
from kernelfit.storage.folders import make_folder

FORMATS = (".png", ".svg")
NAMES = {
    "true": "true labels",
    "random-labels": "random labels",
    "shuffled-pixels": "shuffled pixels",
    "random-pixels": "random pixels",
    "gaussian": "Gaussian",
    "inception": "Inception",
    "inception-no-bn": "Inception without batch norm",
    "alexnet": "AlexNet",
    "mlp-1x512": "MLP 1x512",
    "mlp-3x512": "MLP 3x512",
}
EARLY_STOPPING = "2a: ImageNet, early stopping"
_SHARE = Axis("share of corrupted labels", low=-0.02, high=1.02)
_ACCURACY = Axis("accuracy", low=0, high=1.02)

Curves = Mapping[str, Mapping[str, Any]]
Points = Mapping[str, list[dict[str, Any]]]


def _name(label: str, unfinished: bool = False) -> str:
    return f"{NAMES.get(label, label)}{' (unfinished)' if unfinished else ''}"


def losses(curves: Curves) -> Chart:
    """Figure 1a: training loss against steps."""
    return Chart(
        "fig1a",
        "1a: training loss",
        Axis("steps", low=0),
        Axis("mean loss of up to 50 steps", low=0),
        tuple(
            Series(
                _name(label, curve["unfinished"]),
                values_of(curve["steps"]),
                values_of(curve["losses"]),
            )
            for label, curve in curves.items()
        ),
    )


def overfitting_time(curves: Points) -> Chart:
    """Figure 1b: steps to a loss of 0.1 and to 99 % of the training labels, each relative to clean labels.

    Where a seed did not get there, nothing is shown.
    """
    series = []
    for number, (model, points) in enumerate(curves.items()):
        for key, goal, dashed in (
            ("relative_time", "loss 0.1", False),
            ("relative_time_by_accuracy", "99 % right", True),
        ):
            shown = [point for point in points if point[key] is not None]
            if shown:
                name = f"{_name(model)}: {goal}"
                x, y = values_of(p["p"] for p in shown), values_of(p[key] for p in shown)
                series.append(Series(name, x, y, dashed=dashed, colour=number))
    title = "1b: time to overfit, relative to clean labels"
    return Chart("fig1b", title, _SHARE, Axis("relative time", low=0), tuple(series))


def test_errors(curves: Points) -> Chart:
    """Figure 1c: test error against the share of corrupted labels, and that of a guess."""
    series = [
        Series(
            _name(model),
            values_of(point["p"] for point in points),
            values_of(point["test_error"] for point in points),
            spread=values_of(point["test_error_spread"] or 0.0 for point in points),
        )
        for model, points in curves.items()
    ]
    return Chart(
        "fig1c",
        "1c: test error on clean labels",
        _SHARE,
        Axis("test error", low=0, high=1),
        tuple(series),
        tuple(Rule("chance", "y", error) for error in _chance(curves)),
    )


def _chance(curves: Points) -> list[float]:
    """1 - 1/c of the c classes as the points have it, in a list; empty where no point with corrupted labels does.

    The error on labels corrupted alike is 1 - [(1 - p)(1 - e) + p/c], see `expected_test_error`. Of the largest p,
    where it says most: at p = 1 it is chance itself.
    """
    points = [point for points in curves.values() for point in points]
    known = [point for point in points if point["p"] and point["corrupted_test_error"] is not None]
    if not known:
        return []
    last = max(known, key=lambda point: float(point["p"]))
    p, right = last["p"], 1 - last["test_error"]
    return [1 - (1 - last["corrupted_test_error"] - (1 - p) * right) / p]


def memorisation(curves: Curves) -> Chart:
    """Beyond the paper: share of clean and of corrupted examples that are right, against epochs."""
    series = []
    for number, (label, curve) in enumerate(curves.items()):
        x = values_of(curve["epochs"])
        for key, words, dashed in (("clean", "clean labels", False), ("corrupted", "corrupted", True)):
            name = f"{_name(label)}: {words}"
            series.append(Series(name, x, values_of(curve[key]), dashed=dashed, colour=number))
    title = "memorisation at half the labels corrupted"
    return Chart(
        "memorisation", title, Axis("epoch", low=0), Axis("share right", low=0, high=1.02), tuple(series)
    )


def accuracies(name: str, title: str, curves: Curves) -> Chart:
    """Figures 2a and 2b: accuracy against steps, and the best test accuracy so far."""
    series = []
    for number, (label, curve) in enumerate(curves.items()):
        x = values_of(curve["steps"])
        for key, words, style in (
            ("train", "train", {"dashed": True}),
            ("test", "test", {}),
            ("best", "best test so far", {"mark": "curve"}),
        ):
            shown = f"{_name(label, curve.get('unfinished', False))}: {words}"
            series.append(Series(shown, x, values_of(curve[key]), colour=number, **style))
    return Chart(name, title, Axis("steps", low=0), _ACCURACY, tuple(series))


def stand_in(words: str, curves: Curves) -> Chart:
    """Figure 2a of another data set than the paper's, which `words` say."""
    return accuracies("fig2a-cifar10", f"2a: early stopping ({words})", curves)


def of_history(history: Iterable[Mapping[str, Any]]) -> list[Chart]:
    """Loss and accuracies of one run along its training."""
    records = list(history)
    steps = [step for record in records for step in record["window_steps"]]
    window = [loss for record in records for loss in record["window_losses"]]
    at = values_of(record["step"] for record in records)
    shown = (
        ("online_accuracy", "train, along the epoch"),
        ("train_accuracy", "train, after the epoch"),
        ("test_accuracy", "test"),
    )
    series = []
    for number, (key, name) in enumerate(shown):
        values = values_of(record.get(key) for record in records)
        if any(value is not None for value in values):
            series.append(Series(name, at, values, colour=number))
    return [
        Chart(
            "loss",
            "Training loss",
            Axis("steps", low=0),
            Axis("mean loss of a window of steps", low=0),
            (Series("", values_of(steps), values_of(window), "curve"),),
        ),
        Chart("accuracy", "Accuracy", Axis("steps", low=0), _ACCURACY, tuple(series)),
    ]


def save(chart: Chart, folder: Path, note: str | None) -> list[Path]:
    """Write FOLDER/NAME.png and .svg, with a note above where something is smaller than in the paper; nothing where no
    run has come as far as what is shown."""
    if not chart.series:
        return []
    make_folder(folder)
    targets = [folder / f"{chart.name}{suffix}" for suffix in FORMATS]
    drawn = plot.figure([chart], note or "")
    for target in targets:
        figures.save(drawn, target)
    return targets
