"""What values from a file may be: rules, and one line for the first value that breaks its own.

A checksum tells damage, not malice: anybody can compute it again. So whatever is read is compared with rules that say
the type and range of every value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kernelfit.errors import DataError, shown
from kernelfit.typing import Array

#: integers that every part of a file may hold: sizes, indices, counts of bytes
LARGEST = 2**63 - 1
_LARGEST_FLOAT = 1.7976931348623157e308


@dataclass(frozen=True)
class Rule:
    """What a value may be, in words and as a test."""

    expected: str
    holds: Callable[[Any], bool]


def number(minimum: float = -math.inf, *, above: float = -math.inf, finite: bool = True) -> Rule:
    """A number >= `minimum` and > `above`; with `finite=False` also NaN and the infinities."""

    def holds(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST_FLOAT:
            return not finite and isinstance(value, float)
        return (not finite or math.isfinite(value)) and not (value < minimum or value <= above)

    bound = f" > {above:g}" if above > -math.inf else f" >= {minimum:g}" if minimum > -math.inf else ""
    return Rule(f"a {'finite ' if finite and not bound else ''}number{bound}", holds)


def integer(minimum: int = 0, maximum: int = LARGEST) -> Rule:
    """An integer of that range; True and 2.0 are none."""
    bound = f">= {minimum}" if maximum == LARGEST else f"from {minimum} to {maximum}"
    return Rule(f"an integer {bound}", lambda value: type(value) is int and minimum <= value <= maximum)


def one_of(names: Iterable[str]) -> Rule:
    known = tuple(names)
    return Rule(f"one of {', '.join(known)}", lambda value: isinstance(value, str) and value in known)


def optional(rule: Rule) -> Rule:
    """That, or null."""
    return Rule(f"{rule.expected}, or null", lambda value: value is None or rule.holds(value))


def sequence(rule: Rule, minimum: int = 0, maximum: int = LARGEST) -> Rule:
    """A list of what fits the rule, of `minimum` to `maximum`."""
    return Rule(
        f"a list of {rule.expected}",
        lambda value: (
            isinstance(value, list | tuple)
            and minimum <= len(value) <= maximum
            and all(map(rule.holds, value))
        ),
    )


def mapping(rule: Rule) -> Rule:
    """An object whose values fit the rule."""
    return Rule(
        f"an object of {rule.expected}",
        lambda value: isinstance(value, dict) and all(map(rule.holds, value.values())),
    )


BOOLEAN = Rule("true or false", lambda value: isinstance(value, bool))
TEXT = Rule("a text", lambda value: isinstance(value, str))
OBJECT = Rule("an object", lambda value: isinstance(value, dict))


def require(path: Path, stored: Any, rules: Mapping[str, Rule], within: str = "") -> None:
    """Raise `DataError` where `stored` lacks a key of `rules`, or holds there what breaks its rule.

    `within` is what messages call `stored`. Other keys may be there.
    """
    remedy = "it is damaged or forged; use another copy, or solve again"
    name = f"{within}: " if within else ""
    if not isinstance(stored, dict):
        raise DataError(f"{path}: {name}got {shown(stored)}, expected an object; {remedy}")
    for key, rule in rules.items():
        if key not in stored:
            raise DataError(f"{path}: {name}{key} is missing; {remedy}")
        if not rule.holds(stored[key]):
            raise DataError(
                f"{path}: {name}{key} is {shown(stored[key])}, expected {rule.expected}; {remedy}"
            )


def require_array(
    path: Path, arrays: Mapping[str, Array], name: str, kinds: str, shape: tuple[int | None, ...]
) -> None:
    """Raise `DataError` where an array is missing, of another kind of numbers or shape (None: any), or not finite."""
    if name not in arrays:
        raise DataError(f"{path}: {name} is missing; it is damaged or forged")
    array = arrays[name]
    fits = array.ndim == len(shape) and all(
        want in (None, length) for want, length in zip(shape, array.shape, strict=False)
    )
    if array.dtype.kind not in kinds or not fits:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise DataError(
            f"{path}: {name} is {array.dtype} {array.shape}, expected numbers of shape ({wanted}); it is damaged or "
            "forged"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(f"{path}: {name} holds values that are not finite, it is damaged or forged")
