"""The studies' records as figures. Matplotlib is imported on use and without its global state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from kernelfit.report.studies import averages

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, Any]


def figure(record: Row) -> Figure:
    """The figure of a study's record."""
    drawn = _FIGURES[record["study"]](record)
    for axes in drawn.axes:
        axes.grid(alpha=0.25)
    return drawn


def _pair() -> tuple[Figure, Any, Any]:
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(10.0, 4.2), layout="constrained")
    left, right = drawn.subplots(1, 2)
    return drawn, left, right


def _interpolants(record: Row) -> Figure:
    drawn, errors, norms = _pair()
    names = [
        row["name"].replace(" that vanishes on the training rows", ", 0 on them") for row in record["rows"]
    ]
    at = np.arange(len(names))
    errors.barh(at, [100 * row["test_error"] for row in record["rows"]])
    errors.set(xlabel="test error, %", xlim=(0, 100))
    errors.set_yticks(at, names)
    norms.barh(at, [row["rkhs_norm"] for row in record["rows"]], color="tab:orange")
    norms.set(xlabel="RKHS norm", yticks=[])
    for axes in (errors, norms):
        axes.invert_yaxis()
    drawn.suptitle("Functions that fit every training label")
    return drawn


def _sgd(record: Row) -> Figure:
    drawn, distances, errors = _pair()
    for path in record["rows"]:
        line = "-" if path["start"] == "0" else "--"
        steps = np.maximum(path["steps"], 0.5)
        (curve,) = distances.plot(
            steps, path["to_limit"], line, label=f"{path['method']} from {path['start']}"
        )
        if path["start"] == "0" and path["method"] == "gradient descent":
            distances.plot(
                steps[::4], path["predicted"][::4], ".", color=curve.get_color(), label="its theory"
            )
        errors.plot(steps, 100 * np.array(path["test_errors"]), line, color=curve.get_color())
    distances.set(
        xscale="log",
        yscale="log",
        xlabel="steps, or passes",
        ylabel="distance from the limit",
        ylim=(1e-9, 3),
    )
    distances.legend(fontsize=7)
    errors.set(xscale="log", xlabel="steps, or passes", ylabel="test error, %")
    return drawn


def _complexity(record: Row) -> Figure:
    from matplotlib.figure import Figure

    images = record["images"]
    drawn = Figure(figsize=(10.0, 4.2 if images is None else 8.4), layout="constrained")
    upper: Any = drawn
    if images is not None:
        parts: Any = drawn.subfigures(3, 1, height_ratios=(2.0, 1.0, 1.0))
        upper, middle, lower = parts
        _pictures(middle, "memorised: the others predict another class", images, ("memorised",))
        _pictures(
            lower,
            "test images, each beside the training image without which it is wrong",
            images,
            ("hanging_test", "hanging_train"),
        )
    spectrum, bounds = upper.subplots(1, 2)
    ranks, values = zip(*record["eigenvalues"], strict=True)
    spectrum.loglog(ranks, values, marker=".")
    spectrum.set(xlabel="rank", ylabel="eigenvalue of K", title="spectrum")
    names = [row["labels"] for row in record["labellings"]]
    at = np.arange(len(names))
    shown = (
        ("bound", "margin bound"),
        ("rademacher", "Rademacher complexity"),
        ("binary_error", "test error, a class and the rest"),
    )
    for offset, (key, label) in enumerate(shown):
        bounds.bar(at + 0.27 * (offset - 1), [row[key] for row in record["labellings"]], 0.25, label=label)
    bounds.axhline(0.5, color="k", linestyle=":", linewidth=1, label="guessing")
    bounds.set_xticks(at, [f"{name} labels" for name in names])
    bounds.set(yscale="log")
    bounds.legend(fontsize=7)
    return drawn


def _pictures(figure: Any, title: str, images: Row, names: tuple[str, ...]) -> None:
    """Images in a row, those of several names in turn, each below its class."""
    figure.suptitle(title, fontsize=10)
    shape, shown = images["shape"], []
    for group in zip(
        *(zip(images[name], images["labels"][name], strict=True) for name in names), strict=True
    ):
        shown += group
    count = 16 // len(names) // 2 * len(names)
    for axes in figure.subplots(1, count):
        axes.axis("off")
    for axes, (pixels, label) in zip(figure.axes, shown, strict=False):
        picture = np.asarray(pixels, float).reshape(shape)
        largest = picture.max()
        axes.imshow(picture / largest if largest > 0 else picture, cmap="gray_r")
        axes.set_title(str(images["classes"][label]), fontsize=8)


def _curve(record: Row) -> Figure:
    drawn, errors, norms = _pair()
    rows = averages(record["rows"], "n")
    n = np.array([row["n"] for row in rows], float)
    fits = {fit["quantity"]: fit for fit in record["extrapolated"]}
    for axes, key, unit, label in (
        (errors, "test_error", 100.0, "test error, %"),
        (norms, "rkhs_norm", 1.0, "RKHS norm"),
    ):
        mean, bars = (unit * np.array([row[name] for row in rows]) for name in (key, f"{key}_std"))
        axes.errorbar(
            n, mean, yerr=bars, marker="o", capsize=3, label="mean and standard deviation over draws"
        )
        if key in fits:
            grid = np.geomspace(n[0], 10 * n[-1], 100)
            fit = fits[key]
            axes.plot(
                grid,
                unit * (fit["limit"] + fit["coefficient"] * grid ** -fit["power"]),
                "k:",
                label="extrapolated",
            )
        axes.set(xscale="log", yscale="log", xlabel="training rows n", ylabel=label)
        axes.legend(fontsize=8)
    return drawn


def _double_descent(record: Row) -> Figure:
    drawn, errors, norms = _pair()
    rows = averages(record["rows"], "p")
    share = np.array([row["share"] for row in rows])
    for key, name in (("test_error", "test"), ("train_error", "train")):
        mean, bars = (100 * np.array([row[part] for row in rows]) for part in (key, f"{key}_std"))
        errors.errorbar(share, mean, yerr=bars, marker="o", capsize=3, label=name)
    mean, bars = (np.array([row[part] for row in rows]) for part in ("rkhs_norm", "rkhs_norm_std"))
    norms.errorbar(share, mean, yerr=bars, marker="o", capsize=3)
    limit = record["kernel_limit"]
    errors.axhline(100 * limit["test_error"], color="k", linestyle="--", linewidth=1, label="kernel, test")
    norms.axhline(limit["rkhs_norm"], color="k", linestyle="--", linewidth=1)
    for axes in (errors, norms):
        axes.axvline(1, color="k", linestyle=":", linewidth=1)
        axes.set(xscale="log", xlabel="random features / training rows")
    errors.set(ylabel="error, %")
    errors.legend()
    norms.set(ylabel="norm of the weights", yscale="log")
    return drawn


def _settings(record: Row) -> Figure:
    drawn, bars, scatter = _pair()
    rows = [row for row in record["rows"] if "refused" not in row]
    at = np.arange(len(rows))
    bars.barh(at, [100 * row["test_error"] for row in rows])
    bars.set_yticks(at, [row["name"] for row in rows], fontsize=7)
    bars.invert_yaxis()
    bars.set(xlabel="test error, %")
    for feature in dict.fromkeys(row["features"] for row in rows):
        shown = [row for row in rows if row["features"] == feature and row["rkhs_norm"] is not None]
        scatter.plot(
            [row["rkhs_norm"] for row in shown],
            [100 * row["test_error"] for row in shown],
            "o",
            label=f"features {feature}",
        )
    scatter.set(xscale="log", xlabel="RKHS norm", ylabel="test error, %")
    scatter.legend()
    return drawn


_FIGURES: dict[str, Callable[[Row], Any]] = {
    "interpolants": _interpolants,
    "sgd": _sgd,
    "complexity": _complexity,
    "curve": _curve,
    "double-descent": _double_descent,
    "inputs": _settings,
    "norms": _settings,
}
