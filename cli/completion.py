"""What the shell offers for a word that is not typed to its end: names of data sets, features, kernels and options.

Each function is a `shell_complete` of click and reads registries alone, no data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from kernelfit.datasets.registry import REGISTRY
from kernelfit.features import names as feature_names
from kernelfit.features import options as feature_options

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def words(*choices: str) -> Completer:
    """Of these words those that begin so."""
    return lambda context, parameter, incomplete: _beginning(incomplete, choices)


def datasets(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Data sets by name, with what they are, and files and folders."""
    known = [
        CompletionItem(name, help=spec.title)
        for name, spec in REGISTRY.items()
        if name.startswith(incomplete)
    ]
    return known or [CompletionItem(incomplete, type="file")]


def features(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Feature maps, and none."""
    return _beginning(incomplete, ("none", *feature_names()))


def options_of_features(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """NAME= of the options of the feature map that was named before, as `--features` or as the argument."""
    # An argument before an option that still lacks its value is left unparsed.
    words = (context.params.get("features"), context.params.get("name"), *context.args)
    name = next((word for word in words if word in feature_names()), None)
    if name is None:
        return []
    return [
        CompletionItem(f"{option.name}=", help=option.help)
        for option in feature_options.options(name).values()
        if option.name.startswith(incomplete)
    ]


def _beginning(incomplete: str, choices: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(choice) for choice in choices if choice.startswith(incomplete)]
