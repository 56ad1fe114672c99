"""What a command prints: a record as JSON, a table for people, and help in groups."""

from __future__ import annotations

import io
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click
from rich.console import Console, RenderableType

from kernelfit.errors import InputError
from kernelfit.kernels import KERNELS, parameter_names
from kernelfit.runs.folder import FILES
from kernelfit.storage import json_output

# Columns of what is piped: nobody looks at its width, and a name that is cut or wrapped is lost.
_UNBOUNDED = 10_000

#: heading -> the options below it, by the name of their Python argument
_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Data",
        (
            *("dataset", "name", "train", "test", "n_train", "n_test", "n", "rows", "data_dir", "images"),
            *("target", "drop", "task", "keys", "missing"),
            *(
                "corruption",
                "corruption_p",
                "corruption_seed",
                "corruptions",
                "shares",
                "p",
                "labels",
                "crop",
            ),
        ),
    ),
    (
        "Features",
        (
            *("features", "n_filters", "filters", "feature_options", "texts", "standardise", "centre"),
            *("n_features", "of_bytes", "quantise", "checkpoint", "sums"),
        ),
    ),
    (
        "Kernel",
        (
            *("kernel", "kernels", "baselines"),
            "gamma",
            "gamma_factor",
            *sorted({name for kernel in KERNELS for name in parameter_names(kernel)}),
        ),
    ),
    (
        "Network",
        (
            *(
                "model",
                "models",
                "epochs",
                "side",
                "batch",
                "rates",
                "optimizer",
                "label_smoothing",
                "rate_decay",
            ),
            *(
                "dropout",
                "augment",
                "plateau",
                "weight_decay",
                "stop_when_fitted",
                "depths",
                "variant",
                "theta",
            ),
        ),
    ),
    (
        "Solver",
        (
            *(
                "ridge",
                "jitter",
                "precision",
                "solver",
                "tolerance",
                "n_rhs",
                "sizes",
                "ahead",
                "repeats",
                "seed",
                "loo",
            ),
            *("levels", "seeds", "chosen", "with_norms", "kernel_rows", "rademacher_draws"),
            *("steps", "passes", "maps", "ridges", "beside"),
        ),
    ),
    (
        "Machine",
        (
            *("tier", "memory", "scratch", "device", "device_memory", "threads"),
            *("engine", "scheduler", "workers", "bandwidth", "rate", "gemm"),
            *("stack", "at_once", "minutes", "compiled", "graph", "workers", "checkpoint_seconds"),
        ),
    ),
)
_REST = "Output"


def known_options() -> set[str]:
    """The options that have a place of their own in help; all others stand below Output."""
    return {name for _, names in _GROUPS for name in names}


# What a command reads and what it writes, by the names of the Python arguments.
_READ = ("dataset", "train", "test", "rows", "runs", "run_dir", "folder", "checkpoint", "sums")
_WRITTEN = ("out", "json_target", "report", "figure")


class GroupedCommand(click.Command):
    """A command whose help lists its options by what they are about; its arguments stand in the line of usage."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        ctx.allow_extra_args = True  # refused below, by the option that may be meant
        rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            self._refuse_extra(ctx, rest)
            self._note_repeated(ctx, given)
        return rest

    def _refuse_extra(self, ctx: click.Context, words: list[str]) -> None:
        """Raise where words are left over: `kernelfit solve digits` lacks an option before the name."""
        if not words:
            return
        takes_data = any(parameter.name == "dataset" for parameter in self.params)
        hint = f"; did you mean --dataset {words[0]}?" if takes_data else ""
        ctx.fail(f"Got unexpected extra argument{'s' if len(words) > 1 else ''} ({' '.join(words)}){hint}")

    def _note_repeated(self, ctx: click.Context, args: list[str]) -> None:
        """Say of an option that takes one value and was given several which of them counts."""
        _, _, order = self.make_parser(ctx).parse_args(args=args)
        for option, times in Counter(order).items():
            if times > 1 and isinstance(option, click.Option) and not (option.multiple or option.count):
                value = ctx.params.get(str(option.name))
                click.echo(
                    f"note: {option.opts[0]}: given {times} times, of which the last counts: {value}",
                    err=True,
                )

    def invoke(self, ctx: click.Context) -> Any:
        self._spare_what_is_read(ctx)
        self._spare_what_is_written(ctx)
        return super().invoke(ctx)

    def _spare_what_is_read(self, ctx: click.Context) -> None:
        """Raise `InputError` where a file that is read, or one of a run that is, would be written over."""
        given = [ctx.params.get(name) for name in _READ]
        paths = [path for value in given for path in (value if isinstance(value, tuple) else (value,))]
        named = [Path(path) for path in paths if isinstance(path, (str, Path))]
        read = [path for path in named if path.is_file()]
        read += [path / name for path in named for name in FILES if (path / name).is_file()]
        for name in _WRITTEN:
            target = ctx.params.get(name)
            if not isinstance(target, (str, Path)) or not os.path.isfile(target):
                continue
            if any(Path(target).samefile(path) for path in read):
                raise InputError(f"{name}: got {target}, which is read and would be lost; name another file")

    def _spare_what_is_written(self, ctx: click.Context) -> None:
        """Raise `InputError` where one file is named for two results, or is one of those of the run that is made."""
        run_dir = ctx.params.get("run_dir")
        taken = {} if run_dir is None else {os.path.realpath(run_dir / name): "run_dir" for name in FILES}
        for name in (*_WRITTEN, "checkpoint"):
            target = ctx.params.get(name)
            if not isinstance(target, (str, Path)) or target == json_output.STDOUT:
                continue
            if os.path.exists(target) and not os.path.isfile(target):  # a folder, or such as /dev/null
                continue
            before = taken.setdefault(os.path.realpath(target), name)
            if before != name:
                raise InputError(
                    f"{before}, {name}: got {target} for both, of which one would be lost; name another file"
                )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        headings = {name: heading for heading, names in _GROUPS for name in names}
        order = (*(heading for heading, _ in _GROUPS), _REST)
        entries: dict[str, list[tuple[str, str]]] = {heading: [] for heading in order}
        for parameter in self.get_params(ctx):
            entry = None if isinstance(parameter, click.Argument) else parameter.get_help_record(ctx)
            if entry is not None:
                entries[headings.get(str(parameter.name), _REST)].append(entry)
        for heading, lines in entries.items():
            if lines:
                with formatter.section(heading):
                    formatter.write_dl(lines)


class CommandGroup(click.Group):
    """Commands with help in groups, each listed with its whole first sentence."""

    command_class = GroupedCommand

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, command.get_short_help_str(_UNBOUNDED))
                    for name, command in sorted(self.commands.items())
                ]
            )


def show(renderable: RenderableType, *, highlight: bool = True) -> None:
    """Print on standard output: as wide as the terminal, or as what is piped needs, without padding.

    COLUMNS, where it is set, is the width of either.
    """
    if sys.stdout.isatty():
        Console(markup=False, highlight=highlight).print(renderable, crop=False)
        return
    text = io.StringIO()
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() and int(columns) > 0 else _UNBOUNDED
    Console(file=text, markup=False, highlight=False, width=width).print(renderable, crop=False)
    click.echo("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def emit(record: Any, target: str | None, shown: RenderableType) -> None:
    """Write the record to `target`, where one is given, and show it unless standard output is to hold JSON alone."""
    if target is not None:
        json_output.write(record, target)
    if target != json_output.STDOUT:
        show(shown)
