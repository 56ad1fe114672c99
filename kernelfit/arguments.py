"""Arguments of functions, checked: numbers and sizes, or an error that names the argument."""

from __future__ import annotations

import difflib
import errno
import functools
import inspect
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import InputError, shown

# Columns that a message lists.
_LISTED = 8
# Which float() reads: the arithmetic that follows does not, or means something else.
_NO_NUMBERS = (str, bytes, bool, np.bool_, complex, np.complexfloating, np.void)


P = ParamSpec("P")
R = TypeVar("R")


#: what other libraries call the parameters of a solve
OTHER_NAMES = {
    "alpha": "ridge",
    "C": "ridge, which is 1 / C",
    "sigma": "gamma",
    "length_scale": "kernel_params={'length_scale': ...}",
    "degree": "kernel_params={'degree': ...}",
    "coef0": "kernel_params={'coef0': ...}",
    "n_jobs": "threads",
    "class_weight": "sample_weight, of fit: sklearn.utils.compute_sample_weight(class_weight, y), beside ridge > 0",
    "verbose": "progress=True",
    "random_state": "seed",
    "seed": "random_state",
    "y": "Y",
}


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'gaussian'?` where one of the names is near, else nothing."""
    near = difflib.get_close_matches(name, list(known), 1) if isinstance(name, str) else []
    return f"; did you mean {near[0]!r}?" if near else ""


def hint_for(name: str, others: Mapping[str, str], known: Iterable[str]) -> str:
    """What a name of another library is called here, or the known name that is near; else nothing."""
    if name in others:
        return f"; here it is called {others[name]}"
    return suggestion(name, known)


def suggests_names(others: Mapping[str, str]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function whose unknown keywords are a TypeError that suggests the right one.

    `others` are names that the same thing has elsewhere, with what it is called here.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        known = [name for name in inspect.signature(function).parameters if name != "self"]
        names = frozenset(known)

        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            if not kwargs.keys() <= names:
                unknown = next(name for name in kwargs if name not in known)
                remedy = hint_for(unknown, others, known) or f", expected one of {', '.join(known)}"
                raise TypeError(f"{unknown}: got an argument of that name{remedy}")
            return function(*args, **kwargs)

        return checked

    return decorate


def positive(name: str, value: Any) -> float:
    """`value` as a finite float > 0, or an error that names the parameter."""
    if type(value) is float and 0.0 < value < math.inf:
        return value
    number = finite(name, value)
    if number <= 0:
        raise InputError(f"{name}: got {value}, expected a number > 0")
    return number


def non_negative(name: str, value: Any) -> float:
    """`value` as a finite float >= 0, or an error that names the parameter."""
    number = finite(name, value)
    if number < 0:
        raise InputError(f"{name}: got {value}, expected a number >= 0")
    return number


def integer(name: str, value: Any, minimum: int, maximum: int | None = None) -> int:
    """`value` as an integer >= `minimum`, and <= `maximum` where there is one, or an error that names the parameter."""
    if type(value) is int and minimum <= value <= (2**53 if maximum is None else maximum):
        return value
    number = finite(name, value)
    # An int beyond 2^53 is no float64, and is an integer all the same.
    whole = isinstance(value, int) or int(number) == value
    if isinstance(value, bool) or not whole or value < minimum:
        raise InputError(f"{name}: got {shown(value)}, expected an integer >= {minimum}")
    if maximum is not None and value > maximum:
        raise InputError(f"{name}: got {value!r}, expected an integer from {minimum} to {maximum}")
    return int(value)


def finite(name: str, value: Any) -> float:
    """`value` as a finite float, or an error that names the parameter."""
    if type(value) is float and math.isfinite(value):
        return value
    try:
        if isinstance(value, _NO_NUMBERS) or value is np.ma.masked or np.ndim(value) > 0:
            raise TypeError
        number = float(value)
    except OverflowError:
        raise InputError(f"{name}: got {str(value)[:20]}..., expected a number of float64") from None
    except (TypeError, ValueError):
        raise InputError(f"{name}: got {shown(value)}, expected a number") from None
    if not np.isfinite(number):
        raise InputError(f"{name}: got {value}, expected a finite number")
    return number


def flag(name: str, value: Any) -> bool:
    """True or False, or an error that names the parameter."""
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{name}: got {shown(value)}, expected True or False")
    return bool(value)


def choice(name: str, value: Any, names: Iterable[str]) -> str:
    """`value` as one of `names`, or an error that names the parameter."""
    known = tuple(names)
    if not isinstance(value, str) or value not in known:
        near = suggestion(value, known) if isinstance(value, str) else ""
        raise InputError(f"{name}: got {shown(value)}, expected one of {', '.join(known)}{near}")
    return value


def mapping(name: str, value: Any) -> dict[str, Any]:
    """`value` as a dictionary whose keys are texts, or an error that names the parameter."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InputError(f"{name}: got {shown(value)}, expected a mapping of names to values")
    return dict(value)


def json_of(name: str, value: Any) -> dict[str, Any]:
    """`value` as a dictionary that JSON can hold, or an error that names the parameter."""
    made = mapping(name, value)
    try:
        json.dumps(made)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"{name}: cannot be written as JSON ({error}), expected numbers, texts and lists"
        ) from None
    return made


def path_of(name: str, value: Any) -> Path:
    """`value` as a path that a file may have, or an error that names the parameter."""
    try:
        path = Path(value)
        if "\0" in str(path) or not str(value):
            raise ValueError
        os.fsencode(path)
    except (TypeError, ValueError):
        raise InputError(f"{name}: got {shown(value)}, expected the path of a file or folder") from None
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(
                f"{name}: got {shown(str(value))}, expected a path that is not as long"
            ) from None
    return path


def at_home(path: str | Path) -> Path:
    """The path with ~ and ~USER in its first place as their folders; a user who is not there is a name as any other."""
    return Path(os.path.expanduser(path))


def shape_of(name: str, value: Any) -> tuple[int, ...]:
    """The shape that NumPy gives a value, or an error that names the parameter for lists of several lengths."""
    try:
        return np.shape(value)
    except ValueError:
        raise InputError(f"{name}: got {shown(value)}, expected lists of one length") from None


def numbers(name: str, value: Any, dimensions: tuple[int, ...], rows: int | None = None) -> NDArray[Any]:
    """`value` as an array of numbers of one of these dimensions, with so many rows, or an error that names it."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        array = np.empty(0, object)
    if array.dtype.kind not in "buif" or array.ndim not in dimensions or rows not in (None, len(array)):
        wanted = " or ".join(map(str, dimensions))
        length = "" if rows is None else f" and {rows} rows"
        raise InputError(
            f"{name}: got {array.dtype} {array.shape}, expected numbers of {wanted} dimensions{length}"
        )
    return array


def bytes_of(memory: int | str | None, name: str = "memory") -> int | None:
    """A limit given as bytes or as text; None where none is given."""
    if memory is None:
        return None
    if isinstance(memory, str):
        return parse_bytes(memory, name)
    try:
        number = finite(name, memory)
    except InputError:
        number = 0.0
    if not 0 < number < 2**63:
        raise InputError(f"{name}: got {shown(memory)}, expected bytes > 0 or a size such as 8GB")
    return int(memory)


def parse_bytes(text: str, name: str = "memory") -> int:
    """Bytes from `8GB`, `512MiB`, `2e9`, `1,234,567 bytes`; powers of ten without an i, of two with it."""
    units = {
        "": 1,
        "K": 1e3,
        "M": 1e6,
        "G": 1e9,
        "T": 1e12,
        "KI": 2**10,
        "MI": 2**20,
        "GI": 2**30,
        "TI": 2**40,
    }
    stripped = text.strip().upper().removesuffix("BYTES").strip()
    stripped = without_separators(stripped)
    number = stripped.rstrip("BKMGTI")
    unit = stripped[len(number) :].removesuffix("B")
    try:
        value = float(number) * units[unit]
        if not 1 <= value < 2**63:
            raise ValueError(text)
        return int(value)
    except (ValueError, KeyError, OverflowError):
        raise InputError(f"{name}: got {text!r}, expected a size such as 8GB, 512MiB or 2000000000") from None


def names_in(frame: Any) -> tuple[Any, ...] | None:
    """What the columns of a frame (pandas, polars) or of Arrow's table, whose `columns` are cells, are called."""
    columns = getattr(frame, "column_names" if hasattr(type(frame), "column_names") else "columns", None)
    return None if columns is None or callable(columns) else tuple(columns)


def column_names(X: Any) -> tuple[str, ...] | None:
    """Of a frame or a table, where all of them are text; None for arrays."""
    names = names_in(X)
    return names if names and all(isinstance(name, str) for name in names) else None


def in_order(name: str, X: Any, columns: tuple[str, ...] | None, note: Callable[[str], None]) -> Any:
    """A frame with its columns in the order of those that were trained on; an array as it is.

    Columns beside these are left aside, with a note. Raises `InputError` where one is missing.
    """
    own = column_names(X)
    if columns is None or own is None or own == columns:
        return X
    there, wanted = set(own), set(columns)
    missing = [column for column in columns if column not in there]
    if missing or len(there) < len(own):
        what = f"no column {_listed(missing)}" if missing else f"columns of one name, {_listed(own)}"
        raise InputError(f"{name}: got {what}, expected the columns that were trained on, {_listed(columns)}")
    others = [column for column in own if column not in wanted]
    if others:
        note(f"{name}: columns left aside, which the training rows lack: {_listed(others)}")
    return X.select(list(columns)) if hasattr(type(X), "select") else X[list(columns)]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_LISTED])
    return f"{shown} and {len(names) - _LISTED} more" if len(names) > _LISTED else shown


def without_separators(text: str) -> str:
    """`1,234,567` as `1234567`; any other comma stays, as it may stand for a decimal point."""
    return text.replace(",", "") if re.match(r"\d{1,3}(,\d{3})+(?![\d,])", text) else text
