"""The studies' records as charts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from kernelfit.report import plot
from kernelfit.report.channels import visible
from kernelfit.report.chart import Axis, Chart, Rule, Series, values_of
from kernelfit.report.studies import SETTINGS, averages, in_order, settings_rows
from kernelfit.report.style import own_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, Any]

#: points of a curve whose theory is drawn beside it
_THEORY = 40


def charts(record: Row) -> list[Chart]:
    """What a study found, as charts."""
    return _CHARTS[record["study"]](record)


def figure(record: Row) -> Figure:
    """The same as one figure for a file; of `complexity` with the images that it names."""
    drawn = plot.figure(charts(record), f"{record['study'].replace('-', ' ')}: {record['dataset']}")
    images = record.get("images")
    return drawn if images is None else _with_pictures(record, images)


def _percent(values: Any) -> tuple[float | None, ...]:
    return values_of(values, 100.0)


def _column(rows: list[Row], key: str, unit: float = 1.0) -> tuple[float | None, ...]:
    return values_of((row.get(key) for row in rows), unit)


def _places(count: int) -> tuple[float, ...]:
    return tuple(float(index) for index in range(count))


def _bars(name: str, title: str, rows: list[Row], key: str, axis: Axis, unit: float = 1.0) -> Chart:
    """Lying bars, one for each row, with its spread over seeds."""
    names = tuple(str(row["name"]) for row in rows)
    values, spread = _column(rows, key, unit), _column(rows, f"{key}_std", unit)
    bars = Series("", values, _places(len(rows)), "bars", spread=spread if any(spread) else None)
    return Chart(name, title, axis, Axis(names=names), (bars,))


def _interpolants(record: Row) -> list[Chart]:
    short = " that vanishes on the training rows"
    rows = [
        {**row, "name": row["name"].replace(short, ", 0 on training rows")}
        for row in in_order(record["rows"], "name")
    ]
    return [
        _bars(
            "interpolants-error",
            "Test error of functions that all fit every training label",
            rows,
            "test_error",
            Axis("test error, %", low=0, high=100),
            100.0,
        ),
        _bars(
            "interpolants-norm",
            "Their norms: the least is that of the kernel's solution",
            rows,
            "rkhs_norm",
            Axis("RKHS norm", low=0),
        ),
    ]


def _sgd(record: Row) -> list[Chart]:
    distances, theory, errors = [], [], []
    methods = list(dict.fromkeys(path["method"] for path in record["rows"]))
    for path in record["rows"]:
        steps = values_of(path["steps"])  # 0 has no place on a logarithm, but in the table
        own: Row = {
            "name": f"{path['method']} from {path['start']}",
            "x": steps,
            "mark": "curve",
            "dashed": path["start"] != "0",
            "colour": methods.index(path["method"]),
        }
        distances.append(Series(**own, y=values_of(path["to_limit"])))
        errors.append(Series(**own, y=_percent(path["test_errors"])))
        if path["start"] == "0" and path["method"] == "gradient descent" and path["predicted"] is not None:
            every = max(1, len(steps) // _THEORY)
            name = "gradient descent by theory"
            theory.append(
                Series(
                    name,
                    steps[::every],
                    values_of(path["predicted"])[::every],
                    "dots",
                    colour=own["colour"],
                )
            )
    steps_axis = Axis("steps, or passes", log=True)
    # Of what was measured: theory goes on to where float64 has no distances.
    measured = [y for series in distances for y in series.y if y]
    return [
        Chart(
            "descent-distance",
            "Distance from where each method goes",
            steps_axis,
            Axis("distance from the limit", log=True, low=min(measured) / 2 if measured else None, high=3),
            tuple(distances + theory),
        ),
        Chart(
            "descent-error",
            "Test error along the way: stopping early",
            steps_axis,
            Axis("test error, %", low=0),
            tuple(errors),
        ),
    ]


def _complexity(record: Row) -> list[Chart]:
    ranks, eigenvalues = zip(*record["eigenvalues"], strict=True)
    labellings = record["labellings"]
    shown = (
        ("bound", "margin bound"),
        ("rademacher", "Rademacher complexity"),
        ("binary_error", "test error, a class and the rest"),
    )
    drawn = [
        Chart(
            "spectrum",
            "Spectrum of K",
            Axis("rank", log=True),
            Axis("eigenvalue", log=True),
            (Series("", values_of(ranks), values_of(eigenvalues)),),
        ),
        Chart(
            "bounds",
            "What bounds promise, beside the error",
            Axis(names=tuple(f"{row['labels']} labels" for row in labellings)),
            Axis("error, or its bound", log=True),
            tuple(
                Series(label, _places(len(labellings)), _column(labellings, key), "bars", colour=number)
                for number, (key, label) in enumerate(shown)
            ),
            (Rule("guessing", "y", 0.5),),
        ),
    ]
    ridges = record.get("ridges") or []
    if len(ridges) > 1:
        x = _column(ridges, "ridge")
        drawn.append(
            Chart(
                "stability",
                "Stability: the same for any labels",
                Axis("ridge", log=True),
                Axis("bound, or move of a value", log=True),
                (
                    Series("stability constant", x, _column(ridges, "stability_constant")),
                    Series("largest move, true labels", x, _column(ridges, "largest_move_true")),
                    Series(
                        "largest move, random labels", x, _column(ridges, "largest_move_random"), dashed=True
                    ),
                ),
            )
        )
        drawn.append(
            Chart(
                "ridge-error",
                "Test error along the ridge",
                Axis("ridge", log=True),
                Axis("test error, %", low=0),
                (
                    Series("true labels", x, _column(ridges, "test_error_true", 100.0)),
                    Series("random labels", x, _column(ridges, "test_error_random", 100.0)),
                ),
            )
        )
    return drawn


def _curve(record: Row) -> list[Chart]:
    rows = averages(record["rows"], "n")
    n = _column(rows, "n")
    fits = {fit["quantity"]: fit for fit in record["extrapolated"]}
    drawn = []
    for key, unit, label, title in (
        ("test_error", 100.0, "test error, %", "Test error against the number of rows"),
        ("rkhs_norm", 1.0, "RKHS norm", "Norm of the interpolant"),
        ("seconds", 1.0, "seconds", "Time of a solve"),
    ):
        values = _column(rows, key, unit)
        if all(value is None for value in values):
            continue
        series = [Series("mean over draws", n, values, spread=_column(rows, f"{key}_std", unit))]
        fit = fits.get(key)
        if fit is not None:
            grid = np.geomspace(float(rows[0]["n"]), 10.0 * float(rows[-1]["n"]), 60)
            reached = fit["limit"] + fit["coefficient"] * grid ** -fit["power"]
            series.append(
                Series(
                    "extrapolated",
                    values_of(grid.tolist()),
                    values_of(reached.tolist(), unit),
                    "curve",
                    dashed=True,
                )
            )
            beyond = list(fit["at"])
            series.append(
                Series(
                    "with its standard error",
                    values_of(float(n) for n in beyond),
                    values_of((fit["at"][n] for n in beyond), unit),
                    "dots",
                    spread=values_of((fit["error"][n] for n in beyond), unit),
                )
            )
        drawn.append(
            Chart(
                f"curve-{key.replace('_', '-')}",
                title,
                Axis("training rows n", log=True),
                Axis(label, low=0) if 0.0 in values else Axis(label, log=True),
                tuple(series),
            )
        )
    return drawn


def _double_descent(record: Row) -> list[Chart]:
    rows, limit = averages(record["rows"], "p"), record["kernel_limit"]
    share = _column(rows, "share")
    axis = Axis("random features / training rows", log=True)
    threshold = Rule("as many features as rows", "x", 1.0)

    def kernel_norm() -> tuple[Rule, ...]:
        (norm,) = values_of([limit["rkhs_norm"]])
        return () if norm is None else (Rule("kernel", "y", norm),)

    def line(key: str, name: str, unit: float, colour: int) -> Series:
        return Series(
            name, share, _column(rows, key, unit), spread=_column(rows, f"{key}_std", unit), colour=colour
        )

    return [
        Chart(
            "double-descent-error",
            "Error against the number of random features",
            axis,
            Axis("error, %", low=0),
            (line("test_error", "test", 100.0, 0), line("train_error", "train", 100.0, 1)),
            (threshold, Rule("kernel, test", "y", 100 * limit["test_error"])),
        ),
        Chart(
            "double-descent-norm",
            "Norm of the weights",
            axis,
            Axis("norm of the weights", log=True),
            (line("rkhs_norm", "", 1.0, 0),),
            (threshold, *kernel_norm()),
        ),
    ]


def _settings(record: Row) -> list[Chart]:
    rows = settings_rows(record)
    by_feature = []
    for feature in dict.fromkeys(row["features"] for row in rows):
        shown = [row for row in rows if row["features"] == feature]
        by_feature.append(
            Series(
                f"features {feature}",
                _column(shown, "rkhs_norm"),
                _column(shown, "test_error", 100.0),
                "dots",
                texts=tuple(str(row["name"]) for row in shown),
            )
        )
    return [
        _bars(
            f"{record['study']}-error",
            f"Test error by {SETTINGS[record['study']]}",
            rows,
            "test_error",
            Axis("test error, %", low=0),
            100.0,
        ),
        Chart(
            f"{record['study']}-norm",
            "Norm against test error",
            Axis("RKHS norm", log=True),
            Axis("test error, %"),
            tuple(by_feature),
        ),
    ]


_CHARTS: dict[str, Callable[[Row], list[Chart]]] = {
    "interpolants": _interpolants,
    "sgd": _sgd,
    "complexity": _complexity,
    "curve": _curve,
    "double-descent": _double_descent,
    "inputs": _settings,
    "norms": _settings,
}


# The images that a record of `complexity` names, below its charts. --------------------------------------------------


@own_style()
def _with_pictures(record: Row, images: Row) -> Figure:
    from matplotlib.figure import Figure

    shown = charts(record)[:2]
    drawn = Figure(figsize=(10.0, 8.4), layout="constrained")
    parts: Any = drawn.subfigures(3, 1, height_ratios=(2.0, 1.0, 1.0))
    upper, middle, lower = parts
    for axes, chart in zip(upper.subplots(1, len(shown)), shown, strict=True):
        plot.draw(axes, chart)
        axes.set_title(plot.title_of(chart), fontsize=9)
        if len(chart.series) > 1:
            axes.legend(fontsize=7)
    _pictures(middle, "memorised: the others predict another class", images, ("memorised",))
    _pictures(
        lower,
        "test images, each beside the training image without which it is wrong",
        images,
        ("hanging_test", "hanging_train"),
    )
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
        picture = visible(np.asarray(pixels, float).reshape(shape))
        largest = picture.max()
        axes.imshow(picture / largest if largest > 0 else picture, cmap="gray_r")
        axes.set_title(plot.literal(str(images["classes"][label])), fontsize=8)
