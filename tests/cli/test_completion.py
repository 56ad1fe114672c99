"""Shell completion: what is offered by the commands and by what is stored of them, and that it imports none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import CompletionItem, ShellComplete

from kernelfit.cli import COMMANDS, completion_store, root
from kernelfit.datasets.registry import REGISTRY
from kernelfit.features import names
from kernelfit.kernels import KERNELS


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> completion_store.StoredGroup:
    return completion_store.StoredGroup(root, tmp_path_factory.mktemp("completion"))


def offered(group: click.Group, *typed: str) -> list[tuple[str, str, str | None]]:
    *arguments, incomplete = typed
    complete = ShellComplete(group, {}, "kernelfit", "_KERNELFIT_COMPLETE")
    return values(complete.get_completions(arguments, incomplete))


def without_help(items: list[CompletionItem]) -> list[tuple[str, str, str | None]]:
    """click keeps the names of help that a command had in its first context, which another test may have made."""
    return [item for item in values(items) if item[0] not in ("-h", "--help")]


def values(items: list[CompletionItem]) -> list[tuple[str, str, str | None]]:
    return [(item.value, item.type, item.help) for item in items]


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
def test_what_is_offered(
    stored: completion_store.StoredGroup, typed: tuple[str, ...], expected: list[str]
) -> None:
    items = offered(root, *typed)
    assert [value for value, what, _ in items if what == "plain"] == expected
    assert offered(stored, *typed) == items


def test_where_no_data_set_begins_so_files_are_offered(stored: completion_store.StoredGroup) -> None:
    for group in (root, stored):
        assert offered(group, "solve", "--dataset", "data/") == [("data/", "file", None)]


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_described_offers_the_same(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None
    pairs = [(command, completion_store.build(completion_store.describe(command)))]
    parent = click.Context(root, **root.context_settings)
    for ours, built in pairs:
        of_ours, of_built = (click.Context(side, parent, resilient_parsing=True) for side in (ours, built))
        for begun in ("", "-", "--", "l"):
            assert without_help(built.shell_complete(of_built, begun)) == without_help(
                ours.shell_complete(of_ours, begun)
            )
        for one, other in zip(ours.params, built.params, strict=True):
            for begun in ("", "m", "x/y"):
                expected = values(one.shell_complete(of_ours, begun))
                assert values(other.shell_complete(of_built, begun)) == expected, (ours.name, one.name, begun)
        if isinstance(ours, click.Group):
            assert isinstance(built, click.Group)
            pairs += [(ours.commands[inner], built.commands[inner]) for inner in ours.commands]


def test_what_was_stored_of_other_files_is_made_anew(tmp_path: Path) -> None:
    group = completion_store.StoredGroup(root, tmp_path)
    for text in ("", "[]", "{", json.dumps({"digest": "other", "command": {}})):
        (tmp_path / "check.json").write_text(text, encoding="utf-8")
        assert ("--json", "plain") in [item[:2] for item in offered(group, "check", "--j")]
        assert json.loads((tmp_path / "check.json").read_text(encoding="utf-8"))["digest"] != "other"
    assert [path.name for path in tmp_path.iterdir()] == ["check.json"]


def test_a_folder_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    group = completion_store.StoredGroup(root, tmp_path / "file" / "completion")
    assert offered(group, "check", "--json", "") == offered(root, "check", "--json", "")


def test_words_are_completed_without_importing_what_a_command_does(tmp_path: Path) -> None:
    code = """
import os, sys
from kernelfit.cli import main
for words in ("solve --", "solve --dataset ", "solve --kernel g", "solve --features gabor --option b"):
    os.environ |= {"COMP_WORDS": "kernelfit " + words, "COMP_CWORD": str(len(words.split(" ")))}
    try:
        main([])
    except SystemExit as end:
        assert end.code == 0
print({"numpy", "numba", "scipy", "sklearn", "rich", "kernelfit.kernels"} & set(sys.modules))
"""
    # Both names of the cache folder: XDG's, and that below the home folder.
    places = {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    environment = os.environ | places | {"_KERNELFIT_COMPLETE": "bash_complete"}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
        )
        for _ in range(2)
    ]
    assert [output.stderr for output in outputs] == ["", ""]
    first, second = (output.stdout.splitlines() for output in outputs)
    assert "numba" in first[-1]
    assert second[-1] == "set()"
    assert second[:-1] == first[:-1]
    assert {"plain,--dataset", "plain,mnist", "plain,gaussian", "plain,bandwidth="} <= set(second)


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
