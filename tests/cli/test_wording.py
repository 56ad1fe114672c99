"""`kernelfit.cli.wording`: what the library says in Python is said in options on the command line."""

import logging

import pytest
from click import Context

import kernelfit
from kernelfit.cli import root
from kernelfit.cli.wording import terminal_progress, with_flags, with_options
from kernelfit.errors import PlanError


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        (
            "tier='ram', precision='mixed' fits with 5 bytes",
            "--tier ram, --precision mixed fits with 5 bytes",
        ),
        ("give memory='163,320'", "give --memory 163,320"),
        ("leave it out (drop=['a', 'b c'])", "leave it out (--drop 'a,b c')"),
        ("""drop=["a, b"]""", """--drop '"a, b"'"""),
        ("as keys={'X': 'NAME', 'y': 'NAME'}", "as --keys X=NAME,y=NAME"),
        ("target=NAME names another", "--target NAME names another"),
        ("standardise=True brings all to 1", "--standardise brings all to 1"),
        (
            "gaussian(gamma=0.5), n = 5; Experiment(task='x')",
            "gaussian(gamma=0.5), n = 5; Experiment(task='x')",
        ),
    ],
)
def test_remedies_are_options(said, typed):
    assert with_options(said) == typed


def test_python_is_told_of_arguments(rng):
    with pytest.raises(PlanError, match=r"memory='[\d,]+'$|tier='disk' fits") as refused:
        kernelfit.solve(
            rng.standard_normal((3000, 3)), rng.standard_normal(3000), memory=310_000_000, tier="ram"
        )
    assert "--" not in str(refused.value)


@pytest.mark.parametrize("command", ["expressivity", "deep train", "solve"])
def test_the_number_of_training_rows_is_called_as_it_was_typed(command):
    """Of commands whose own name for it differs from that of the library it was called n_train."""
    found = root
    for name in command.split():
        found = found.get_command(Context(found), name)
    assert with_flags("n_train: got 9, expected 1 to 5", found) == "--n: got 9, expected 1 to 5"


def test_a_command_says_that_it_compiles_where_no_terminal_is(capsys):
    progress = terminal_progress()
    logging.getLogger("kernelfit.cpu.jit").info("compiling for %s", "a command")
    assert capsys.readouterr().err == "note: compiling for a command\n"
    del progress
