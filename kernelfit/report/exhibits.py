"""Records of studies, benchmarks, comparisons and the paper's tables of kernels as chapters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kernelfit.errors import DataError
from kernelfit.experiments.paper import CITATION
from kernelfit.report import figures, labels, leaderboard, section5, studies, study_figures, table3, tables
from kernelfit.report.channels import unseen
from kernelfit.report.chart import Axis, Chart, Series, values_of
from kernelfit.report.exhibit import Exhibit, Part, Picture, checked

Record = dict[str, Any]

_OUTCOME = "What came out"
_TITLES = {
    "interpolants": "Study: other functions that fit",
    "sgd": "Study: where gradient methods go",
    "complexity": "Study: bounds, stability, memorisation",
    "curve": "Study: learning curve",
    "double-descent": "Study: double descent",
    "inputs": "Study: corrupted labels and inputs",
    "norms": "Study: norm and test error",
}
#: what each study asks, and what its charts say to who has not read its page
_QUESTIONS = {
    "interpolants": (
        "Functions that all meet every training label, the one of least norm among them. Fitting the labels says "
        "nothing: their test errors differ as much as their norms do."
    ),
    "sgd": (
        "Where gradient methods go. From 0 they stay in the span of the training rows and reach the interpolant of "
        "least norm; from elsewhere (dashed) they reach the interpolant nearest to where they began."
    ),
    "complexity": (
        "What theory promises from the training rows alone, beside what happens: a bound above a half says less than "
        "guessing. Below: the spectrum of K, stability along the ridge, and what the interpolant knows by heart."
    ),
    "curve": "How error, norm and time move with the number of training rows, and where they lead if nothing changes.",
    "double-descent": (
        "Least squares on random features of the kernel. Error is worst where there are as many features as rows, and "
        "falls again beyond, towards the kernel itself."
    ),
    "inputs": (
        "The same solver when labels or pixels lose their meaning: it fits all of them. What the test error loses is "
        "what the kernel and its features had assumed rightly."
    ),
    "norms": (
        "Does the norm of the interpolant tell its test error? Each point is a kernel, a feature map and a ridge; the "
        "rank correlations below say how well the order is kept."
    ),
}


def of_record(record: Record, source: str) -> Exhibit:
    """The chapter of a record that was read from `source`. Raises DataError for one that is none of these."""
    for applies, make in _KINDS:
        if applies(record):
            exhibit: Exhibit = checked(lambda make=make: make(record), source)  # type: ignore[misc]
            return exhibit
    raise DataError(
        f"runs: got {source}, expected the JSON of kernelfit solve, study, fit, bench, features, deep or reproduce, or "
        "the folder of a run"
    )


def of_features(record: Record, folder: Path) -> Exhibit:
    """The chapter of what `kernelfit features show --out` wrote: its record, and the sheets of pictures beside it."""

    def make() -> Exhibit:
        pictures = []
        for name, what in (("filters.png", "filters"), ("maps.png", "feature maps of a few images")):
            path = folder / name
            if path.is_file():
                words = f"{what} of {record['name']} on {record['dataset']}"
                pictures.append(Picture(words, what, png=path.read_bytes()))
        return _features(record, tuple(pictures))

    exhibit: Exhibit = checked(make, str(folder))
    return exhibit


def _features(record: Record, pictures: tuple[Picture, ...] = ()) -> Exhibit:
    grid = tables.Grid(("option", "value"))
    for name, value in record["options"].items():
        grid.add_row(str(name), str(value))
    height, width, channels = record["image_shape"]
    return Exhibit(
        f"Features: {record['name']}",
        f"{record['n_features']:,} features of {height} x {width} x {channels} images of {record['dataset']}, fitted "
        f"on {record['n_train']:,}. Recommended gamma: {record['default_gamma_factor']:g} / median squared distance.",
        (
            Part("What it sees", pictures=pictures) if pictures else Part(),
            Part("Its options", table=grid),
        ),
        record,
    )


def _study(record: Record) -> Exhibit:
    name = record["study"]
    parts = [
        Part(_OUTCOME, charts=tuple(study_figures.charts(record))),
        Part("Numbers", table=studies.table(record)),
    ]
    if record.get("images") is not None:
        parts += _remembered(record["images"])
    return Exhibit(_TITLES[name], _QUESTIONS[name], tuple(parts), record)


def _remembered(images: Record) -> list[Part]:
    """Images that are fitted by heart, and test images with the training image that they hang on."""
    shape, classes, named = tuple(images["shape"]), images["classes"], images["labels"]

    cut = [sentence for sentence in (unseen(shape[2]),) if sentence]

    def picture(name: str, index: int, words: str) -> Picture:
        row = np.asarray(images[name][index], dtype=np.float64)
        label = classes[named[name][index]]
        return Picture(f"{words}, {label}", str(label), row, shape)

    memorised = [
        picture("memorised", index, "memorised training image") for index in range(len(images["memorised"]))
    ]
    hanging = [
        picture(name, index, words)
        for index in range(len(images["hanging_test"]))
        for name, words in (("hanging_test", "test image"), ("hanging_train", "its training image"))
    ]
    return [
        Part(
            "Memorised",
            ("The other training images predict another class for these: they are fitted by heart.", *cut),
            pictures=tuple(memorised),
        ),
        Part(
            "Hanging on one image",
            ("Test images, each followed by the training image without which it would be wrong.", *cut),
            pictures=tuple(hanging),
        ),
    ]


def _labels(record: Record) -> Exhibit:
    first, last = record["summary"][0], record["summary"][-1]
    shown = [
        (f"test error, p = {row['p']:g}", tables.percent(row["test_error"])) for row in (first, last)
    ] + [(f"norm, p = {row['p']:g}", tables.number(row["rkhs_norm"], 4)) for row in (first, last)]
    return Exhibit(
        "Study: labels drawn at random",
        "The same training rows under labels of which a fraction p is drawn at random; one factor fits them all. The "
        "norm tells how hard it was: labels with less meaning take a larger one.",
        (
            Part(_OUTCOME, charts=tuple(labels.charts(record["summary"], record["n_classes"]))),
            Part("Numbers", table=labels.table(record)),
        ),
        record,
        tuple(shown),
    )


def _bench(record: Record) -> Exhibit:
    return Exhibit(
        "Benchmark: time of a solve",
        f"{figures.measured_on(record)}. The grey line is what n³/3 operations would take at the measured "
        "speed of this machine's own matrix products.",
        (
            Part(_OUTCOME, charts=tuple(figures.bench_charts(record))),
            Part("Numbers", table=tables.bench_table(record)),
        ),
        record,
    )


def _leaderboard(record: Record) -> Exhibit:
    classes = record["task"] == "classification"
    key, unit, measure = ("error", 100.0, "error, %") if classes else ("rmse", 1.0, "RMSE")
    entries = [entry for entry in record["entries"] if not entry["failed"]]
    series = []
    for number, (part, name) in enumerate((("loo", "rows left out of the fit"), ("test", "test rows"))):
        values = values_of((entry[f"{part}_{key}"] for entry in entries), unit)
        if any(value is not None for value in values):
            places = tuple(float(index) for index in range(len(entries)))
            series.append(Series(name, values, places, "dots", colour=number))
    names = tuple(
        entry["name"] if entry["library"] == "kernelfit" else f"sklearn {entry['name']}" for entry in entries
    )
    chart = Chart(
        "kernels", "Kernels and scikit-learn's models", Axis(measure), Axis(names=names), tuple(series)
    )
    return Exhibit(
        "Kernels compared by leave-one-out",
        "Each kernel at the width and ridge that predict left-out training rows best; test rows decide nothing. The "
        "least error wins.",
        (Part(_OUTCOME, charts=(chart,)), Part("Numbers", table=leaderboard.table(record))),
        record,
    )


def _table3(record: Record) -> Exhibit:
    rows = record["rows"]
    names = tuple(row["row"] + ("*" if table3.differences(row) else "") for row in rows)
    places = tuple(float(index) for index in range(len(rows)))

    theirs = [row["paper"] for row in rows]

    def dots(name: str, values: Any, unit: float, colour: int) -> Series:
        return Series(name, values_of(values, unit), places, "dots", colour=colour)

    def chart(name: str, title: str, label: str, series: tuple[Series, ...]) -> Chart:
        # The paper gives few norms and ridges.
        shown = tuple(each for each in series if any(value is not None for value in each.x))
        return Chart(name, title, Axis(label, log=True), Axis(names=names), shown)

    charts = (
        chart(
            "table3-error",
            "Test error",
            "test error, %",
            (
                dots("paper", (row["test_error"] for row in theirs), 100.0, 7),
                dots("here", (row["test_error"] for row in rows), 100.0, 0),
                dots("paper, with ridge", (row["test_error_with_ridge"] for row in theirs), 100.0, 6),
                dots("here, with ridge", (row["test_error_with_ridge"] for row in rows), 100.0, 5),
            ),
        ),
        chart(
            "table3-norm",
            "Norm of the interpolant",
            "RKHS norm",
            (
                dots("paper", (row["rkhs_norm"] for row in theirs), 1.0, 7),
                dots("here", (row["rkhs_norm"] for row in rows), 1.0, 0),
            ),
        ),
    )
    other = "; * marks rows that are other than in the paper" if any(map(table3.differences, rows)) else ""
    return Exhibit(
        "The paper's Table 3",
        f"Kernels that fit every label, beside {CITATION}{other}.",
        (Part(_OUTCOME, charts=charts), Part("Numbers", table=table3.table(record))),
        record,
    )


def _section5(record: Record) -> Exhibit:
    claims = [claim["holds"] for claim in record["claims"]]
    still = f"; of {claims.count(None)} a norm is not resolved" if None in claims else ""
    return Exhibit(
        "The paper's Section 5, claim by claim",
        f"{claims.count(True)} of {len(claims)} claims hold here{still}. Each stands beside the number that bears it "
        "out or does not.",
        (Part(table=section5.table(record)),),
        record,
    )


_KINDS: tuple[tuple[Callable[[Record], bool], Callable[[Record], Exhibit]], ...] = (
    (lambda record: "entries" in record and "winner" in record, _leaderboard),
    (lambda record: str(record.get("study")) in _QUESTIONS, _study),
    (lambda record: "trials" in record and "summary" in record, _labels),
    (lambda record: record.get("benchmark") == "solve time against n", _bench),
    (lambda record: "rows" in record and "missing" in record and "paper" in record, _table3),
    (lambda record: "claims" in record, _section5),
    (lambda record: "default_gamma_factor" in record and "options" in record, _features),
)
