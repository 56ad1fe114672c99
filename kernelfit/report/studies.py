"""The studies' records as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kernelfit.report.tables import MISSING, kernel_formula, number

Row = dict[str, Any]

#: what the settings of a study are told apart by
SETTINGS = {"inputs": "features, corruption", "norms": "features, kernel, ridge"}
# What tells draws apart, and has no mean.
_SEEDS = ("seed", "corruption_seed")


def table(record: Row) -> RenderableType:
    """What a study gave, a line a row, and below it what the rows come to."""
    return _TABLES[record["study"]](record)


def _interpolants(record: Row) -> RenderableType:
    hessian = record["hessian"]
    least, means = hessian["smallest"], in_order(record["rows"], "name")
    down = "down, the least not resolved" if least is None else f"to {least:.3g}"
    lines = [
        f"{hessian['parameters']:,} parameters; at every interpolant the loss has curvature along {hessian['rank']:,} "
        f"of them, eigenvalues {hessian['largest']:.3g} {down}, and none along the other "
        f"{hessian['parameters'] - hessian['rank']:,}",
        *record["notes"],
        *_made_in_some(means, len({row.get("seed") for row in record["rows"]})),
    ]
    columns = (
        ("interpolant", "name", str),
        ("norm", "rkhs_norm", _digits(5)),
        ("x least", "norm_ratio", _digits(3)),
        ("train %", "train_error", _percent),
        ("test %", "test_error", _percent),
        ("misfit", "misfit", _power),
        ("curvature", "curvature", _digits(10)),
    )
    return _whole(record, means, columns, lines)


def _made_in_some(means: Sequence[Row], draws: int) -> list[str]:
    """A line for each function that some draws did not give: its means are those of the others."""
    return [f"{row['name']}: of {row['seeds']} of {draws} draws" for row in means if row["seeds"] < draws]


def _sgd(record: Row) -> RenderableType:
    rows = [
        {
            **path,
            "last": path["steps"][-1],
            "limit": path["to_limit"][-1],
            "least": path["to_least_norm"][-1],
            "theory": None if path["predicted"] is None else path["predicted"][-1],
            "span": max(path["outside"]),
            "test": path["test_errors"][-1],
            "early": f"{path['best'][1]:.2%} at {path['best'][0]}",
        }
        for path in record["rows"]
    ]
    columns = (
        ("method", "method", str),
        ("from", "start", str),
        ("steps", "last", "{:,}".format),
        ("to its limit", "limit", _power),
        ("theory", "theory", _power),
        ("1e-6 at", "reached", "{:,}".format),
        ("to least norm", "least", _power),
        ("out of span", "span", _power),
        ("test %", "test", _percent),
        ("least test", "early", str),
    )
    lines = [
        f"condition {record['condition']:.3g}: by the spectrum gradient descent needs "
        f"{record['steps_by_the_spectrum']:,} steps for 1e-6",
        "theory is exact for gradient descent, a bound for the others; stochastic steps are passes over the rows",
        "step x l_max: "
        + "; ".join(
            f"{row['step_times_l_max']:g} loss x {row['loss_ratio']:.2g} after {row['steps']}"
            for row in record["step_sizes"]
        ),
    ]
    return _whole(record, rows, columns, lines)


def _complexity(record: Row) -> RenderableType:
    columns = (
        ("labels", "labels", str),
        ("norm", "rkhs_norm", _digits(5)),
        ("Rademacher", "rademacher", _digits(4)),
        ("±", "rademacher_error", _digits(2)),
        ("closed bound", "rademacher_closed", _digits(4)),
        ("margin bound", "bound", _digits(4)),
        ("bounded error", "binary_error", _digits(4)),
        ("test %", "test_error", _percent),
        ("loo %", "loo_error", _percent),
        ("alignment", "alignment", _digits(3)),
    )
    by_ridge = (
        ("ridge", "ridge", _digits(3)),
        ("effective dimension", "effective_dimension", _digits(5)),
        ("stability constant", "stability_constant", _digits(3)),
        ("largest move, true", "largest_move_true", _digits(3)),
        ("random", "largest_move_random", _digits(3)),
        ("test %, true", "test_error_true", _percent),
        ("random", "test_error_random", _percent),
    )
    below = [labelling["labels"] for labelling in record["labellings"] if labelling["bound"] < 0.5]
    memory = record["memorisation"]
    lines = [
        f"margin bound at {1 - record['delta']:.0%}: "
        + (f"below a half for {' and '.join(below)} labels" if below else "vacuous for both labellings"),
        f"memorised most: rows {', '.join(map(str, memory['memorised'][:8])) or 'none'}; {memory['hanging_rows']} test "
        "rows are right by one training row alone",
    ]
    return Group(
        _grid(record["labellings"], columns), _grid(record["ridges"], by_ridge), *_below(record, lines)
    )


def _curve(record: Row) -> RenderableType:
    columns = (
        ("n", "n", "{:,}".format),
        ("test %", "test_error", _percent),
        ("norm", "rkhs_norm", _digits(5)),
        ("seconds", "seconds", _digits(3)),
    )
    lines = [_extrapolated(fit) for fit in record["extrapolated"]]
    fitted = [fit["quantity"] for fit in record["extrapolated"]]
    lines += [
        f"{quantity.replace('_', ' ')}: no curve of that form goes through the means, nothing is extrapolated"
        for quantity in ("test_error", "rkhs_norm")
        if quantity not in fitted
    ]
    return _whole(record, averages(record["rows"], "n"), columns, lines)


def _extrapolated(fit: Row) -> str:
    """The curve and what it says beyond the largest n, errors in % as in the table."""
    name, unit = ("test error, %", 100.0) if fit["quantity"] == "test_error" else ("rkhs norm", 1.0)
    # A fit that ends at its bound of 0 stops short of it by rounding.
    limit = fit["limit"] if fit["limit"] > 1e-8 * min(fit["at"].values(), default=0.0) else 0.0
    beyond = ", ".join(
        f"{unit * value:.3g} ± {unit * fit['error'][n]:.1g} at n = {int(n):,}"
        for n, value in fit["at"].items()
    )
    curve = f"{unit * limit:.3g} + {unit * fit['coefficient']:.3g} n^{-fit['power']:.3g}"
    return f"{name}: {curve}; {beyond} by extrapolation"


def _double_descent(record: Row) -> RenderableType:
    columns = (
        ("features", "p", "{:,}".format),
        ("/ n", "share", _digits(3)),
        ("train %", "train_error", _percent),
        ("test %", "test_error", _percent),
        ("norm", "rkhs_norm", _digits(5)),
    )
    limit = record["kernel_limit"]
    lines = [
        f"the kernel itself: test {limit['test_error']:.2%}, norm {number(limit['rkhs_norm'], 5)}",
        *_refused(record["rows"]),
    ]
    return _whole(record, averages(record["rows"], "p"), columns, lines)


def _refused(rows: Sequence[Row]) -> list[str]:
    """A line for each number of features of which draws had no solution: their means are those of the others."""
    draws = {p: [row for row in rows if row["p"] == p] for p in sorted({row["p"] for row in rows})}
    reasons = {p: [row["refused"] for row in group if row.get("refused")] for p, group in draws.items()}
    return [
        f"{p:,} features: {len(reasons[p])} of {len(group)} draws without a solution: {reasons[p][0]}"
        for p, group in draws.items()
        if reasons[p]
    ]


def _settings(record: Row) -> RenderableType:
    columns = (
        (SETTINGS[record["study"]], "name", str),
        ("train %", "train_error", _percent),
        ("test %", "test_error", _percent),
        ("loo %", "loo_error", _percent),
        ("norm", "rkhs_norm", _digits(5)),
        ("condition", "condition_estimate", _power),
        ("seconds", "seconds", _digits(3)),
    )
    lines = [
        f"norm against test error, {name}: rank correlation "
        + (
            MISSING
            if ranked is None
            else f"{ranked['correlation']:+.2f} over {ranked['count']} (p = {ranked['p_value']:.2g})"
        )
        for name, ranked in record["norm_against_test_error"].items()
    ]
    lines += [f"{row['name']}: {row['refused']}" for row in record["rows"] if "refused" in row]
    if record.get("chosen"):
        lines.append(f"least leave-one-out error: {record['chosen']}")
    return _whole(record, settings_rows(record), columns, [*lines, *record["notes"]])


_TABLES: dict[str, Callable[[Row], RenderableType]] = {
    "interpolants": _interpolants,
    "sgd": _sgd,
    "complexity": _complexity,
    "curve": _curve,
    "double-descent": _double_descent,
    "inputs": _settings,
    "norms": _settings,
}


def averages(rows: Sequence[Row], key: str) -> list[Row]:
    """Means over seeds of the rows with the same `key`, with NAME_std; rows that were refused keep out."""
    averaged = []
    for value in sorted({row[key] for row in rows}):
        group = [row for row in rows if row[key] == value and not row.get("refused")]
        if not group:
            continue
        mean: Row = {key: value, "seeds": len(group)}
        for name in group[0]:
            values = [row[name] for row in group]
            if name in (key, *_SEEDS) or not all(isinstance(each, int | float) for each in values):
                continue
            mean[name] = sum(values) / len(values)
            squares = sum((each - mean[name]) ** 2 for each in values)
            mean[f"{name}_std"] = (squares / (len(values) - 1)) ** 0.5 if len(values) > 1 else 0.0
        averaged.append(mean)
    return averaged


def in_order(rows: Sequence[Row], key: str) -> list[Row]:
    """`averages`, in the order in which the values of `key` come first."""
    means = {row[key]: row for row in averages(rows, key)}
    return [means[value] for value in dict.fromkeys(row[key] for row in rows) if value in means]


def settings_rows(record: Row) -> list[Row]:
    """A row for each setting, over its seeds, with its `features`; those that were refused keep out."""
    if record["study"] != "inputs":
        return [row for row in record["rows"] if "refused" not in row]
    rows = [{**row, "name": f"{row['features']}, {row['corruption']}"} for row in record["rows"]]
    features = {row["name"]: row["features"] for row in rows}
    return [{**row, "features": features[row["name"]]} for row in in_order(rows, "name")]


def _whole(
    record: Row, rows: Sequence[Row], columns: Sequence[tuple[str, str, Any]], lines: Sequence[str]
) -> RenderableType:
    return Group(_grid(rows, columns), *_below(record, lines))


def _below(record: Row, lines: Sequence[str]) -> list[Text]:
    about = record["dataset"]
    if "n_train" in record:
        about = f"{record['n_train']:,} training and {record['n_test']:,} test rows of {about}"
    if "kernel" in record:
        about += f"; {kernel_formula(record['kernel'])}"
    return [Text(line, style="dim") for line in (*lines, about)]


def _grid(rows: Sequence[Row], columns: Sequence[tuple[str, str, Any]]) -> Table:
    grid = Table(box=None, pad_edge=False)
    shown = [column for column in columns if any(row.get(column[1]) is not None for row in rows)]
    for index, (heading, _, _) in enumerate(shown):
        grid.add_column(heading, justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        grid.add_row(*(_cell(row, key, form) for _, key, form in shown))
    return grid


def _cell(row: Row, key: str, form: Callable[[Any], str]) -> str:
    if row.get(key) is None:
        return MISSING
    spread = row.get(f"{key}_std") if row.get("seeds", 1) > 1 else None
    behind = f" ±{form(spread) if form is _percent else format(spread, '.2g')}" if spread else ""
    return f"{form(row[key])}{behind}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _power(value: float) -> str:
    return f"{value:.1e}"


def _digits(count: int) -> Callable[[float], str]:
    return lambda value: f"{value:.{count}g}"
