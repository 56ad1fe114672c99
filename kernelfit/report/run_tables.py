"""What `kernelfit resume` and `kernelfit check` show of a run."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from kernelfit.report.grid import Pairs
from kernelfit.report.tables import alpha_error, kernel_formula, number, seconds, size


def certified_table(record: dict[str, Any]) -> RenderableType:
    """A solution without its data set: its equations and their certificate."""
    table = Pairs()
    table.add_row("rows, right-hand sides", f"{record['n_train']:,} x {record['n_rhs']}")
    table.add_row("kernel", f"{kernel_formula(record['kernel'])}  ridge = {number(record['ridge'])}")
    table.add_row("RKHS norm", number(record["rkhs_norm"]))
    table.add_row("backward error", number(record["backward_error"], 2))
    table.add_row("of every entry", number(record["componentwise_backward_error"], 2))
    table.add_row("condition estimate", number(record["condition_estimate"], 2))
    table.add_row("error of alpha", alpha_error(record["forward_error"], 2))
    table.add_row("log det", number(record["log_det"], 8))
    table.add_row(
        "factor",
        f"{seconds(record['seconds']['factor'])} in all processes, {number(record['gflops_factor'])} GFLOP/s",
    )
    return Group(table, *_lines(record["notes"], "dim"))


def check_table(record: dict[str, Any]) -> RenderableType:
    """What was verified, what is wrong and what is worth knowing."""
    table = Pairs()
    table.add_row("run", f"{record['folder']}, {'finished' if record['finished'] else 'not finished'}")
    if record["panels"]:  # conjugate gradients have none
        table.add_row(
            "panels verified",
            f"{record['panels_verified']:,} of {record['panels']:,}, {size(record['bytes_verified'])}",
        )
    if record["backward_error"] is not None:
        error = f"backward error {number(record['backward_error'], 2)}"
        if record["alpha_reproduced"] is None:
            table.add_row("stored alpha", f"{error}, with K formed afresh")
        else:
            bits = (
                "the stored alpha, bit for bit" if record["alpha_reproduced"] else "another alpha than stored"
            )
            table.add_row("solved again", f"{error}, {bits}")
    verdict = Text("all is well", style="green") if record["ok"] else Text("damaged", style="bold red")
    return Group(table, *_lines(record["problems"], "red"), *_lines(record["notes"], "dim"), verdict)


def _lines(texts: list[str], style: str) -> list[Text]:
    return [Text(text, style=style) for text in texts]
