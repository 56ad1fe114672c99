"""What `import kernelfit` shows, and what a type checker finds in a call."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import pytest

import kernelfit
from kernelfit import typing as options
from kernelfit.datasets.corruptions import CORRUPTIONS
from kernelfit.expressivity.construct import EXTRA_LAYERS
from kernelfit.features import random_conv, wavelet

ROOMS = ["datasets", "deep", "errors", "expressivity", "features", "kernels", "metrics", "progress"]


def test_dir_shows_the_public_names_and_nothing_else() -> None:
    assert dir(kernelfit) == sorted(kernelfit.__all__)
    assert set(ROOMS) <= set(dir(kernelfit))


#: what other people's packages take to be imported is spent once: every name has a child that has these alone
FIRST_NAMES = """
import os, sys
import h5py, numba, scipy.linalg.cython_blas, scipy.spatial.distance, sklearn.base
for name in sys.argv[1:]:
    assert not any(module.partition(".")[0] == "kernelfit" for module in sys.modules)
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        import kernelfit
        getattr(kernelfit, name)
        exec(f"from kernelfit import {name}")
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print(name)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_every_name_works_at_once() -> None:
    """In an interpreter that has imported nothing else of the package."""
    names = sorted(kernelfit.__all__)
    if find_spec("torch") is None:
        names.remove("deep")
    done = subprocess.run([sys.executable, "-c", FIRST_NAMES, *names], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'kernelfit' has no attribute 'solv'"):
        kernelfit.solv  # noqa: B018


@pytest.mark.parametrize("name", ["open", "load", "resume", "solve", "check"])
def test_functions_have_signatures_of_their_own(name: str) -> None:
    signature = inspect.signature(getattr(kernelfit, name))
    assert all(parameter.annotation is not parameter.empty for parameter in signature.parameters.values())
    assert not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()), name
    if name != "solve":
        assert next(iter(signature.parameters.values())).annotation == "str | Path"


def test_options_are_those_that_the_code_knows() -> None:
    assert get_args(options.Corruption) == tuple(CORRUPTIONS)
    assert get_args(options.Draw) == random_conv.DRAWS
    assert get_args(options.Pooling) == random_conv.POOLINGS
    assert get_args(options.WaveletTransform) == wavelet.TRANSFORMS
    assert get_args(options.Variant) == tuple(EXTRA_LAYERS)


SNIPPET = """
import numpy as np
import kernelfit
from kernelfit.datasets.corruptions import corrupt
from kernelfit.expressivity import fit
from kernelfit.features import RandomConv, Wavelet

X = Y = np.ones((3, 3))
kernelfit.solve(X, Y, precision="mixed", tier="disk", gamma="median", ridge="auto")
kernelfit.solve(X, Y, precision="mixd")  # wrong
kernelfit.solve(X, Y, tier="dsk")  # wrong
kernelfit.solve(X, Y, gamma="medain")  # wrong
kernelfit.solve(X, Y, ridge="atuo")  # wrong
kernelfit.KernelClassifier(precision="float32", singular="raise")
kernelfit.KernelClassifier(precision="float46")  # wrong
kernelfit.KernelClassifier(singular="rigde")  # wrong
kernelfit.Experiment("digits", precision="mixd")  # wrong
corrupt(kernelfit.datasets.load("digits"), "gaussian")
corrupt(kernelfit.datasets.load("digits"), "gausian")  # wrong
fit(X, Y, variant="clipped")
fit(X, Y, variant="cliped")  # wrong
RandomConv(pooling="quadrants", draw="laplace")
RandomConv(pooling="gird")  # wrong
RandomConv(draw="patch")  # wrong
Wavelet(transform_kind="discreet")  # wrong
kernelfit.open("folder")
kernelfit.open(3)  # wrong
"""


def test_a_type_checker_finds_a_misspelt_option(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    path = tmp_path / "snippet.py"
    path.write_text(SNIPPET, encoding="utf-8")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(root / "pyproject.toml"), str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
    )
    for number, line in enumerate(SNIPPET.splitlines(), start=1):
        refused = f"snippet.py:{number}: error" in done.stdout
        assert refused == line.endswith("# wrong"), f"{line}\n{done.stdout}"


@pytest.mark.parametrize(
    "name", ["Solution", "Certificate", "Experiment", "KernelClassifier", "KernelInterpolator"]
)
def test_what_completion_offers_says_what_it_is(name: str) -> None:
    offered = {member: getattr(getattr(kernelfit, name), member) for member in dir(getattr(kernelfit, name))}
    told = {
        member: value for member, value in offered.items() if callable(value) or isinstance(value, property)
    }
    assert [member for member, value in told.items() if member[0] != "_" and not value.__doc__] == []
