"""Figures 1a, 1b, 1c, 2a and 2b, from the curves of `kernelfit.deep.paper.compare`; PNG and SVG. No torch here."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernelfit.report import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg")
# Distinct for every kind of colour vision and without colour: Okabe and Ito's palette, a marker each.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
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
MANY_STEPS = 2_000  # from here on the axis counts thousands


def _new(title: str, note: str | None) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=11)
    if note is not None:
        figure.supxlabel(textwrap.fill(note, 110), fontsize=7.5, color="0.35")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _style(index: int, points: int) -> dict[str, Any]:
    """Colour and marker of a curve; at most a dozen markers along it."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "markevery": max(1, points // 12),
        "markersize": 4,
    }


def _steps(curves: Mapping[str, Mapping[str, Any]]) -> tuple[int, str]:
    """What to divide steps by, and the axis's name."""
    last = max((curve["steps"][-1] for curve in curves.values()), default=0)
    return (1000, "thousand steps") if last >= MANY_STEPS else (1, "steps")


def _integer_ticks(axes: Axes) -> None:
    """No fractions of a step or an epoch on the horizontal axis."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _finish(axes: Axes) -> None:
    """A legend where anything was drawn; otherwise say that nothing was."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, frameon=False)
    else:
        axes.text(0.5, 0.5, "no run got there", transform=axes.transAxes, ha="center", color="0.35")


def losses(curves: Mapping[str, Mapping[str, Any]], note: str | None) -> Figure:
    """Figure 1a: training loss against steps."""
    figure, axes = _new("1a: training loss", note)
    unit, name = _steps(curves)
    for index, (label, curve) in enumerate(curves.items()):
        steps = [step / unit for step in curve["steps"]]
        shown = f"{NAMES.get(label, label)} (unfinished)" if curve["unfinished"] else NAMES.get(label, label)
        axes.plot(steps, curve["losses"], label=shown, **_style(index, len(steps)))
    axes.set(xlabel=name, ylabel="mean loss of up to 50 steps")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    _integer_ticks(axes)
    _finish(axes)
    return figure


def overfitting_time(curves: Mapping[str, list[dict[str, Any]]], note: str | None) -> Figure:
    """Figure 1b: steps to a loss of 0.1 and to 99 % of the training labels, each relative to clean labels.

    Runs that did not get there are left out.
    """
    figure, axes = _new("1b: time to overfit, relative to clean labels", note)
    for index, (model, points) in enumerate(curves.items()):
        for key, goal, line in (
            ("relative_time", "loss 0.1", "-"),
            ("relative_time_by_accuracy", "99 % right", "--"),
        ):
            shown = [point for point in points if point[key] is not None]
            if shown:
                x = [point["p"] for point in shown]
                y = [point[key] for point in shown]
                label = f"{NAMES.get(model, model)}: {goal}"
                axes.plot(x, y, linestyle=line, label=label, **_style(index, 1))
    axes.set(xlabel="share of corrupted labels", ylabel="relative time", xlim=(-0.02, 1.02))
    axes.set_ylim(bottom=0)
    _finish(axes)
    return figure


def test_errors(curves: Mapping[str, list[dict[str, Any]]], note: str | None) -> Figure:
    """Figure 1c: test error against the share of corrupted labels."""
    figure, axes = _new("1c: test error on clean labels", note)
    for index, (model, points) in enumerate(curves.items()):
        axes.errorbar(
            [point["p"] for point in points],
            [point["test_error"] for point in points],
            yerr=[point["test_error_spread"] or 0.0 for point in points],
            capsize=2,
            label=NAMES.get(model, model),
            **_style(index, 1),
        )
    axes.axhline(0.9, color="0.35", linestyle=":", linewidth=1, label="chance")
    axes.set(xlabel="share of corrupted labels", ylabel="test error", xlim=(-0.02, 1.02), ylim=(0, 1))
    _finish(axes)
    return figure


def memorisation(curves: Mapping[str, Mapping[str, Any]], note: str | None) -> Figure:
    """Beyond the paper: share of clean and of corrupted examples that are right, against epochs."""
    figure, axes = _new("memorisation at half the labels corrupted", note)
    for index, (label, curve) in enumerate(curves.items()):
        style, name = _style(index, len(curve["epochs"])), NAMES.get(label, label)
        axes.plot(curve["epochs"], curve["clean"], label=f"{name}: clean labels", **style)
        axes.plot(
            curve["epochs"],
            curve["corrupted"],
            linestyle="--",
            label=f"{name}: corrupted",
            **style | {"markerfacecolor": "white"},
        )
    axes.set(xlabel="epoch", ylabel="share right", ylim=(0, 1.02))
    axes.set_xlim(left=0)
    _integer_ticks(axes)
    _finish(axes)
    return figure


def accuracies(name: str, curves: Mapping[str, Mapping[str, Any]], note: str | None) -> Figure:
    """Figures 2a and 2b: accuracy against steps, up to the best test accuracy so far shaded."""
    figure, axes = _new(name, note)
    unit, axis = _steps(curves)
    for index, (label, curve) in enumerate(curves.items()):
        steps = [step / unit for step in curve["steps"]]
        style, shown = _style(index, len(steps)), NAMES.get(label, label)
        axes.plot(
            steps,
            curve["train"],
            linestyle="--",
            label=f"{shown}: train",
            **style | {"markerfacecolor": "white"},
        )
        axes.plot(steps, curve["test"], label=f"{shown}: test", **style)
        axes.fill_between(steps, curve["test"], curve["best"], color=style["color"], alpha=0.25, linewidth=0)
    axes.set(xlabel=axis, ylabel="accuracy", ylim=(0, 1.02))
    axes.set_xlim(left=0)
    _integer_ticks(axes)
    _finish(axes)
    return figure


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write FOLDER/NAME.png and .svg."""
    folder.mkdir(parents=True, exist_ok=True)
    targets = [folder / f"{name}{suffix}" for suffix in FORMATS]
    for target in targets:
        figures.save(figure, target)
    return targets
