"""What commands print: nothing that is piped is cut or wrapped, and help comes in groups."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from rich.table import Table

from kernelfit.cli import root
from kernelfit.cli.output import GroupedCommand, emit, known_options


def run(*arguments: str) -> str:
    result = CliRunner().invoke(root, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_what_is_piped_is_neither_cut_nor_wrapped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    name = "a" * 300
    lines = run("datasets", "list", "--data-dir", str(tmp_path)).splitlines()
    assert lines[0].split() == [
        "Name",
        "Data",
        "Train",
        "Test",
        "Features",
        "Classes",
        "Download",
        "Licence",
        "Place",
    ]
    assert all(len(line.split()) >= 7 for line in lines)
    assert not any(line.endswith(" ") for line in lines)
    long = tmp_path / name[:100]
    np.savez(f"{long}.npz", X=np.random.default_rng(0).normal(size=(40, 3)), y=np.arange(40) % 2)
    assert long.name in run("solve", "--train", f"{long}.npz")


def test_a_terminal_of_forty_columns_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert max(map(len, run("features", "list").splitlines())) <= 40


@pytest.mark.parametrize("group", ["study", "datasets", "features", "reproduce", "deep"])
def test_commands_are_listed_with_their_whole_sentence(group: str) -> None:
    """click cut them to one line, in the middle of what they say."""
    assert "..." not in run(group, "--help").split("Commands:")[1]


def test_a_record_is_written_and_shown_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("heading")
    emit({"a": 1}, "-", table)
    assert json.loads(capsys.readouterr().out) == {"a": 1}
    emit({"a": 1}, str(tmp_path / "a.json"), table)
    assert "heading" in capsys.readouterr().out
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}


def commands(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with the words that call it."""
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), name)
            assert below is not None
            yield from commands(below, (*path, name))
    else:
        yield path, command


HEADINGS = ["Data", "Features", "Kernel", "Network", "Solver", "Machine", "Output"]


def test_help_comes_in_groups_and_names_every_option_with_its_default() -> None:
    for path, command in commands(root):
        text = run(*path, "--help")
        lines = text.splitlines()
        headings = [line.removesuffix(":") for line in lines if line.endswith(":") and line[0] != " "]
        assert headings == [name for name in HEADINGS if name in headings], path
        assert "Output" in headings, path
        words = " ".join(text.split())
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.opts[0] in text, path
                if isinstance(option.default, (str, int, float)) and not isinstance(option.default, bool):
                    assert f"[default: {option.default}" in words, (path, option.opts)


def test_the_options_that_only_write_are_those_below_output() -> None:
    """A new option is filed under what it is about: what is left over is listed here by name."""
    written = {"run_dir", "out", "json_target", "target", "figure", "tensorboard", "help"}
    written |= {"evaluate_every", "only_plan", "strict", "title", "report", "figures_dir"}
    left = set()
    for path, command in commands(root):
        for option in command.params:
            if isinstance(option, click.Option) and str(option.name) not in known_options():
                left.add(str(option.name))
        assert isinstance(command, GroupedCommand), path
    assert left <= written


def test_every_option_says_what_it_is() -> None:
    def silent(command: click.Command, name: str) -> list[str]:
        if isinstance(command, click.Group):
            below = {name: command.get_command(None, name) for name in command.list_commands(None)}  # type: ignore[arg-type]
            return [line for word, each in below.items() if each for line in silent(each, f"{name} {word}")]
        options = [option for option in command.params if isinstance(option, click.Option)]
        return [f"{name} {option.opts[0]}" for option in options if not option.help]

    assert silent(root, "kernelfit") == []


def test_an_option_of_one_value_that_is_given_twice_says_which_counts() -> None:
    result = CliRunner().invoke(root, ["plan", "--n", "30", "--n", "40", "--drop", "a"])
    assert "note: --n: given 2 times, of which the last counts: 40\n" in result.stderr
    once = CliRunner().invoke(root, ["plan", "--n", "40", "--drop", "a", "--drop", "b"])
    assert "given" not in once.stderr
