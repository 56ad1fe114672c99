"""The pages of docs/: their blocks of code run in the order in which they stand, and print what the page says.

A `console` block holds commands after `$ ` and what they print on standard output; a `text` block what the `python`
block before it prints. `...` stands for anything.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib.util
import io
import re
import shlex
import sys
from dataclasses import fields
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

import kernelfit
from kernelfit import Experiment
from kernelfit.cli import root
from kernelfit.solver.certificate import Certificate

DOCS = Path(__file__).parents[2] / "docs"
PAGES = (
    "index.md",
    "kernels.md",
    "estimators.md",
    "report.md",
    "tutorials/table.md",
    "tutorials/randomisation.md",
    "tutorials/disk.md",
)
_BLOCK = re.compile(r"^```(console|python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CHECKER = doctest.OutputChecker()
_ANY = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("page", PAGES)
def test_a_page_prints_what_it_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    blocks = _BLOCK.findall((DOCS / page).read_text())
    assert blocks
    names: dict[str, object] = {"__name__": "page"}
    printed = ""
    for language, text in blocks:
        if language == "console":
            for command, expected in _commands(text):
                _compare(page, command, expected, _run(command))
        elif language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(text, page, "exec"), names)
            printed = out.getvalue()
        else:
            _compare(page, "python", text, printed)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_needs_what_is_installed_with_kernelfit(page):
    """A newcomer has no pandas: it comes with the tools of the tests alone."""
    for language, text in _BLOCK.findall((DOCS / page).read_text()):
        nodes = list(ast.walk(ast.parse(text))) if language == "python" else []
        named = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        named += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
        tops = {name.partition(".")[0] for name in named}
        assert tops <= {"kernelfit", "numpy", "scipy", "sklearn", *sys.stdlib_module_names}


def _commands(text: str) -> list[tuple[str, str]]:
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [(part.splitlines()[0], "\n".join(part.splitlines()[1:]) + "\n") for part in parts]


def _run(command: str) -> str:
    program, *words = shlex.split(command, comments=True)
    assert program == "kernelfit"
    result = CliRunner().invoke(root, words)
    assert result.exit_code == 0, (command, result.output, result.exception)
    return result.stdout


def _compare(page: str, what: str, expected: str, printed: str) -> None:
    # At the start of doctest's text three dots are a continuation, not an ellipsis: they match here, too.
    assert _CHECKER.check_output(expected, printed, _ANY), (
        f"{page}: {what}\nexpected\n{expected}\ngot\n{printed}"
    )


def test_the_certificate_page_explains_every_field():
    text = (DOCS / "certificate.md").read_text()
    missing = [field.name for field in fields(Certificate) if f"`{field.name}`" not in text]
    assert missing == []


def test_the_record_page_names_every_key_of_a_solve(tmp_path):
    experiment = Experiment(
        "digits",
        n_train=60,
        n_test=30,
        loo=True,
        threads=1,
        gamma="auto",
        ridge="auto",
        standardise=True,
        corruption="corrupt-labels",
    )
    X = np.random.default_rng(0).normal(size=(20, 2))
    np.savez(tmp_path / "own.npz", X=X, y=X[:, 0])
    centred = Experiment(train=tmp_path / "own.npz", centre=True, gamma=1.0, ridge=0.1)
    text = (DOCS / "record.md").read_text()
    missing = [key for each in (experiment, centred) for key in each.run().record if f"`{key}`" not in text]
    assert missing == []


def test_the_study_page_says_which_questions_take_seeds_and_a_folder():
    group = root.get_command(click.Context(root), "study")
    assert isinstance(group, click.Group)
    options = {
        name: {flag for each in command.params for flag in each.opts}
        for name, command in group.commands.items()
    }
    text = (DOCS / "study.md").read_text().split("| command |")[0]
    seeds = re.search(r"((?:`[a-z-]+`[, \n]*(?:and )?)+)take `--seeds COUNT`", text)
    assert seeds is not None
    assert set(re.findall(r"`([a-z-]+)`", seeds[1])) == {
        name for name in options if "--seeds" in options[name]
    }
    without = re.search(r"Of all but\s((?:`[a-z]+` )+)`--figure FILE` draws it, `--out DIR`", text)
    assert without is not None
    for flag in ("--figure", "--out"):
        assert re.findall(r"`([a-z]+)`", without[1]) == [
            name for name in options if flag not in options[name]
        ]


def test_every_link_to_a_page_leads_to_one():
    for page in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_example_has_its_place_in_the_gallery():
    gallery = (DOCS / "gallery.md").read_text()
    for example in (DOCS.parent / "examples").glob("*.py"):
        # The line that pymdownx.snippets replaces by the file; a formatter of Python would take it for a comparison.
        assert f'\n    --8<-- "examples/{example.name}"\n' in gallery
        assert f"pictures/{example.stem}.png" in gallery


def test_every_public_name_has_its_entry_in_the_reference():
    pytest.importorskip("torch")
    pages = "".join(page.read_text() for page in (DOCS / "api").glob("*.md"))
    rooms = {"datasets", "deep", "errors", "expressivity", "features", "kernels", "metrics", "progress"}
    missing = [name for name in dir(kernelfit) if name not in rooms and f"kernelfit.{name}" not in pages]
    assert [name for name in missing if name != "__version__"] == []
    for room in (kernelfit.deep, kernelfit.expressivity):
        for name in room.__all__:
            module = getattr(room, name).__module__
            assert f"{room.__name__}.{name}\n" in pages or f"::: {module}\n" in pages, name


def test_docstrings_are_read_as_plain_text_and_entries_as_what_they_are():
    spec = importlib.util.spec_from_file_location("docstrings", DOCS / "docstrings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    pytest.importorskip("griffe")
    spec.loader.exec_module(module)
    text = "|f| < 1.\n\nParameters\n----------\nX, Y : > 0, `a*b`\n    more\n"
    assert module.plain(text) == (
        "\\|f\\| \\< 1.\n\nParameters\n----------\nX, Y\n    \\> 0, `a*b`\n    more"
    )
