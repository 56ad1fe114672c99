"""The source distribution holds everything that its own tests need, and says the same as the rest."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = (".ci", ".github", "benchmarks", "cli", "cuda_kernels", "docs", "examples", "kernelfit", "tests")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "*.h5", "pictures")


def test_the_source_distribution_holds_every_file(tmp_path: Path) -> None:
    checkout, out = tmp_path / "checkout", tmp_path / "out"
    checkout.mkdir()
    out.mkdir()
    tops = [path for path in ROOT.iterdir() if path.is_file() and not path.name.startswith(".")]
    for path in tops:
        shutil.copy(path, checkout / path.name)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, checkout / name, ignore=LEFT_OUT)
    expected = {path.relative_to(checkout).as_posix() for path in checkout.rglob("*") if path.is_file()}
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(out)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=checkout, check=True, capture_output=True)
    (archive,) = out.glob("*.tar.gz")
    with tarfile.open(archive) as members:
        names = {name.partition("/")[2] for name in members.getnames()}
    assert expected - {"PKG-INFO", "setup.cfg"} <= names, sorted(expected - names)


def test_the_citation_has_the_version_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [project["version"]]


def test_continuous_integration_runs_every_python_of_the_classifiers() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    prefix = "Programming Language :: Python :: 3."
    versions = [word.removeprefix(prefix) for word in project["classifiers"] if word.startswith(prefix)]
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    (matrix,) = re.findall(r"python: \[(.*)\]", workflow)
    assert re.findall(r'"3\.(\d+)"', matrix) == versions
