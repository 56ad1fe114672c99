"""The `kernelfit` command. Each sub-command lives in one module and is imported only when it is called."""

from __future__ import annotations

import codecs
import difflib
import importlib
import io
import os
import sys
from contextlib import suppress
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from kernelfit.errors import Interrupted, KernelfitError

from .signals import Ended, ended_by_signals
from .wording import with_flags

# command -> (module inside this package, one-line help). The help stands here so that `kernelfit --help`
# imports none of the modules.
COMMANDS: dict[str, tuple[str, str]] = {
    "solve": ("solve", "Interpolate a data set exactly and certify the answer."),
    "fit": ("fit", "Compare kernels on your rows, fit the best and say how."),
    "resume": ("resume", "Continue a run that stopped, from its first unfinished panel."),
    "check": ("check", "Verify a run, finished or not, end to end."),
    "predict": ("predict", "Apply a saved solution to new rows."),
    "plan": ("plan", "Print tiles, bytes, flops and predicted time before anything is allocated."),
    "bench": ("bench", "Measure solve time against n on this machine."),
    "datasets": ("datasets", "List, fetch, verify and locate data sets."),
    "features": ("features", "List and show the feature maps."),
    "study": ("study", "Ask many questions of one factor, such as random labels."),
    "report": ("report", "Write a report of runs as one HTML file."),
    "reproduce": ("reproduce", "Reproduce the paper's tables and figures."),
    "deep": ("deep", "The deep-net randomization tests."),
    "expressivity": ("expressivity", "Fit any labels exactly with the paper's explicit networks."),
    "info": ("info", "Show processor, BLAS, GPU, versions and the measured GEMM rate."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported on use."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KernelfitError as error:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            if command is not None:
                error.args = (with_flags(str(error), command), *error.args[1:])
            raise

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            if not near:
                raise
            raise click.UsageError(f"No such command {args[0]!r}. Did you mean {near[0]!r}?", ctx) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".{COMMANDS[cmd_name][0]}", __name__)
        command: click.Command = module.command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands that begin so; click would import every one of them."""
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [
            CompletionItem(name, help=text)
            for name, (_, text) in COMMANDS.items()
            if name.startswith(incomplete)
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="kernelfit", prog_name="kernelfit")
def root() -> None:
    """Exact kernel interpolation at scale, certified."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; whatever goes wrong on the user's side is one line on standard error."""
    _open_standard_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that the terminal lacks must not cost the result; file names keep their bytes.
        utf8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if utf8 else "replace")
    try:
        with ended_by_signals():
            code = _group().main(args=arguments, prog_name="kernelfit", standalone_mode=False)
    except Ended as ended:
        _fail(f"stopped by {ended.signal}", ended.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except KernelfitError as error:
        _fail(str(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", Interrupted.exit_code)
    except BrokenPipeError:
        # The reader of standard output went away (`| head`): not an error, but nothing more can be written.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - lives until exit
        sys.exit(1)
    except MemoryError as error:
        _fail(f"out of memory ({error}); give --memory a limit, or take fewer rows with --n", 2)
    except OSError as error:
        if error.filename is None and isinstance(error, FileNotFoundError) and not _is_in_a_folder():
            _fail("the current folder is not there any more; change to another one", 2)
        _fail(str(error), 2)
    sys.exit(code if isinstance(code, int) else 0)


def _is_in_a_folder() -> bool:
    """Whether the current folder is there."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _group() -> click.Group:
    """The commands, or for the shell that completes a word what it is offered of them."""
    if "_KERNELFIT_COMPLETE" not in os.environ:
        return root
    stored: click.Group = importlib.import_module(".completion_store", __name__).StoredGroup(root)
    return stored


def _open_standard_streams() -> None:
    """What the caller has closed becomes /dev/null: the first files that are opened would else be taken for it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - lives until exit


def _fail(message: str, code: int) -> NoReturn:
    with suppress(OSError):  # of a terminal that is closed
        click.echo(f"kernelfit: {' '.join(message.split())}", err=True)
    sys.exit(code)
