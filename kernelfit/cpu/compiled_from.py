"""What a compiled function was made from: its own bytecode and that of all it calls, with the numbers they name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

_NUMBERS = (bool, int, float, str, bytes, type(None), np.generic)
_OURS = __name__.partition(".")[0] + "."


def compiled_from(function: Any) -> str:
    """A digest that changes with any of it."""
    digest = hashlib.sha256()
    waiting, seen = [function], {id(function)}
    while waiting:
        for name, value in _named(waiting.pop()):
            called = _function_of(value)
            if called is None:
                digest.update(f"{name}={value!r};".encode())
            elif id(called) not in seen:
                seen.add(id(called))
                waiting.append(called)
                digest.update(f"{name}();".encode())
    return digest.hexdigest()


def _named(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function's code holds, then the functions, numbers and tuples that it names, in order."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield from _known(name, cell.cell_contents)
    for code in _nested(function.__code__):
        yield "code", code.co_code
        for value in code.co_consts:
            if value != function.__doc__:
                # A set has another order in every process.
                in_order = tuple(sorted(map(repr, value))) if isinstance(value, frozenset) else value
                yield from _known("constant", in_order)
        for name in code.co_names:
            value = function.__globals__.get(name)
            if isinstance(value, ModuleType):
                if value.__name__.startswith(_OURS):
                    for other in code.co_names:
                        yield from _known(other, getattr(value, other, None))
            elif value is not None:
                yield from _known(name, value)


def _known(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, tuple):
        for item in value:
            yield from _known(name, item)
    elif isinstance(value, _NUMBERS) or _function_of(value) is not None:
        yield name, value


def _function_of(value: Any) -> FunctionType | None:
    """The Python of a function of ours, compiled or not, or of an intrinsic."""
    function = getattr(value, "py_func", None) or getattr(value, "_defn", value)
    ours = isinstance(function, FunctionType) and function.__module__.startswith(_OURS)
    return function if ours else None


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _nested(value)
