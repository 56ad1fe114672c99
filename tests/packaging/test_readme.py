"""The README's commands exist and its Python runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import numpy as np
import pytest

from kernelfit.cli import root

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = "".join(re.findall(r"```\n(.*?)```", README, re.DOTALL))
COMMANDS = [line.split("#")[0].strip() for line in SHELL.splitlines() if line.startswith("kernelfit ")]
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
LINK = re.compile(r"\]\(([^)]+)\)")
PAGES = [*(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").rglob("*.md"), ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_parses(line: str) -> None:
    words = shlex.split(line)[1:]
    command: click.Command = root
    while isinstance(command, click.Group):
        context = command.make_context(command.name, list(words), resilient_parsing=True)
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
    command.make_context(command.name, list(words))


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    monkeypatch.chdir(tmp_path)
    X = rng.standard_normal((90, 3))
    names = {
        "X": X,
        "Y": X[:, :2],
        "other_Y": X[:, 2:],
        "X_new": X[:5],
        "new_images": rng.integers(0, 17, (5, 64)).astype(float),
        "labels": np.where(X[:, 0] > 0, "yes", "no"),
    }
    assert len(BLOCKS) == 3
    for block in BLOCKS:
        exec(block, names)
    assert (tmp_path / "solution.h5").is_file()


def test_the_readme_reads_the_same_on_an_index() -> None:
    """An index shows it alone: it links to no file beside it, and those it names exist; a picture has words."""
    pictures = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", README)
    assert [picture for text, picture in pictures if not (ROOT / picture).is_file() or len(text) < 80] == []
    links = set(LINK.findall(README)) - {picture for _, picture in pictures}
    assert [link for link in links if "://" not in link and not link.startswith("#")] == []
    named = re.findall(r"`([\w/.]+\.md)`", README)
    assert len(named) >= 8
    assert [name for name in named if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_pages_point_at_files(page: Path) -> None:
    # The pictures of the gallery are drawn when the site is built.
    links = [
        link for link in LINK.findall(page.read_text(encoding="utf-8")) if not link.startswith("pictures/")
    ]
    targets = [link.split("#")[0] for link in links if "://" not in link]
    assert [target for target in targets if target and not (page.parent / target).exists()] == []


def test_make_knows_the_two_commands() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
