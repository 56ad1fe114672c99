"""A callable of the user's taken apart: the function itself, and the arguments that are settled beside the two rows."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kernelfit.errors import InputError, shown


class Bound(NamedTuple):
    """k(x, y) = function(*first, x, y, *last).

    `compilable` says whether the function is Python's own, or Numba's, rather than a method or an object.
    """

    function: Any
    first: tuple[Any, ...]
    last: tuple[Any, ...]
    label: str
    compilable: bool

    @property
    def is_plain(self) -> bool:
        """Whether the two rows are all that it takes."""
        return not (self.first or self.last)

    def of(self, function: Any) -> Callable[[Any, Any], float]:
        """x, y -> function(*first, x, y, *last), as a function whose settled arguments Numba takes for constants."""
        if self.is_plain:
            bound: Callable[[Any, Any], float] = function
            return bound
        first = {f"a{index}": value for index, value in enumerate(self.first)}
        last = {f"b{index}": value for index, value in enumerate(self.last)}
        text = f"lambda x, y: function({', '.join([*first, 'x', 'y', *last])})"
        bound = eval(text, {"function": function, **first, **last})
        return bound


def bound(function: Any, parameters: Mapping[str, Any]) -> Bound:
    """`function`, which may be a `functools.partial`, with its other parameters by name; raises `InputError`."""
    if not callable(function):
        raise InputError(f"function: got {shown(function)}, expected a Python function of two 1-d arrays")
    first: tuple[Any, ...] = ()
    named = dict(parameters)
    while isinstance(function, functools.partial):
        first, named = function.args + first, {**function.keywords, **named}
        function = function.func
    python = getattr(function, "py_func", function)
    label = getattr(python, "__name__", type(python).__name__)
    last: tuple[Any, ...] = ()
    if named:
        try:
            taken = inspect.signature(python).bind(*first, None, None, **named)
        except (TypeError, ValueError) as error:
            known = ", ".join(named)
            raise InputError(
                f"kernel_params: got {known} for {label}, which does not take it ({error})"
            ) from None
        taken.apply_defaults()
        if taken.kwargs:  # by name only, which no compiled function is called with
            return Bound(functools.partial(function, **named), first, (), label, False)
        last = taken.args[len(first) + 2 :]
    return Bound(function, first, last, label, inspect.isfunction(python))
