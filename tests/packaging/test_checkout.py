"""A checkout that was not installed says how to install it, instead of failing somewhere inside."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bare_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bare")
    for name in ("kernelfit", "cli", "cuda_kernels"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.parametrize(
    "arguments",
    [["-c", "import kernelfit"], ["-c", "import kernelfit.cli"], ["-m", "kernelfit", "solve"]],
    ids=["import", "import cli", "run"],
)
def test_a_bare_checkout_names_the_install_command(bare_checkout: Path, arguments: list[str]) -> None:
    # -I -S: no site-packages, hence no kernelfit and none of its dependencies, as on a fresh machine.
    code = f"import sys; sys.path.insert(0, {str(bare_checkout)!r})\n"
    if arguments[0] == "-c":
        code += arguments[1]
    else:
        code += (
            f"import runpy; sys.argv = {arguments[1:]!r}; runpy.run_module('kernelfit', run_name='__main__')"
        )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        capture_output=True,
        text=True,
        cwd=bare_checkout,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: kernelfit is not installed")
    assert "pip install" in last


def test_the_module_runs_as_the_command_does() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kernelfit", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("kernelfit, version")
