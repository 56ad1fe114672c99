"""A run as a chapter of a report: what was solved, how well, how exactly, and which rows are hard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kernelfit.experiments import paper
from kernelfit.experiments.examination import Examination
from kernelfit.report import tables
from kernelfit.report.channels import is_colour, unseen
from kernelfit.report.html import charts, words
from kernelfit.report.html.chapter import again, headlines, section
from kernelfit.report.html.drawing import Drawings
from kernelfit.report.html.markup import Child, Markup, element, join, table
from kernelfit.report.html.pictures import gallery, picture, signed
from kernelfit.typing import Array, Float

#: classes beyond which a confusion matrix has more cells than a reader wants
MAX_MATRIX = 30
#: pairs of classes listed instead, and images shown
MAX_PAIRS = 20
MAX_IMAGES = 24
#: nearly dependent rows, and filters
MAX_NEAR = 8
MAX_FILTERS = 48
#: letters above a column of the confusion matrix
_HEADING = 12


def chapter(examination: Examination, drawings: Drawings, anchor: str) -> Markup:
    """Everything that is known of one run, under its title."""
    record = examination.record
    parts = [
        element("h2", title(record), id=anchor),
        _headline(record),
        _certificate(examination),
        _paper(record),
    ]
    choices: tuple[Callable[[Examination, Drawings], Markup], ...] = (
        _ridge_path,
        _classes,
        _confusion,
        _mistakes,
        _memorised,
        _weakest,
        _filters,
        _regression,
        _times,
    )
    parts += [choice(examination, drawings) for choice in choices]
    versions = ", ".join(f"{name} {version}" for name, version in record.get("versions", {}).items())
    parts += [_notes(examination), again(record["command"], versions)]
    return element("article", parts, aria_labelledby=anchor)


def title(record: dict[str, Any]) -> str:
    """What a run is called."""
    features = "" if record["features"] == "none" else f", features {record['features']}"
    return f"{record['dataset']}{features}, {record['n_train']:,} rows"


def _headline(record: dict[str, Any]) -> Markup:
    row = paper.find_for(record)
    theirs = None if row is None else (row.test_error_with_ridge if record["ridge"] else row.test_error)
    figures = [
        ("test error", tables.percent(record.get("test_error")), tables.percent(theirs) if theirs else ""),
        ("train error", tables.percent(record.get("train_error")), ""),
        ("leave-one-out error", tables.left_out(record, "loo_error"), ""),
        ("test RMSE", tables.number(record.get("test_rmse")), ""),
        ("test R²", tables.number(record.get("test_r2")), ""),
        ("leave-one-out RMSE", tables.left_out(record, "loo_rmse"), ""),
        ("RKHS norm", tables.number(record.get("rkhs_norm"), 5), ""),
        ("backward error", tables.number(record.get("backward_error"), 2), ""),
        ("condition", tables.number(record.get("condition_estimate"), 2), ""),
    ]
    shown = [
        (name, value, f"paper {beside}" if beside else "")
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
    return join((headlines(shown), element("p", about, class_="about")))


def _paper(record: dict[str, Any]) -> Markup:
    """The paper's row for these data and features beside the run's figures."""
    row = paper.find_for(record)
    if row is None:
        return Markup("")
    ridge, without = bool(record["ridge"]), record.get("interpolation") or {}
    plain = without if ridge else record
    lines = [
        ("training rows", f"{record['n_train']:,}", f"{row.n_train:,}"),
        (
            "test error, every label fitted",
            tables.percent(plain.get("test_error")),
            tables.percent(row.test_error),
        ),
        (
            "test error with a ridge",
            tables.percent(record.get("test_error") if ridge else None),
            tables.percent(row.test_error_with_ridge),
        ),
        ("norm of the interpolant", tables.number(plain.get("rkhs_norm")), tables.number(row.rkhs_norm)),
    ]
    shown = [line for line in lines if line[1:] != (tables.MISSING, tables.MISSING)]
    fewer = (
        f" Its figures are from {row.n_train:,} training rows: errors fall, and norms grow, with n."
        if record["n_train"] < row.n_train
        else ""
    )
    return section(
        "Beside the paper",
        element("p", f"{paper.CITATION} and Table 3.{fewer}"),
        table(("", "here", "paper"), shown, "This run beside the paper's row"),
    )


def _certificate(examination: Examination) -> Markup:
    record = examination.record
    origin = None if examination.dataset is None else examination.dataset.origin
    sentences = element("ul", [element("li", sentence) for sentence in words.certificate(record, origin)])
    names = (
        ("backward error", "backward_error"),
        ("of every entry", "componentwise_backward_error"),
        ("residual", "residual"),
        ("condition", "condition_estimate"),
        ("error of alpha", "forward_error"),
        ("smallest pivot", "min_pivot"),
        ("log det", "log_det"),
    )
    shown = {"forward_error": tables.alpha_error}
    rows = [
        (name, shown.get(key, tables.number)(record[key], 6))
        for name, key in names
        if record.get(key) is not None
    ]
    figures = table(("figure", "value"), rows, "The certificate in numbers")
    return section(
        "How exact it is", sentences, element("details", element("summary", "in numbers"), figures)
    )


def _ridge_path(examination: Examination, drawings: Drawings) -> Markup:
    record = examination.record
    path = record.get("ridge_path")
    if not path:
        return Markup("")
    chosen = record["ridge_choice"]["relative"]
    drawing = drawings.draw(
        [charts.ridge_path(path, chosen)],
        f"Errors of {len(path)} ridges on training rows alone, each row left out of its own fit; the ridge of "
        f"{tables.number(chosen)} times the mean diagonal was chosen.",
        record["command"],
    )
    return section("The ridge", drawing)


def _errors(scores: Float, codes: Array, n_classes: int) -> Float:
    """Per cent of the rows of each class that are taken for another; NaN of a class without rows."""
    wrong = np.bincount(codes, scores.argmax(axis=1) != codes, minlength=n_classes)
    rows = np.bincount(codes, minlength=n_classes)
    return 100 * np.divide(wrong, rows, out=np.full(n_classes, np.nan), where=rows > 0)


def _two_digits(value: float) -> str:
    return tables.MISSING if np.isnan(value) else f"{value:.2f}"


def _classes(examination: Examination, drawings: Drawings) -> Markup:
    """The norm of each class's function, and what leave-one-out says of the class beside what test rows say."""
    dataset, scores, left_out = examination.dataset, examination.scores, examination.left_out
    names, record = examination.classes, examination.record
    if dataset is None or names is None or not 1 < len(names) <= MAX_MATRIX:
        return Markup("")
    shown, said, rows = [], [], Markup("")
    values = record.get("rkhs_norm_per_class") or []
    if len(values) == len(names) and None not in values:
        shown.append(charts.norms(names, values))
        largest = names[int(np.argmax(values))]
        said.append(
            f"The norm is how complex a function it takes to tell a class from the others: most for {largest}."
        )
    if scores is not None and left_out is not None:
        test = _errors(scores, dataset.y_test, len(names))
        left = _errors(left_out, dataset.y_train, len(names))
        shown.append(charts.left_out_against_test(names, left, test))
        said.append(
            "Near the line, leave-one-out on training rows tells a class's test error without a test."
        )
        counts = np.bincount(dataset.y_test, minlength=len(names))
        lines = [
            (name, f"{counts[code]:,}", _two_digits(left[code]), _two_digits(test[code]))
            for code, name in enumerate(names)
        ]
        rows = table(("class", "test rows", "leave-one-out %", "test %"), lines, "Errors of each class")
        rows = element("details", element("summary", "errors of each class"), rows)
    if not shown:
        return Markup("")
    return section("Class by class", drawings.draw(shown, " ".join(said), record["command"]), rows)


def _confusion(examination: Examination, drawings: Drawings) -> Markup:
    names = examination.classes
    if names is None or examination.scores is None:
        return Markup("")
    if len(names) > MAX_MATRIX:
        pairs = examination.confused(MAX_PAIRS)
        rows = [(names[i], names[j], f"{count:,}") for i, j, count in pairs]
        if not rows:
            return section("What is taken for what", element("p", "Nothing: every test row is in its class."))
        listed = table(
            ("class", "taken for", "test rows"), rows, "The pairs of classes most often confused", 2
        )
        return section("What is taken for what", listed)
    counts = examination.confusion()
    off = counts - np.diag(np.diag(counts))
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
        ("true class", *(_short(name) for name in names)),
        rows_of_cells,
        "Test rows by true class (lines) and predicted class (columns)",
    )
    return section("What is taken for what", element("div", matrix, class_="matrix"))


def _short(name: str) -> str:
    """A name that has room above a narrow column; the line of its class has it in full."""
    return name if len(name) <= _HEADING else name[: _HEADING - 1].rstrip() + "…"


def _apart(name: str) -> Markup:
    """A name whose letters run from right to left, perhaps, and turn nothing around it."""
    return element("bdi", name)


def _numbered(what: str, row: int, named: str) -> str:
    """A row by its number among those of the run, and as the user's file calls it."""
    return f"{what} {row:,} ({named})" if named else f"{what} {row:,}"


def _below(named: str) -> Child:
    """A second line of a caption."""
    return [element("br"), named] if named else ""


def _mistakes(examination: Examination, drawings: Drawings) -> Markup:
    dataset, scores, names = examination.dataset, examination.scores, examination.classes
    if dataset is None or dataset.image_shape is None or scores is None or names is None:
        return Markup("")
    rows = examination.mistakes()
    if not len(rows):
        return section("Misclassified test images", element("p", "None: every test image is in its class."))
    items = []
    for row in rows[:MAX_IMAGES]:
        true, taken = names[dataset.y_test[row]], names[int(scores[row].argmax())]
        named = words.in_file(dataset.test_origin, row)
        words_of = f"{_numbered('test image', row, named)}: {true}, taken for {taken}"
        image = picture(dataset.X_test[row], dataset.image_shape, words_of)
        items.append((image, [_apart(true), " → ", _apart(taken), _below(named)]))
    text = (
        f"{len(rows):,} of {dataset.n_test:,}; the clearest mistakes first. {unseen(dataset.image_shape[2])}"
    )
    return section(
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
        named = words.in_file(dataset.origin, row)
        words_of = f"{_numbered('training image', row, named)}: labelled {label}, the others say {others}"
        image = picture(dataset.X_train[row], dataset.image_shape, words_of)
        items.append((image, [_apart(label), ", not ", _apart(others), _below(named)]))
    text = (
        f"{len(rows):,} of {dataset.n_train:,} training images would be taken for another class by the function that "
        "is fitted to all others: they are fitted by heart. The clearest first. "
        f"{unseen(dataset.image_shape[2])}"
    )
    return section(
        "Memorised training images", element("p", text), gallery(items, "memorised training images")
    )


def _weakest(examination: Examination, drawings: Drawings) -> Markup:
    """Rows that are nearly a combination of others, each beside the row nearest to it."""
    dataset = examination.dataset
    if dataset is None or dataset.image_shape is None:
        return Markup("")
    pairs = examination.nearly_dependent(MAX_NEAR)
    if not pairs:
        return Markup("")
    shape, classes = dataset.image_shape, dataset.classes
    items = []
    for row, near, share in pairs:
        for which, name in ((row, "nearly dependent"), (near, "nearest to it")):
            label = "" if classes is None else f", {classes[dataset.y_train[which]]}"
            named = words.in_file(dataset.origin, which)
            caption: list[Child] = [named or f"row {which:,}"]
            if classes is not None:
                caption += [", ", _apart(classes[dataset.y_train[which]])]
            if which == row and share is not None:
                caption.append(f": {tables.number(share, 2)}")
            description = f"{_numbered('training image', which, named)}, {name}{label}"
            items.append((picture(dataset.X_train[which], shape, description), caption))
    measured = (
        "Behind the colon stands what is left of k(x, x) once all other rows are taken off, a share between 0 and 1."
        if pairs[0][2] is not None
        else "The first row is that of the smallest pivot."
    )
    text = (
        "Training rows that are most nearly a combination of the others, each beside the row nearest to it: near twins "
        f"make a matrix singular. {measured} {unseen(shape[2])}"
    )
    return section("The weakest pivots", element("p", text), gallery(items, "the weakest pivots"))


def _filters(examination: Examination, drawings: Drawings) -> Markup:
    """What the feature map looks for, where the run has one."""
    if not examination.filters:
        return Markup("")
    items = [(signed(values, f"filter {name}"), name) for name, values in examination.filters[:MAX_FILTERS]]
    colours = any(is_colour(values) for _, values in examination.filters)
    scale = (
        "colours are weights around grey, which is zero"
        if colours
        else "blue weights are negative, red positive"
    )
    text = (
        f"{len(items):,} of {examination.filter_count:,} filters of the feature map {examination.record['features']}; "
        f"{scale}, each in units of its filter's largest."
    )
    return section("Filters", element("p", text), gallery(items, "filters"))


def _regression(examination: Examination, drawings: Drawings) -> Markup:
    dataset, scores = examination.dataset, examination.scores
    if dataset is None or scores is None or dataset.classes is not None or not dataset.n_test:
        return Markup("")
    truth = dataset.y_test.reshape(dataset.n_test, -1)[:, 0]
    predicted = scores[:, 0]
    r2 = examination.record.get("test_r2")
    several = ""
    if scores.shape[1] > 1:
        several = f" Only the first of {scores.shape[1]} targets is drawn."
    if len(truth) > charts.MAX_DOTS:
        several += f" {charts.MAX_DOTS:,} of {len(truth):,} rows are drawn, evenly chosen."
    drawing = drawings.draw(
        [
            charts.predicted_against_true(truth, predicted),
            charts.residuals_against_predicted(truth, predicted),
            charts.residual_histogram(truth, predicted),
        ],
        f"Predictions of {len(truth):,} test rows; R² {tables.number(r2)}. A pattern in the residuals is structure "
        f"that the function has not found.{several}",
        examination.record["command"],
    )
    return section("Predictions", drawing)


def _times(examination: Examination, drawings: Drawings) -> Markup:
    record = examination.record
    seconds = {name: value for name, value in record["seconds"].items() if value}
    rows = [(name, tables.seconds(value)) for name, value in seconds.items()]
    resumed = (
        "; gram and factor are those of every process that worked on this run"
        if record.get("resumed")
        else ""
    )
    rate = record.get("gflops_factor")
    speed = f" The factorisation ran at {tables.number(rate, 3)} GFLOP/s." if rate else ""
    memory = tables.size(record.get("peak_rss_bytes"))
    words_of = f"{tables.seconds(seconds.get('total'))}, peak memory {memory}{resumed}.{speed}"
    phases = table(("phase", "time"), rows, "Time of each phase")
    return section(
        "Time", element("p", words_of), element("details", element("summary", "time of each phase"), phases)
    )


def _notes(examination: Examination) -> Markup:
    notes = [*examination.record.get("notes", ()), *examination.notes]
    if not notes:
        return Markup("")
    return section("Notes", element("ul", [element("li", note) for note in notes]))
