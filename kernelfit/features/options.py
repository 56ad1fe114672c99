"""A feature map's own options, read off its constructor: one place for the command line and for reports."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kernelfit.arguments import suggestion
from kernelfit.errors import InputError
from kernelfit.features import feature_class

if TYPE_CHECKING:  # scikit-learn comes with it
    from kernelfit.features.images import ImageFeatures

#: given by the data set or the machine, not chosen as options
CONTEXT = ("image_shape", "scale", "threads")

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True)
class Option:
    """One constructor parameter: its name, default and the lines of the class docstring about it.

    `example` is the default, or where that is None a value of the parameter's type.
    """

    name: str
    default: Any
    help: str
    optional: bool = False
    example: Any = None

    def parse(self, text: str) -> Any:
        """The value that `text` stands for, of the type of the default; lists are separated by commas."""
        if self.optional and text.strip().lower() == "none":
            return None
        try:
            return _parse(text, self.example)
        except ValueError:
            expected = {bool: "true or false", int: "an integer", float: "a number"}.get(
                type(self.example), "numbers separated by commas"
            )
            raise InputError(
                f"{self.name}: got {text!r}, expected {expected}, such as {format_value(self.example)}"
            ) from None


def _parse(text: str, default: Any) -> Any:
    word = text.strip().lower()
    if isinstance(default, bool):
        if word not in _TRUE + _FALSE:
            raise ValueError(text)
        return word in _TRUE
    if isinstance(default, tuple):
        return tuple(float(part) for part in text.split(","))
    if isinstance(default, float):
        return float(text)
    if isinstance(default, int):
        return int(text)
    return text.strip()


def format_value(value: Any) -> str:
    """A value as `parse` reads it."""
    if isinstance(value, tuple):
        return ",".join(f"{item:g}" for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def options(name: str) -> dict[str, Option]:
    """The options of the feature map `name`, in the order of its constructor."""
    cls = feature_class(name)
    helps = _parameter_helps(cls)
    parameters = inspect.signature(cls).parameters.values()
    return {
        parameter.name: Option(
            parameter.name,
            parameter.default,
            helps.get(parameter.name, ""),
            optional="None" in str(parameter.annotation),
            example=_example(parameter),
        )
        for parameter in parameters
        if parameter.name not in CONTEXT
    }


def _example(parameter: inspect.Parameter) -> Any:
    """The default, or a number for a parameter that may be one and is None."""
    if parameter.default is None:
        return {"float | None": 0.5, "int | None": 1}.get(str(parameter.annotation))
    return parameter.default


def _parameter_helps(cls: type) -> dict[str, str]:
    """The entries of the docstring's `Parameters` section, `a, b : text` giving the text to both."""
    document = inspect.getdoc(cls) or ""
    section = re.search(r"Parameters\n-+\n(.*?)(?:\n\n|\Z)", document, re.S)
    entries = re.split(r"\n(?=\S)", section.group(1)) if section else []
    helps = {}
    for entry in entries:
        names, _, text = entry.partition(" : ")
        for name in names.split(","):
            helps[name.strip()] = " ".join(text.split())
    return helps


def make(
    name: str,
    *,
    image_shape: tuple[int, ...] | None = None,
    scale: float = 1.0,
    threads: int | None = None,
    given: Mapping[str, Any] | None = None,
) -> ImageFeatures:
    """The feature map `name` for images of a data set; `given` options as values or as text to parse.

    `scale` is left out where the features do not depend on it. Raises `InputError` for an option that the
    feature map lacks.
    """
    known = options(name)
    chosen = {}
    for key, value in (given or {}).items():
        option = known.get(key.replace("-", "_"))
        if option is None:
            near = suggestion(key, known)
            raise InputError(f"{name}: got option {key!r}, expected one of {', '.join(known)}{near}")
        chosen[option.name] = option.parse(value) if isinstance(value, str) else value
    cls = feature_class(name)
    context = {"image_shape": image_shape, "scale": scale, "threads": threads}
    accepted = inspect.signature(cls).parameters
    return cls(**{key: value for key, value in context.items() if key in accepted}, **chosen)


def pairs(texts: tuple[str, ...]) -> dict[str, str]:
    """`("stride=3", "power=1")` as a mapping; each name once, however it is spelt. Raises `InputError`."""
    mapping: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise InputError(f"option: got {text!r}, expected NAME=VALUE")
        key = key.strip().replace("-", "_")
        if key in mapping:
            raise InputError(f"option: got {key} twice, {mapping[key]!r} and {value!r}; give it once")
        mapping[key] = value
    return mapping
