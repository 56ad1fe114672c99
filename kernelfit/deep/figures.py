"""Figures 1a, 1b, 1c, 2a and 2b, from the curves of `kernelfit.deep.compare`; PNG and SVG. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernelfit.report import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg")


def _new(title: str, note: str | None) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title if note is None else f"{title}\n{note}", fontsize=10)
    axes.grid(alpha=0.25)
    return figure, axes


def losses(curves: Mapping[str, Mapping[str, Any]], note: str | None) -> Figure:
    """Figure 1a: training loss against thousands of steps."""
    figure, axes = _new("1a: training loss", note)
    for name, curve in curves.items():
        axes.plot([step / 1000 for step in curve["steps"]], curve["losses"], label=name)
    axes.set(xlabel="thousand steps", ylabel="mean loss of 50 steps")
    axes.legend()
    return figure


def overfitting_time(curves: Mapping[str, list[dict[str, Any]]], note: str | None) -> Figure:
    """Figure 1b: steps to the threshold, relative to clean labels; runs that did not converge are left out."""
    figure, axes = _new("1b: time to overfit, relative to clean labels", note)
    for model, points in curves.items():
        shown = [point for point in points if point["relative_time"] is not None]
        axes.plot([p["p"] for p in shown], [p["relative_time"] for p in shown], marker="o", label=model)
    axes.set(xlabel="share of corrupted labels", ylabel="relative time")
    axes.legend()
    return figure


def test_errors(curves: Mapping[str, list[dict[str, Any]]], note: str | None) -> Figure:
    """Figure 1c: test error against the share of corrupted labels."""
    figure, axes = _new("1c: test error on clean labels", note)
    for model, points in curves.items():
        x = [point["p"] for point in points]
        axes.errorbar(
            x,
            [point["test_error"] for point in points],
            yerr=[point["test_error_spread"] or 0.0 for point in points],
            marker="o",
            capsize=2,
            label=model,
        )
    axes.axhline(0.9, color="k", linestyle=":", linewidth=1, label="chance")
    axes.set(xlabel="share of corrupted labels", ylabel="test error", ylim=(0, 1))
    axes.legend()
    return figure


def memorisation(curves: Mapping[str, Mapping[str, Any]], note: str | None) -> Figure:
    """Beyond the paper: share of clean and of corrupted examples that are right, against epochs."""
    figure, axes = _new("memorisation at half the labels corrupted", note)
    for index, (label, curve) in enumerate(curves.items()):
        axes.plot(curve["epochs"], curve["clean"], color=f"C{index}", label=f"{label}: clean labels")
        axes.plot(
            curve["epochs"],
            curve["corrupted"],
            color=f"C{index}",
            linestyle="--",
            label=f"{label}: corrupted",
        )
    axes.set(xlabel="epoch", ylabel="share right", ylim=(0, 1.02))
    axes.legend()
    return figure


def accuracies(name: str, curves: Mapping[str, Mapping[str, Any]], note: str | None) -> Figure:
    """Figures 2a and 2b: accuracy against thousands of steps, best test accuracy so far shaded."""
    figure, axes = _new(name, note)
    for index, (label, curve) in enumerate(curves.items()):
        steps = [step / 1000 for step in curve["steps"]]
        colour = f"C{index}"
        axes.plot(steps, curve["train"], color=colour, linestyle="--", label=f"{label}: train")
        axes.plot(steps, curve["test"], color=colour, label=f"{label}: test")
        axes.fill_between(steps, curve["test"], curve["best"], color=colour, alpha=0.25)
    axes.set(xlabel="thousand steps", ylabel="accuracy", ylim=(0, 1.02))
    axes.legend()
    return figure


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write FOLDER/NAME.png and .svg."""
    folder.mkdir(parents=True, exist_ok=True)
    targets = [folder / f"{name}{suffix}" for suffix in FORMATS]
    for target in targets:
        figures.save(figure, target)
    return targets
