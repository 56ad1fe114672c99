"""What a command prints: a record as JSON, a table for people, and help in groups."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import click
from rich.console import Console, RenderableType

from kernelfit.kernels import KERNELS, parameter_names
from kernelfit.storage import json_output

# Columns of what is piped: nobody looks at its width, and a name that is cut or wrapped is lost.
_UNBOUNDED = 10_000

_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Data",
        (
            *("dataset", "train", "test", "n_train", "n_test", "rows", "target", "drop", "task", "keys"),
            *("data_dir", "corruption", "corruption_p"),
        ),
    ),
    ("Features", ("features", "n_filters", "feature_options", "standardise", "n_features")),
    (
        "Kernel",
        (
            "kernel",
            "gamma",
            "gamma_factor",
            *sorted({name for kernel in KERNELS for name in parameter_names(kernel)}),
        ),
    ),
    ("Solver", ("ridge", "jitter", "precision", "n_rhs", "sizes", "ahead", "repeats", "seed", "loo")),
    ("Machine", ("tier", "memory", "scratch", "device", "device_memory", "threads", "predict_time")),
)
_REST = "Output"


class GroupedCommand(click.Command):
    """A command whose help lists its options by what they are about."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        headings = {name: heading for heading, names in _GROUPS for name in names}
        order = (*(heading for heading, _ in _GROUPS), _REST)
        entries: dict[str, list[tuple[str, str]]] = {heading: [] for heading in order}
        for parameter in self.get_params(ctx):
            entry = parameter.get_help_record(ctx)
            if entry is not None:
                entries[headings.get(str(parameter.name), _REST)].append(entry)
        for heading, lines in entries.items():
            if lines:
                with formatter.section(heading):
                    formatter.write_dl(lines)


def show(renderable: RenderableType, *, highlight: bool = True) -> None:
    """Print on standard output: as wide as the terminal, or as what is piped needs, without padding."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        Console(markup=False, highlight=highlight).print(renderable)
        return
    text = io.StringIO()
    Console(file=text, markup=False, highlight=False, width=_UNBOUNDED).print(renderable)
    click.echo("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def emit(record: Any, target: str | None, shown: RenderableType) -> None:
    """Write the record to `target`, where one is given, and show it unless standard output is to hold JSON alone."""
    if target is not None:
        json_output.write(record, target)
    if target != json_output.STDOUT:
        show(shown)
