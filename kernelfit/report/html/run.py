"""A run as a chapter of a report: what was solved, how well, how exactly, and which rows are hard."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from kernelfit.experiments import paper
from kernelfit.experiments.examination import Examination
from kernelfit.report import tables
from kernelfit.report.html import charts, words
from kernelfit.report.html.drawing import Drawings
from kernelfit.report.html.markup import Child, Markup, element, join, table
from kernelfit.report.html.pictures import gallery, picture
from kernelfit.typing import Array, Float

#: classes beyond which a confusion matrix has more cells than a reader wants
MAX_MATRIX = 30
#: pairs of classes listed instead, and images shown
MAX_PAIRS = 20
MAX_IMAGES = 24


def chapter(examination: Examination, drawings: Drawings, anchor: str) -> Markup:
    """Everything that is known of one run, under its title."""
    record = examination.record
    title = f"{record['dataset']}, {record['n_train']:,} rows"
    parts = [element("h2", title, id=anchor), _headline(record), _certificate(examination)]
    choices: tuple[Callable[[Examination, Drawings], Markup], ...] = (
        _ridge_path,
        _norms,
        _classes,
        _confusion,
        _mistakes,
        _memorised,
        _weakest,
        _regression,
    )
    parts += [choice(examination, drawings) for choice in choices]
    parts += [_times(record), _notes(examination), _again(record)]
    return element("article", parts, aria_labelledby=anchor)


def _section(title: str, *children: Child) -> Markup:
    return element("section", element("h3", title), *children)


def _headline(record: dict[str, Any]) -> Markup:
    row = paper.find(record["dataset"], record["features"])
    theirs = None if row is None else (row.test_error_with_ridge if record["ridge"] else row.test_error)
    figures = [
        ("test error", tables.percent(record.get("test_error")), tables.percent(theirs) if theirs else ""),
        ("train error", tables.percent(record.get("train_error")), ""),
        ("leave-one-out error", tables.percent(record.get("loo_error")), ""),
        ("test RMSE", tables.number(record.get("test_rmse")), ""),
        ("test R²", tables.number(record.get("test_r2")), ""),
        ("leave-one-out RMSE", tables.number(record.get("loo_rmse")), ""),
        ("RKHS norm", tables.number(record.get("rkhs_norm"), 5), ""),
    ]
    shown = [
        element(
            "div",
            element("dt", name),
            element("dd", value, element("small", f" paper {beside}") if beside else ""),
        )
        for name, value, beside in figures
        if value != tables.MISSING
    ]
    features = "" if record["features"] == "none" else f", features {record['features']}"
    corruption = f", labels or inputs corrupted: {record['corruption']}" if record.get("corruption") else ""
    about = (
        f"{tables.kernel_formula(record['kernel'])}, ridge {tables.number(record['ridge'])}; {record['n_train']:,} "
        f"training and {record['n_test']:,} test rows of {record['n_features']:,} features{features}{corruption}; "
        f"{record['precision']}, {record['tier']}, {record['device']}."
    )
    return join((element("dl", shown, class_="figures"), element("p", about)))


def _certificate(examination: Examination) -> Markup:
    record = examination.record
    sentences = element("ul", [element("li", sentence) for sentence in words.certificate(record)])
    names = (
        ("backward error", "backward_error"),
        ("of every entry", "componentwise_backward_error"),
        ("residual", "residual"),
        ("condition", "condition_estimate"),
        ("error of alpha", "forward_error"),
        ("smallest pivot", "min_pivot"),
        ("log det", "log_det"),
    )
    rows = [(name, tables.number(record.get(key), 6)) for name, key in names if record.get(key) is not None]
    figures = table(("figure", "value"), rows, "The certificate in numbers")
    return _section(
        "How exact it is", sentences, element("details", element("summary", "in numbers"), figures)
    )


def _ridge_path(examination: Examination, drawings: Drawings) -> Markup:
    record = examination.record
    path = record.get("ridge_path")
    if not path:
        return Markup("")
    chosen = record["ridge_choice"]["relative"]
    drawing = drawings.draw(
        partial(charts.ridge_path, path, chosen),
        "Leave-one-out error along the ridge, on training rows alone.",
        f"Line chart of the leave-one-out error for {len(path)} ridges; the ridge {tables.number(chosen)} of the mean "
        "diagonal was chosen.",
    )
    errors = ["loo_error" if any(row.get("loo_error") is not None for row in path) else "loo_rmse"]
    rows = [(tables.number(row["relative"]), *(tables.number(row[key], 6) for key in errors)) for row in path]
    values = table(("ridge / mean diagonal", *errors), rows, "The ridge path in numbers")
    return _section("The ridge", drawing, element("details", element("summary", "in numbers"), values))


def _norms(examination: Examination, drawings: Drawings) -> Markup:
    values = examination.record.get("rkhs_norm_per_class") or []
    names = examination.classes
    if names is None or len(values) != len(names) or not 1 < len(names) <= MAX_MATRIX or None in values:
        return Markup("")
    largest = names[int(np.argmax(values))]
    drawing = drawings.draw(
        partial(charts.norms, names, values),
        "Norm of the function of each class: how complex a function it takes to tell it from the others.",
        f"Bar chart of the norm for {len(names)} classes; the largest is that of {largest}.",
    )
    return _section("The norm of each class", drawing)


def _errors(scores: Float, codes: Array, n_classes: int) -> Float:
    """Per cent of the rows of each class that are taken for another; 0 for a class without rows."""
    wrong = np.bincount(codes, scores.argmax(axis=1) != codes, minlength=n_classes)
    rows = np.bincount(codes, minlength=n_classes)
    return 100 * wrong / np.maximum(rows, 1)


def _classes(examination: Examination, drawings: Drawings) -> Markup:
    dataset, scores, left_out = examination.dataset, examination.scores, examination.left_out
    names = examination.classes
    if dataset is None or scores is None or left_out is None or names is None or len(names) > MAX_MATRIX:
        return Markup("")
    test, left = _errors(scores, dataset.y_test, len(names)), _errors(left_out, dataset.y_train, len(names))
    drawing = drawings.draw(
        partial(charts.left_out_against_test, names, left, test),
        "Errors of each class: what leave-one-out on training rows says, against test rows.",
        f"Scatter chart of the leave-one-out and test errors of {len(names)} classes.",
    )
    rows = [
        (name, f"{int((dataset.y_test == code).sum()):,}", f"{left[code]:.2f}", f"{test[code]:.2f}")
        for code, name in enumerate(names)
    ]
    values = table(("class", "test rows", "leave-one-out %", "test %"), rows, "Errors of each class")
    return _section(
        "Leave-one-out against test", drawing, element("details", element("summary", "in numbers"), values)
    )


def _confusion(examination: Examination, drawings: Drawings) -> Markup:
    names = examination.classes
    if names is None or examination.scores is None:
        return Markup("")
    counts = examination.confusion()
    off = counts - np.diag(np.diag(counts))
    if len(names) > MAX_MATRIX:
        order = np.argsort(-off, axis=None, kind="stable")[:MAX_PAIRS]
        pairs = [np.unravel_index(place, off.shape) for place in order]
        rows = [(names[i], names[j], str(off[i, j])) for i, j in pairs if off[i, j]]
        listed = table(
            ("class", "taken for", "test rows"), rows, "The pairs of classes most often confused", 2
        )
        return _section("What is taken for what", listed)
    most = max(int(off.max(initial=0)), 1)
    rows_of_cells: list[list[Child]] = []
    for i, name in enumerate(names):
        cells: list[Child] = [name]
        for j in range(len(names)):
            share = 0 if i == j else int(np.ceil(5 * off[i, j] / most))
            kind = "same" if i == j else f"shade{share}"
            cells.append(element("span", str(counts[i, j]) if counts[i, j] else "·", class_=kind))
        rows_of_cells.append(cells)
    matrix = table(
        ("true class", *names), rows_of_cells, "Test rows by true class (lines) and predicted class (columns)"
    )
    return _section("What is taken for what", element("div", matrix, class_="matrix"))


def _mistakes(examination: Examination, drawings: Drawings) -> Markup:
    dataset, scores, names = examination.dataset, examination.scores, examination.classes
    if dataset is None or dataset.image_shape is None or scores is None or names is None:
        return Markup("")
    rows = examination.mistakes()
    if not len(rows):
        return _section("Misclassified test images", element("p", "None: every test image is in its class."))
    items = []
    for row in rows[:MAX_IMAGES]:
        true, taken = names[dataset.y_test[row]], names[int(scores[row].argmax())]
        words_of = f"test image {row}: {true}, taken for {taken}"
        items.append((picture(dataset.X_test[row], dataset.image_shape, words_of), f"{true} → {taken}"))
    text = f"{len(rows):,} of {dataset.n_test:,}; the clearest mistakes first."
    return _section(
        "Misclassified test images", element("p", text), gallery(items, "misclassified test images")
    )


def _memorised(examination: Examination, drawings: Drawings) -> Markup:
    dataset, left_out, names = examination.dataset, examination.left_out, examination.classes
    if dataset is None or dataset.image_shape is None or left_out is None or names is None:
        return Markup("")
    rows = examination.memorised()
    if not len(rows):
        return Markup("")
    items = []
    for row in rows[:MAX_IMAGES]:
        label, others = names[dataset.y_train[row]], names[int(left_out[row].argmax())]
        words_of = f"training image {row}: labelled {label}, the others say {others}"
        items.append((picture(dataset.X_train[row], dataset.image_shape, words_of), f"{label}, not {others}"))
    text = (
        f"{len(rows):,} of {dataset.n_train:,} training images would be taken for another class by the function that "
        "is fitted to all others: they are fitted by heart. The clearest first."
    )
    return _section(
        "Memorised training images", element("p", text), gallery(items, "memorised training images")
    )


def _weakest(examination: Examination, drawings: Drawings) -> Markup:
    dataset, row = examination.dataset, examination.record.get("min_pivot_row")
    if dataset is None or dataset.image_shape is None or row is None or row >= dataset.n_train:
        return Markup("")
    near = examination.nearest_to(row)
    items = []
    for which, name in ((row, "smallest pivot"), (near, "its nearest neighbour")):
        label = "" if dataset.classes is None else f", {dataset.classes[dataset.y_train[which]]}"
        words_of = f"training image {which}, {name}{label}"
        items.append(
            (picture(dataset.X_train[which], dataset.image_shape, words_of), f"row {which:,}{label}")
        )
    text = "The training row with the smallest pivot, and the row nearest to it: near twins make a matrix singular."
    return _section("The weakest pivot", element("p", text), gallery(items, "the weakest pivot"))


def _regression(examination: Examination, drawings: Drawings) -> Markup:
    dataset, scores = examination.dataset, examination.scores
    if dataset is None or scores is None or dataset.classes is not None or not dataset.n_test:
        return Markup("")
    truth = dataset.y_test.reshape(dataset.n_test, -1)[:, 0]
    predicted = scores[:, 0]
    r2 = examination.record.get("test_r2")
    return _section(
        "Predictions",
        drawings.draw(
            partial(charts.predicted_against_true, truth, predicted),
            "Test rows: predicted against true values.",
            f"Scatter chart of {len(truth):,} predictions against true values; R squared {tables.number(r2)}.",
        ),
        drawings.draw(
            partial(charts.residuals, truth, predicted),
            "Test rows: how far predictions are from true values.",
            f"Histogram of the errors of {len(truth):,} predictions.",
        ),
    )


def _times(record: dict[str, Any]) -> Markup:
    seconds = {name: value for name, value in record["seconds"].items() if value}
    rows = [(name, tables.seconds(value)) for name, value in seconds.items()]
    resumed = (
        "; gram and factor are those of every process that worked on this run"
        if record.get("resumed")
        else ""
    )
    memory = f"Peak memory {tables.size(record.get('peak_rss_bytes'))}{resumed}."
    return _section("Time", table(("phase", "time"), rows, "Time of each phase"), element("p", memory))


def _notes(examination: Examination) -> Markup:
    notes = [*examination.record.get("notes", ()), *examination.notes]
    if not notes:
        return Markup("")
    return _section("Notes", element("ul", [element("li", note) for note in notes]))


def _again(record: dict[str, Any]) -> Markup:
    versions = ", ".join(f"{name} {version}" for name, version in record.get("versions", {}).items())
    return _section(
        "Again",
        element("p", "The command that made this run:"),
        element("pre", element("code", record["command"]), tabindex=0),
        element("p", element("small", versions)),
    )
