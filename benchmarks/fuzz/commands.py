"""Command lines for the fuzzer: any command with any of its options, and values sound, odd and hostile."""

from __future__ import annotations

import random
from pathlib import Path

import click

_INTEGERS = ("0", "1", "2", "3", "5", "-1", "-7", "24", "2147483648", "9223372036854775808", "1" * 40, "1.5")
_NUMBERS = (
    "0",
    "-0.0",
    "0.5",
    "1e-300",
    "1e300",
    "1e999",
    "nan",
    "inf",
    "-inf",
    "-1",
    "3",
    "0x10",
    "1_0",
    "١",
)
_TEXTS = (
    "",
    " ",
    "-",
    "--",
    "a",
    "auto",
    "median",
    "digits",
    "mnist",
    "8GB",
    "1MB",
    "-1GB",
    "1e400GB",
    "9" * 30 + "GB",
    "cuda:99",
    "cuda:x",
    "cpu",
    "stride=2",
    "stride",
    "=",
    "a=b=c",
    "pooling=999999999",
    "/dev/null",
    "/dev/full",
    "/proc/self/mem",
    "/proc/no/such/place",
    "/proc",
    ".",
    "..",
    "x" * 300,
    "é" * 200,
    "\udcff",
    "a\nb",
    "[bold]markup[/bold][/x]",
    "%s%n",
    "${HOME}",
    "; touch canary",
    "$(touch canary)",
)
#: commands whose sound use takes long; they only get lines that cannot be sound
_SLOW = (
    "bench",
    "info",
    "reproduce table3",
    "deep train",
    "deep sweep",
    "reproduce table1",
    "reproduce table2",
    "reproduce table4",
    "reproduce fig1",
    "reproduce fig2",
)


def arguments(rng: random.Random, stored: Path) -> list[str]:
    """The words of one command line. `stored` holds `data.npz`, `rows.npy` and the finished run `run`."""
    words, command = _command(rng)
    if command is None:
        return words
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    chosen = [option for option in options if rng.random() < 0.12]
    tail: list[str] = []
    if " ".join(words) in _SLOW:
        tail += [rng.choice(("--frobnicate", "--no-such=1", "one-word-too-many"))]
    else:
        tail += _sound(
            rng,
            {word for option in options for word in (*option.opts, *option.secondary_opts)},
            stored,
        )
    for option in chosen:
        # Other data would be the digits, which are sound but ten times slower, or sets that are not there.
        if option.opts[0] in ("--train", "--dataset", "--rows", "--gemm") and rng.random() < 0.8:
            continue
        tail += _option(rng, option, stored)
    for argument in command.params:
        if isinstance(argument, click.Argument) and rng.random() < 0.95:
            tail.append(_path(rng, stored) if rng.random() < 0.9 else rng.choice(_TEXTS))
    if rng.random() < 0.03:
        tail.insert(rng.randint(0, len(tail)), rng.choice((*_TEXTS, "--no-such-option", "-q")))
    return words + tail


def _sound(rng: random.Random, options: set[str], stored: Path) -> list[str]:
    """Options that give the command small data, and spare it what takes seconds."""
    chosen = ["--no-gemm"] if "--no-gemm" in options else []
    if "--train" in options:
        return [*chosen, "--train", str(stored / "data.npz")]
    if "--rows" in options and rng.random() < 0.5:
        return [*chosen, "--rows", str(stored / "rows.npy")]
    return [*chosen, "--dataset", str(stored / "data.npz")] if "--dataset" in options else chosen


def _command(rng: random.Random) -> tuple[list[str], click.Command | None]:
    from kernelfit.cli import root

    words: list[str] = []
    command: click.Command | None = root
    while isinstance(command, click.Group):
        if rng.random() < 0.01:
            return [*words, rng.choice(_TEXTS)], None
        context = click.Context(command)
        names = command.list_commands(context)
        # Commands at the top: three in ten are `solve`, which has the most options.
        name = "solve" if not words and rng.random() < 0.3 else rng.choice(names)
        words.append(name)
        command = command.get_command(context, name)
    return words, command


def _option(rng: random.Random, option: click.Option, stored: Path) -> list[str]:
    name = rng.choice([*option.opts, *option.secondary_opts])
    if option.is_flag:
        return [name]
    value = _value(rng, option, stored)
    if rng.random() < 0.05:
        return [name]  # its value is missing
    return [f"{name}={value}"] if rng.random() < 0.5 else [name, value]


def _value(rng: random.Random, option: click.Option, stored: Path) -> str:
    if rng.random() < 0.1:
        return rng.choice((*_TEXTS, *_NUMBERS))
    parameter = option.type
    if isinstance(parameter, click.Choice):
        return rng.choice([*map(str, parameter.choices), "nonsense"])
    if isinstance(parameter, click.Path):
        return _path(rng, stored)
    if isinstance(parameter, click.types.IntParamType | click.IntRange):
        return rng.choice(_INTEGERS)
    if isinstance(parameter, click.types.FloatParamType | click.FloatRange):
        return rng.choice(_NUMBERS)
    if option.name == "json_target":
        return rng.choice(("-", "result.json", _path(rng, stored)))
    return rng.choice((*_TEXTS, *_NUMBERS))


def _path(rng: random.Random, stored: Path) -> str:
    places = (
        stored / "run",
        stored / "data.npz",
        stored / "rows.npy",
        stored / "run" / "solution.h5",
        stored,
        stored / "no",
    )
    return str(
        rng.choice((*places, "new", "/dev/null", "/proc/no/such/place", "/proc/self/status", "x" * 300, ""))
    )
