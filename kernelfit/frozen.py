"""Frozen dataclasses that are made in half the time: a solve makes ten, of up to twenty fields.

The `__init__` of `dataclasses` calls `object.__setattr__` for each field; this one writes to the dictionary behind.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """`dataclass(frozen=True)` of a class that has neither `__post_init__` nor `__slots__`."""
    return _frozen(cls, eq=True)


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(field,))
def frozen_of_arrays(cls: type[T]) -> type[T]:
    """The same for one that holds arrays: it is equal to itself alone, as NumPy gives no truth value of `==`."""
    return _frozen(cls, eq=False)


def _frozen(cls: type[T], *, eq: bool) -> type[T]:
    made: type[T] = dataclass(frozen=True, eq=eq)(cls)
    by_dataclass = made.__init__
    names: dict[str, Any] = {"MISSING": MISSING}
    arguments, lines = ["self"], ["  _ = self.__dict__"]
    for each in fields(made):  # type: ignore[arg-type]
        value = each.name
        if each.default_factory is not MISSING:
            names[f"{each.name}_made"], value = each.default_factory, f"{each.name}_made()"
            value = f"{value} if {each.name} is MISSING else {each.name}"
        default = each.default if each.default_factory is MISSING else MISSING
        names[f"{each.name}_default"] = default
        optional = default is not MISSING or each.default_factory is not MISSING
        arguments.append(f"{each.name}={each.name}_default" if optional else each.name)
        lines.append(f"  _[{each.name!r}] = {value}")
    exec(f"def __init__({', '.join(arguments)}):\n" + "\n".join(lines), names)
    init = names["__init__"]
    init.__annotations__, init.__qualname__ = by_dataclass.__annotations__, by_dataclass.__qualname__
    init.__module__ = made.__module__
    made.__init__ = init  # type: ignore[method-assign]
    return made
