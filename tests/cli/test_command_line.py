"""The command that a record says it came from can be given again."""

from __future__ import annotations

import shlex

import pytest

from kernelfit.cli.options import command_line
from kernelfit.cli.study import command


@pytest.mark.parametrize(
    "line",
    [
        "curve --sizes 100,200 --seeds 2",
        "labels --levels 0,0.5,1 --loo",
        "double-descent --shares 0.5,1 --seeds 3",
        "norms --kernels gaussian,matern --ridges 0,0.001",
        "inputs --maps none,gabor",
    ],
)
def test_lists_are_written_as_they_are_typed(line: str) -> None:
    name, *words = shlex.split(line)
    context = command.commands[name].make_context(name, list(words))
    assert sorted(command_line(context).split()) == sorted(line.split())
    again = command.commands[name].make_context(name, shlex.split(command_line(context))[1:])
    assert again.params == context.params
