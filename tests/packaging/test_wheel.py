"""What is shipped: one import name, every CUDA source, and the package list that says so."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import kernelfit

ROOT = Path(__file__).parents[2]
SHIPPED_FROM_TOP = {"kernelfit.cli": "cli", "kernelfit.cuda_kernels": "cuda_kernels"}


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names inside a wheel built from a copy, so that no build folder appears in the checkout."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    for name in ("kernelfit", "cli", "cuda_kernels"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    wheels = tmp_path_factory.mktemp("wheels")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*build, "--wheel-dir", str(wheels), str(copy)], check=True, capture_output=True, text=True
    )
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_wheel_occupies_one_import_name(wheel_names: list[str]) -> None:
    tops = {name.split("/")[0] for name in wheel_names}
    assert tops == {"kernelfit", f"kernelfit-{kernelfit.__version__}.dist-info"}


def test_the_wheel_holds_every_source(wheel_names: list[str]) -> None:
    expected = {
        f"{prefix}/{path.relative_to(ROOT / folder).as_posix()}"
        for prefix, folder in (
            ("kernelfit", "kernelfit"),
            ("kernelfit/cli", "cli"),
            ("kernelfit/cuda_kernels", "cuda_kernels"),
        )
        for pattern in ("*.py", "*.cu", "*.cuh", "*.css", "*.js", "py.typed")
        for path in (ROOT / folder).rglob(pattern)
    }
    shipped = {name for name in wheel_names if ".dist-info/" not in name}
    assert shipped == expected


def test_the_package_list_equals_the_folders(settings: dict[str, Any]) -> None:
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "kernelfit").rglob("__init__.py")
    }
    for package, folder in SHIPPED_FROM_TOP.items():
        inner = {
            path.parent.relative_to(ROOT / folder).parts for path in (ROOT / folder).rglob("__init__.py")
        }
        folders |= {".".join((package, *parts)) for parts in inner}
    listed = settings["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(folders)
    assert settings["tool"]["setuptools"]["package-dir"] == {"kernelfit": "kernelfit", **SHIPPED_FROM_TOP}


def test_every_folder_with_python_files_is_a_package() -> None:
    for top in ("kernelfit", "cli", "cuda_kernels"):
        for path in (ROOT / top).rglob("*.py"):
            assert (path.parent / "__init__.py").is_file(), f"{path.parent} has no __init__.py"


def test_one_version_everywhere(settings: dict[str, Any]) -> None:
    assert kernelfit.__version__ == settings["project"]["version"] == metadata.version("kernelfit")


def test_the_constraints_pin_every_dependency(settings: dict[str, Any]) -> None:
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }
    extras = settings["project"]["optional-dependencies"]
    wanted = [*settings["project"]["dependencies"], *extras["dev"], *extras["deep"], *extras["imagenet"]]
    for requirement in wanted:
        name = requirement.split(">")[0].split("[")[0].lower()
        assert name in pinned, f"constraints.txt does not pin {name}"


def test_click_has_what_the_command_line_uses(settings: dict[str, Any]) -> None:
    """`NoArgsIsHelpError` and the context of `get_metavar` came with 8.2.0."""
    assert "click>=8.2" in settings["project"]["dependencies"]
