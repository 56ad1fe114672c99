"""The package and its help must load nothing heavy, so that they answer at once."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "torch",
    "torchvision",
    "cupy",
    "dask",
    "distributed",
    "matplotlib",
    "sklearn",
    "numba",
    "pandas",
    "pooch",
    "pywt",
)
ROOT = Path(__file__).parents[2]


def loaded_after(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after `statement`."""
    report = "import sys; print('\\n'.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}\n{report}"], check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import kernelfit",
        "import kernelfit.cli",
        "from click.testing import CliRunner; from kernelfit.cli import root\n"
        "assert CliRunner().invoke(root, ['--help']).exit_code == 0",
        "from kernelfit.cli import root; import click; root.list_commands(click.Context(root))",
    ],
    ids=["package", "command", "help", "command list"],
)
def test_nothing_heavy_is_loaded(statement: str) -> None:
    assert loaded_after(statement).isdisjoint(HEAVY)


def test_a_solve_of_pixels_needs_no_scikit_learn_and_little_of_scipy() -> None:
    """Importing the one takes longer than the solve, the other 20 MB; feature maps and estimators load them."""
    solve = (
        "import sys, kernelfit\n"
        "assert kernelfit.Experiment(n_train=40, n_test=5, gamma=0.02).run().record['interpolates']\n"
        "assert not {'scipy.linalg', 'scipy.sparse'} & set(sys.modules)"
    )
    assert loaded_after(solve).isdisjoint(set(HEAVY) - {"numba", "pooch"})


def test_torch_is_imported_in_two_places_only() -> None:
    """Everything else must run where torch is not installed; inside a function an import is on demand."""
    torch_export = Path("kernelfit", "expressivity", "torch_module.py")
    pattern = re.compile(r"^(?:import|from)\s+torch", re.MULTILINE)
    importers = {
        path.relative_to(ROOT)
        for top in ("kernelfit", "cli")
        for path in (ROOT / top).rglob("*.py")
        if pattern.search(path.read_text(encoding="utf-8"))
    }
    assert {path for path in importers if path.parts[:2] != ("kernelfit", "deep")} <= {torch_export}


def test_nobody_imports_cli_by_its_folder_name() -> None:
    """`cli` exists in a checkout only; installed, it is `kernelfit.cli`."""
    pattern = re.compile(r"^\s*(?:import\s+cli\b|from\s+cli[\s.])", re.MULTILINE)
    for top in ("kernelfit", "cli", "benchmarks", "tests"):
        for path in (ROOT / top).rglob("*.py"):
            assert not pattern.search(path.read_text(encoding="utf-8")), path
