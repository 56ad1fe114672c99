"""Messages of the library in the words of the command line: options in place of Python's arguments."""

from __future__ import annotations

import ast
import re
import shlex
from typing import Any

import click

from kernelfit.progress import TerminalProgress
from kernelfit.progress.first_use import announce

# Arguments that remedies name with a value: NAME='text', NAME=['a', 'b'], NAME={'X': 'a'}, NAME=True or NAME=WORD.
_REMEDIES = (
    "data_dir|device|device_memory|drop|keys|memory|missing|n_test|precision|solver|standardise|target|task|"
    "tier"
)
_VALUE = r"'[^']*'|\"[^\"]*\"|\[[^\]]*\]|\{[^}]*\}|\w+"
_REMEDY = re.compile(rf"(?<![\w.])(?<!\w\()({_REMEDIES})=({_VALUE})")


def with_flags(message: str, command: click.Command) -> str:
    """The message of an error with the options that were typed in place of the Python arguments it names."""
    message = with_options(message)
    start = re.match(r"(\w+(?:, \w+)*)(: | = )", message)
    if start is None:
        return message
    names = start[1].split(", ")
    flags = _flags(command)
    return ", ".join(flags.get(name, name) for name in names) + message[start.end(1) :]


def with_options(message: str) -> str:
    """What a remedy says in Python as it is typed: `tier='disk'` is `--tier disk`."""
    return _REMEDY.sub(lambda found: _option(found[1], found[2]), message)


def terminal_progress() -> TerminalProgress:
    """Bars and notes on standard error, notes in the words of the command line; and that the first use compiles."""
    progress = TerminalProgress(wording=with_options)
    announce(progress)
    return progress


def _option(name: str, text: str) -> str:
    flag = f"--{name.replace('_', '-')}"
    if text == "True":
        return flag
    if text.isidentifier() or text.isdigit():
        return f"{flag} {text}"
    try:
        value: Any = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return f"{name}={text}"
    if isinstance(value, dict):
        value = ",".join(f"{key}={item}" for key, item in value.items())
    elif isinstance(value, list):
        value = ",".join(f'"{item}"' if "," in str(item) else str(item) for item in value)
    return f"{flag} {shlex.quote(str(value))}"


def _flags(command: click.Command) -> dict[str, str]:
    """Python argument -> option or argument on the command line, for a command and all below it."""
    flags: dict[str, str] = {}
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        flags |= _flags(below)
    for parameter in command.params:
        is_option = isinstance(parameter, click.Option)
        said = parameter.opts[0] if is_option else parameter.human_readable_name.strip("[].")
        flags[str(parameter.name)] = said
        if parameter.name == "n":  # of commands whose own name for it differs from that of `load`
            flags["n_train"] = said
    return flags
