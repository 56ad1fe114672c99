"""Shell completion: what is offered, and that offering commands imports none of them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

from kernelfit.cli import COMMANDS, root
from kernelfit.datasets.registry import REGISTRY
from kernelfit.features import names
from kernelfit.kernels import KERNELS


def offered(*typed: str) -> list[str]:
    *arguments, incomplete = typed
    items = ShellComplete(root, {}, "kernelfit", "_KERNELFIT_COMPLETE").get_completions(arguments, incomplete)
    return [item.value for item in items if item.type == "plain"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (("",), list(COMMANDS)),
        (("s",), ["solve", "study"]),
        (("solve", "--dataset", ""), list(REGISTRY)),
        (("solve", "--dataset", "emnist-l"), ["emnist-letters"]),
        (("bench", "--dataset", "cifar1"), ["cifar10", "cifar100", "cifar100-coarse"]),
        (("predict", "run", "--dataset", "st"), ["stl10"]),
        (("solve", "--features", ""), ["none", *names()]),
        (("solve", "--kernel", ""), list(KERNELS)),
        (("solve", "--gamma", ""), ["median", "auto"]),
        (("solve", "--ridge", "a"), ["auto"]),
        (("solve", "--features", "gabor", "--option", "b"), ["bandwidth="]),
        (("features", "show", "wavelet", "-o", "le"), ["levels="]),
        (("features", "show", "g"), ["gabor"]),
        (("datasets", "fetch", "km"), ["kmnist"]),
        (("solve", "--prec"), ["--precision"]),
    ],
)
def test_what_is_offered(typed: tuple[str, ...], expected: list[str]) -> None:
    assert offered(*typed) == expected


def test_where_no_data_set_begins_so_files_are_offered() -> None:
    complete = ShellComplete(root, {}, "kernelfit", "_KERNELFIT_COMPLETE")
    (item,) = complete.get_completions(["solve", "--dataset"], "data/")
    assert item.type == "file"


def test_offering_commands_imports_none() -> None:
    code = """
import sys
from click.shell_completion import ShellComplete
from kernelfit.cli import root
ShellComplete(root, {}, "kernelfit", "_KERNELFIT_COMPLETE").get_completions([], "s")
heavy = {"numpy", "numba", "torch", "sklearn", "matplotlib", "rich"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)
