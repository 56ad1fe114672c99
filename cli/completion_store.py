"""What the shell is offered, without importing the command that offers it.

A command's module brings NumPy, SciPy and Numba, which is a second at every TAB. What the shell asks for are names:
of options, and of what may follow them. They are written down as JSON in the cache folder when a command is first
asked for, with a digest of the package's files, and read from there until one of these files is another.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import platformdirs
from click.shell_completion import CompletionItem

from kernelfit import errors

#: parameters that name the feature map which another parameter's options are of
_FEATURES = ("features", "name")
#: no choice begins so: what is offered then are files, if anything
_UNHEARD_OF = "\0"

Description = dict[str, Any]


class StoredGroup(click.Group):
    """The group that offers what `group` does, its commands described and not imported."""

    def __init__(self, group: click.Group, folder: Path | None = None) -> None:
        super().__init__(group.name, params=group.params, context_settings=group.context_settings)
        self._group = group
        self._folder = folder or platformdirs.user_cache_path("kernelfit") / "completion"

    def list_commands(self, ctx: click.Context) -> list[str]:
        return self._group.list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        path, digest = self._folder / f"{cmd_name}.json", _digest()
        stored = _read(path)
        if stored.get("digest") != digest:
            command = self._group.get_command(ctx, cmd_name)
            assert command is not None
            stored = {"digest": digest, "command": describe(command)}
            _write(path, stored)
        return build(stored["command"])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        return self._group.shell_complete(ctx, incomplete)


def describe(command: click.Command) -> Description:
    """Names, options and offers of a command and of those below it, as JSON holds them."""
    description: Description = {
        "name": command.name,
        "help": command.get_short_help_str(),
        "parameters": [_describe_parameter(command, parameter) for parameter in command.params],
    }
    if isinstance(command, click.Group):
        description["commands"] = [describe(inner) for inner in command.commands.values()]
    return description


def build(description: Mapping[str, Any]) -> click.Command:
    """A command that takes the same words and offers the same, and does nothing."""
    named = {"name": description["name"], "short_help": description["help"]}
    parameters = [_build_parameter(parameter) for parameter in description["parameters"]]
    if "commands" not in description:
        return click.Command(**named, params=parameters)
    return click.Group(
        **named, params=parameters, commands=[build(inner) for inner in description["commands"]]
    )


def _describe_parameter(command: click.Command, parameter: click.Parameter) -> Description:
    described: Description = {
        "name": parameter.name,
        "opts": parameter.opts,
        "nargs": parameter.nargs,
        "offers": _offers(command, parameter, None),
        "of_features": {
            name: offers
            for name in _names_of_features(command)
            if (offers := _offers(command, parameter, name)) != _offers(command, parameter, None)
        },
    }
    if isinstance(parameter, click.Option):
        described |= {
            "secondary_opts": parameter.secondary_opts,
            "flag": parameter.is_flag,
            "multiple": parameter.multiple,
            "hidden": parameter.hidden,
            "help": parameter.help,
        }
    return described


def _build_parameter(described: Mapping[str, Any]) -> click.Parameter:
    def offer(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        words = (*(context.params.get(name) for name in _FEATURES), *context.args)
        of_features = described["of_features"]
        offers = next((of_features[word] for word in words if word in of_features), described["offers"])
        return _beginning(incomplete, offers)

    if "flag" not in described:
        return click.Argument([described["name"]], nargs=described["nargs"], shell_complete=offer)
    option = click.Option(
        [described["name"], *described["opts"]],
        is_flag=described["flag"],
        nargs=described["nargs"],
        multiple=described["multiple"],
        hidden=described["hidden"],
        help=described["help"],
        shell_complete=offer,
    )
    option.secondary_opts = described["secondary_opts"]
    return option


def _offers(command: click.Command, parameter: click.Parameter, features: str | None) -> list[list[Any]]:
    """Value, type and help of all that is offered for a parameter, files last."""
    context = click.Context(command, resilient_parsing=True)
    context.params = dict.fromkeys(_FEATURES, features)
    words = [item for item in parameter.shell_complete(context, "") if item.type == "plain"]
    files = [item for item in parameter.shell_complete(context, _UNHEARD_OF) if item.type != "plain"]
    return [[item.value, item.type, item.help] for item in (*words, *files)]


def _names_of_features(command: click.Command) -> list[str]:
    named = (parameter for parameter in command.params if parameter.name in _FEATURES)
    return [value for parameter in named for value, _, _ in _offers(command, parameter, None)]


def _beginning(incomplete: str, offers: Iterable[list[Any]]) -> list[CompletionItem]:
    plain = [
        CompletionItem(value, help=text)
        for value, what, text in offers
        if what == "plain" and value.startswith(incomplete)
    ]
    return plain or [CompletionItem(incomplete, type=what) for _, what, _ in offers if what != "plain"]


def _digest() -> str:
    """Of names, sizes and times of the files of the package and of click."""
    digest = hashlib.blake2b(digest_size=16)
    for file in (errors.__file__, __file__, click.__file__):
        for folder, folders, names in os.walk(os.path.dirname(file)):
            folders.sort()
            for name in sorted(names):
                if name.endswith(".py"):
                    status = os.stat(os.path.join(folder, name))
                    line = f"{folder} {name} {status.st_size} {status.st_mtime_ns}\n"
                    digest.update(os.fsencode(line))
    return digest.hexdigest()


def _read(path: Path) -> Description:
    with suppress(OSError, ValueError):
        stored = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(stored, dict):
            return stored
    return {}


def _write(path: Path, stored: Description) -> None:
    """A folder that cannot be written is no reason to complain while somebody types: nothing is stored then."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text(json.dumps(stored), encoding="utf-8")
        draft.replace(path)
