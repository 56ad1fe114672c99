"""`kernelfit.cli.wording`: what the library says in Python is said in options on the command line."""

import pytest

import kernelfit
from kernelfit.cli.wording import with_options
from kernelfit.errors import PlanError


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        (
            "tier='ram', precision='mixed' fits with 5 bytes",
            "--tier ram, --precision mixed fits with 5 bytes",
        ),
        ("give memory='163,320' bytes", "give --memory 163,320 bytes"),
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
    with pytest.raises(PlanError, match=r"memory='[\d,]+' bytes|tier='disk' fits") as refused:
        kernelfit.solve(
            rng.standard_normal((3000, 3)), rng.standard_normal(3000), memory=310_000_000, tier="ram"
        )
    assert "--" not in str(refused.value)
