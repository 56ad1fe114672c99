"""Results as tables that a person reads at a glance. Every function takes the record that goes into JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from kernelfit.experiments import paper
from kernelfit.iterative.convergence import SKETCH
from kernelfit.report import advice
from kernelfit.report.grid import Filled, Grid

MISSING = "–"
#: of a bound of 1 of the error of alpha
NO_DIGIT = "no digit is known"


def percent(fraction: float | None) -> str:
    """0.0122 -> 1.22 %."""
    return MISSING if fraction is None else f"{100 * fraction:.2f} %"


def counted(count: int, word: str) -> str:
    """1 thread, 2 threads."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def number(value: float | None, digits: int = 4) -> str:
    """Significant digits, no needless zeros; nothing for what is not known."""
    return MISSING if value is None or value != value else f"{value:.{digits}g}"


def alpha_error(value: float | None, digits: int) -> str:
    """A bound of the error of alpha, and in words what one of 1 says."""
    return f"{number(value, digits)}: {NO_DIGIT}" if value == 1.0 else number(value, digits)


def seconds(value: float | None) -> str:
    """0.0123 -> 12 ms, 1.5 -> 1.50 s, 763 -> 12 min 43 s, 7500 -> 2 h 05 min, 4e5 -> 4.63 days."""
    if value is None:
        return MISSING
    if value < 0.9995:
        return f"{1000 * value:.0f} ms"
    if value < 119.5:
        return f"{value:.2f} s" if value < 9.995 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 120:
        return f"{minutes} min {rest:02d} s"
    if minutes < 72 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes / 1440:.3g} days"


def beside_rmse(record: dict[str, Any], part: str) -> str:
    """R² and the mean absolute error of a part: test, train or loo."""
    return f"R² {number(record[f'{part}_r2'])}, MAE {number(record[f'{part}_mae'])}"


def left_out(record: dict[str, Any], key: str) -> str:
    """`loo_error` or `loo_rmse`, with its standard deviation where it is an estimate: 4.71 +- 0.08 %."""
    value, deviation = record.get(key), record.get(f"{key}_deviation")
    if value is None or deviation is None:
        return percent(value) if key == "loo_error" else number(value)
    if key == "loo_error":
        return f"{100 * value:.2f} +- {100 * deviation:.2f} %"
    return f"{number(value)} +- {number(deviation, 2)}"


def _estimated(record: dict[str, Any], start: str = "") -> str:
    return f"{start}{record['loo_probes']:,} probes, estimated" if "loo_probes" in record else ""


def size(n_bytes: float | None) -> str:
    """Bytes in powers of ten: 14.4 GB."""
    if n_bytes is None:
        return MISSING
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= 0.9995 * scale:
            return f"{n_bytes / scale:.3g} {unit}"
    return f"{n_bytes:.0f} B"


def rate(flop_per_second: float | None) -> str:
    """flop/s as GFLOP/s."""
    return MISSING if flop_per_second is None else f"{flop_per_second / 1e9:.1f} GFLOP/s"


def kernel_formula(kernel: dict[str, Any]) -> str:
    """{"name": "gaussian", "gamma": 0.02} -> gaussian(gamma=0.02)."""
    if kernel["name"] in ("sum", "product"):
        sign = " + " if kernel["name"] == "sum" else " * "
        return sign.join(kernel_formula(kernel[side]) for side in ("left", "right"))
    inside = ", ".join(
        f"{name}={number(value, 6) if isinstance(value, float) else value}"
        for name, value in kernel.items()
        if name != "name" and not isinstance(value, dict)
    )
    return f"{kernel['name']}({inside})"


def solve_table(record: dict[str, Any]) -> RenderableType:
    """The result of `kernelfit solve`: errors, norm and certificate, with the paper's figures beside ours."""
    row = paper.find_for(record)
    relative = record.get("ridge_relative")
    times_mean = f" ({relative:.3g} of the mean diagonal)" if relative else ""
    headline = Text.assemble(
        (record["dataset"], "bold"),
        f"  n = {record['n_train']:,}  {kernel_formula(record['kernel'])}  ridge = {number(record['ridge'])}",
        times_mean,
        f"  {record['corruption']}" if record.get("corruption") else "",
    )
    parts: list[RenderableType] = [headline, _answers(record, row)]
    if "ridge_choice" in record:
        parts.append(_without_ridge(record, row))
    parts += _times(record)
    if row is not None:
        rows_note = "" if record["n_train"] >= row.n_train else f"; theirs from {row.n_train:,} rows"
        parts.append(Text(f"paper: {paper.CITATION}{rows_note}", style="dim"))
    steps = advice.next_steps(record)
    if steps:
        parts.append(Text("try next", style="bold"))
        parts.extend(Text(f"  {step}") for step in steps)
    return Group(*parts)


def _answers(record: dict[str, Any], row: paper.PaperRow | None) -> Grid:
    middle = ("here",) if row is None else ("here", "paper")
    meanings = 1 + len(middle)
    numbers = range(1, meanings)
    table = Grid(
        ("", *middle, ""), right=numbers, words=(meanings,), optional=(meanings,), heads=row is not None
    )

    def add(label: str, here: str, theirs: str = "", meaning: str = "") -> None:
        values = (Text(here, style="green"), Text(theirs))[: len(middle)]
        table.add_row(Text(label, style="bold"), *values, Text(meaning, style="dim"))

    ridge = bool(record["ridge"])
    if record["train_error"] is not None:
        theirs = None if row is None else (row.test_error_with_ridge if ridge else row.test_error)
        add(
            "test error",
            percent(record["test_error"]),
            percent(theirs) if theirs else "",
            f"{record['n_test']:,} row{'s' if record['n_test'] != 1 else ''}",
        )
        add("train error", percent(record["train_error"]))
    else:
        rows = f", {record['n_test']:,} row{'s' if record['n_test'] != 1 else ''}"
        add("test RMSE", number(record["test_rmse"]), "", beside_rmse(record, "test") + rows)
        add("train RMSE", number(record["train_rmse"]), "", beside_rmse(record, "train"))
    if record["loo_error"] is not None:
        add("leave-one-out error", left_out(record, "loo_error"), "", _estimated(record))
    elif record["loo_rmse"] is not None:
        add(
            "leave-one-out RMSE",
            left_out(record, "loo_rmse"),
            "",
            beside_rmse(record, "loo") + _estimated(record, ", "),
        )
    norm = None if row is None or ridge else row.rkhs_norm
    add(
        "RKHS norm",
        number(record["rkhs_norm"]),
        number(norm) if norm else "",
        "not resolved" if number(record["rkhs_norm"]) == MISSING else "complexity of the interpolant",
    )
    add(
        "backward error",
        number(record["backward_error"], 2),
        "",
        "exact for K and Y changed by this fraction",
    )
    add(
        "  of every entry",
        number(record["componentwise_backward_error"], 2),
        "",
        "of itself; rounding: 1.1e-16",
    )
    if convergence := record.get("convergence"):
        add("relative residual", number(convergence["relative_residual"], 2), "", convergence["stopped"])
        add(
            "iterations",
            f"{convergence['iterations']:,}",
            "",
            f"{_size_of(convergence)}, K {convergence['entries']}",
        )
        return table
    add("condition", number(record["condition_estimate"], 2), "", "1-norm estimate")
    add(
        "error of alpha",
        number(record["forward_error"], 2),
        "",
        NO_DIGIT if record["forward_error"] == 1.0 else "at most about condition x rounding",
    )
    at = "" if record["min_pivot_row"] is None else f"at training row {record['min_pivot_row']:,}"
    add("smallest pivot", number(record["min_pivot"], 3), "", at)
    add("log det K", number(record["log_det"], 6))
    if record["jitter"]:
        add("jitter", number(record["jitter"]), "", "added to the diagonal of the factor")
    return table


def _size_of(convergence: dict[str, Any]) -> str:
    """Of the preconditioner, or of blocks."""
    if convergence.get("method") == SKETCH:
        return f"blocks of {convergence['rank']:,} rows"
    return f"rank {convergence['rank']:,}"


def _without_ridge(record: dict[str, Any], row: paper.PaperRow | None) -> Text:
    """How the ridge was chosen, and what the solution without one gives."""
    choice, without = record["ridge_choice"], record["interpolation"]
    if without is None:
        return Text("without ridge: no solution, as the note says")
    if choice["ridge"] == 0:
        return Text(
            f"ridge 0 of {len(record['ridge_path'])} has the least leave-one-out error: this interpolates"
        )
    if without["test_error"] is not None:
        error = f"error {percent(without['test_error'])}"
    else:
        error = f"RMSE {number(without['test_rmse'])}"
    theirs = f" (paper {percent(row.test_error)})" if row is not None else ""
    return Text(
        f"without ridge: test {error}{theirs}, norm {number(without['rkhs_norm'])}, "
        f"backward error {number(without['backward_error'], 2)}"
    )


def _times(record: dict[str, Any]) -> list[RenderableType]:
    resumed = record.get("resumed", False)
    label = "time since resumed " if resumed else "time "
    text = Text.assemble((label, "bold"), seconds(record["seconds"]["total"]))
    if record["gflops_factor"] is not None:
        text.append(f"   factor {number(record['gflops_factor'], 3)} GFLOP/s")
    text.append(f"   peak memory {size(record['peak_rss_bytes'])}")
    text.append(f"   {record['precision']}, {record['tier']}, {record['device']}")
    phases = [
        f"{name} {seconds(value)}" for name, value in record["seconds"].items() if name != "total" and value
    ]
    parts: list[RenderableType] = [text]
    if phases:
        parts.append(Filled(phases, "     ", "dim"))
    if resumed:
        parts.append(
            Text("     features, gram and factor: of every process that worked on this run", style="dim")
        )
    return parts


def plan_table(plan: dict[str, Any]) -> Grid:
    """The plan of a solve: what it will occupy, do and take."""
    table = Grid(("", "", ""), right=(1,), words=(2,), optional=(2,), heads=False)

    def add(name: str, value: str, meaning: str) -> None:
        table.add_row(Text(name, style="bold"), value, Text(meaning, style="dim"))

    sides = "side" if plan["n_rhs"] == 1 else "sides"
    add("rows, features", f"{plan['n']:,} x {plan['d']:,}", f"{plan['n_rhs']} right-hand {sides}")
    add("precision", plan["precision"], "")
    if plan["solver"] == "pcg":
        add("solver", "conjugate gradients", f"preconditioner of rank {plan['rank']:,}")
        add(
            "K",
            "in memory" if plan["tier"] == "ram" else "formed anew",
            "in float32" if plan["tier"] == "ram" else "for every product",
        )
    elif plan["solver"] == "askotch":
        add("solver", "sketch-and-project", f"blocks of {plan['rank']:,} rows, formed anew")
    else:
        add("tier", plan["tier"], "where the factor lives")
    add("panels", f"{plan['panels']:,}", f"of {plan['panel_width']:,} columns")
    add("threads", str(plan["threads"]), "")
    full = plan["n"] ** 2 * 8
    held = "stored" if plan["solver"] == "pcg" else "factor"
    add(held, size(plan["bytes_factor"]), f"the whole of K would be {size(full)}")
    add("rows", size(plan["bytes_points"]), "")
    add("workspace", size(plan["bytes_workspace"]), "")
    add("memory", size(plan["bytes_memory"]), f"limit {size(plan['memory_limit'])}")
    if plan["cache"] != "none":
        add("kept", plan["cache"], "in memory between refinements")
    if plan["bytes_disk"]:
        traffic = f"read {size(plan['bytes_read'])}, written {size(plan['bytes_written'])}"
        add("disk", size(plan["bytes_disk"]), traffic)
    for name in ("gram", "factor", "solve", "certify", "refine"):
        flops = plan[f"flops_{name}"]
        if flops:
            add(f"{name} flops", number(flops, 3), "")
    if plan["predicted_seconds"] is not None:
        iteration = plan["seconds_iteration"]
        source = (
            "from the measured GEMM rate"
            if iteration is None
            else "all but the iterations, one true residual"
        )
        add("predicted time", seconds(plan["predicted_seconds"]), source)
        if iteration is not None:
            add("  an iteration", seconds(iteration), "how many: the tolerance and K decide")
            add("  100 iterations", seconds(plan["predicted_seconds"] + 100 * iteration), "in all")
    return table


def cluster_plan_table(plan: dict[str, Any]) -> Grid:
    """What a solve on a cluster will take, as the model predicts it."""
    table = Grid(("", "", ""), right=(1,), words=(2,), optional=(2,), heads=False)
    rows = (
        ("rows", f"{plan['n']:,}", f"block rows of {plan['panel_width']:,}"),
        ("workers", f"{plan['workers']:,}", f"{100 * plan['efficiency']:.0f} % of their rate in the factor"),
        ("predicted time", seconds(plan["seconds"]), "by the model, not measured"),
        ("  factor", seconds(plan["seconds_factor"]), "with K"),
        ("  solve", seconds(plan["seconds_solve"]), ""),
        ("  certify", seconds(plan["seconds_certify"]), "with the condition number"),
        ("link", size(plan["bytes_link"]), "received by a worker"),
        ("memory", size(plan["bytes_memory"]), "of a worker"),
        ("  or disk", size(plan["bytes_disk"]), f"beside {size(plan['bytes_memory_disk'])} of memory"),
    )
    for name, value, meaning in rows:
        table.add_row(Text(name, style="bold"), value, Text(meaning, style="dim"))
    return table


def _beside(other: dict[str, Any]) -> str:
    """Seconds of another library, and how many times ours they are."""
    return "left out" if "left_out" in other else f"{seconds(other['seconds'])} ({other['times_ours']:.2f}x)"


def bench_table(record: dict[str, Any]) -> RenderableType:
    """Solve times against n, with the share of the GEMM rate and what the fit predicts."""
    beside = list(record["rows"][0].get("beside", {}))  # records of before lack it
    phases = {
        "gram": "gram",
        "factor": "factor",
        "solve": "solve",
        "certify": "certificate",
        "total": "total",
    }
    headings = ("n", *phases.values(), "factor rate", "share of GEMM", *beside)
    table = Grid(headings, right=range(len(headings)), optional=(4, 3, 1, 6))
    for row in record["rows"]:
        table.add_row(
            f"{row['n']:,}",
            *(seconds(row["seconds"].get(name)) for name in phases),
            rate(row["factor_flops_per_second"]),
            percent(row["share_of_gemm"]),
            *(_beside(row["beside"][name]) for name in beside),
        )
    lines: list[RenderableType] = [table]
    for reason in dict.fromkeys(
        other.get("left_out") for row in record["rows"] for other in row.get("beside", {}).values()
    ):
        lines += [Text(f"left out: {reason}", style="dim")] if reason else []
    if beside:
        lines.append(Text("in brackets: times the whole call of this one, certificate included", style="dim"))
    threads = counted(record["threads"], "thread")
    gemm = f"GEMM {rate(record['gemm_flops_per_second'])} ({record['gemm_dtype']}, {threads})"
    lines.append(Text(gemm, style="dim"))
    if any((row["share_of_gemm"] or 0.0) > 1.0 for row in record["rows"]):
        lines.append(
            Text(
                "above 100 %: tiles of our own are faster than the library's product of matrices", style="dim"
            )
        )
    if record["fit"] is not None:
        lines.append(Text(f"total time grows as n^{record['fit']['exponent']:.2f} over the last sizes"))
    for prediction in record["predictions"]:
        memory = size(prediction["bytes_memory"])
        lines.append(
            Text(f"n = {prediction['n']:,}: {seconds(prediction['seconds'])} predicted, {memory} of memory")
        )
    return Group(*lines)
