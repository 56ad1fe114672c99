"""A wrong name suggests the right one: commands, kernels, feature maps; and a kernel's aliases are names."""

from __future__ import annotations

import importlib.util

import click
import pytest
from click.testing import CliRunner

from kernelfit.cli import root
from kernelfit.cli.network_options import weight_decay

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is missing")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("solev", "No such command 'solev'. Did you mean 'solve'?"),
        ("solve --kernel gausian", "did you mean 'gaussian'?"),
        ("solve --features gaborr", "did you mean 'gabor'?"),
        ("solve --dataset digitz", "did you mean 'digits'?"),
        ("datasets show digts", "'NAME': got 'digts', expected one of digits,"),
        ("datasets path digts", "did you mean 'digits'?"),
        ("features show gabro", "did you mean 'gabor'?"),
        pytest.param("deep train --model mlp-1x51", "did you mean 'mlp-1x512'?", marks=needs_torch),
        ("solve digits", "Got unexpected extra argument (digits); did you mean --dataset digits?"),
        ("info digits", "Got unexpected extra argument (digits)"),
        ("features shwo", "Did you mean 'show'?"),
        ("study norms --kernels gaussian,gausian", "'--kernels': got 'gausian', expected one of gaussian,"),
        ("study inputs --maps none,gabro", "'--maps': got 'gabro', expected one of none, gabor,"),
    ],
)
def test_a_wrong_name_suggests_the_right_one(words, says):
    result = CliRunner().invoke(root, words.split())
    assert result.exit_code != 0
    assert says in result.output + str(result.exception)


def test_aliases_are_names_of_kernels():
    words = "solve --dataset digits --n 60 --n-test 20 --kernel rbf --json -"
    result = CliRunner().invoke(root, words.split())
    assert result.exit_code == 0, result.output
    assert '"gaussian"' in result.output


def test_blanks_after_commas_are_no_part_of_words():
    assert weight_decay(" default") is True
    assert weight_decay(" off") is False


@pytest.mark.parametrize(
    "command",
    [
        *("solve", "fit", "plan", "bench", "study labels", "expressivity", "features show"),
        *("reproduce table1", "reproduce table3", "reproduce section5", "deep train", "deep sweep"),
    ],
)
def test_numbers_of_rows_are_written_alike_in_all_commands(command):
    found = root.get_command(click.Context(root), command.split()[0])
    for name in command.split()[1:]:
        found = found.commands[name]
    counts = [each for each in found.params if {"--n", "--n-test", "--filters", "--d"} & set(each.opts)]
    assert counts
    for option in counts:
        assert option.type.convert("2k", option, None) == option.type.convert("2_000", option, None) == 2000


def test_a_number_of_rows_below_what_is_needed_is_one_line():
    result = CliRunner().invoke(root, ["reproduce", "table3", "--n", "1"])
    assert "'--n': got 1, expected an integer >= 2" in result.output
