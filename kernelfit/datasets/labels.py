"""From labels as they stand in a file to class codes or regression targets.

What labels mean is guessed by `are_classes` where nothing is said; every guess about integers is a note. AutoGluon's
`infer_problem_type` takes two values as classes, and at most 1,000 that are at most 5 % of the rows (10 % of up to
1,000 rows), which makes ages of a large file classes; scikit-learn's `type_of_target` takes every integer as a class.
Here codes are told from counts, ages and prices by what codes are made to be: small, without large gaps, repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import InputError
from kernelfit.typing import Array, TaskName

from .categories import listed
from .cells import classified
from .faults import damaged
from .rows import Rows, refuse_rounding

# So many integers at most may be codes of classes whatever they start with, and of larger size than this they are not.
_FEW, _SMALL = 20, 100
# More than a few are codes where they count from 0 or 1 and each stands for so many rows: codes are made to.
_ROWS_OF_A_CLASS = 5
# float64 holds every integer up to here, so codes that came through a float are exact.
_LARGEST_EXACT = 2**53


def encode_labels(
    parts: list[Rows], task: TaskName | None = None
) -> tuple[list[Array], tuple[str, ...] | None, tuple[str, ...]]:
    """Encode the labels of training and test part alike.

    Text and booleans are classes, called as they stand; numbers with fractions are regression targets, and so is y of
    shape (n, k), k > 1.
    Integers, and floats that are all whole, are what `are_classes` says. `task` takes the place of this guess. Classes
    become codes 0..c-1 in the order of their values over all parts.

    Returns the encoded labels, the class names (None for regression), and notes, in which a guess is said.
    """
    named = [part.class_names for part in parts if part.class_names is not None]
    if named:
        if task == "regression":
            raise InputError(
                f"task: got regression, but {parts[0].label_name} of {parts[0].path.name} holds text, expected numbers"
            )
        return _encode_named([_with_flags_named(part, named[0]) for part in parts])
    labels = [part.y[:, 0] if part.y.ndim == 2 and part.y.shape[1] == 1 else part.y for part in parts]
    if any(y.ndim == 2 for y in labels):
        return _encode_columns(parts, labels, task)
    if task == "regression" or (task is None and not all(_whole(y) for y in labels)):
        return _as_numbers(parts, labels), None, ()
    if not all(_whole(y) for y in labels):
        return _encode_numbers(parts, labels)
    for part, y in zip(parts, labels, strict=True):
        if y.dtype.kind == "f" and np.abs(y).max(initial=0.0) > _LARGEST_EXACT:
            if task is None:
                return [y.astype(np.float64) for y in labels], None, ()
            raise damaged(part.path, f"class codes in {part.label_name} up to 2^53", f"{np.abs(y).max():.0f}")
    integers = [y.astype(_code_type(y)) for y in labels]
    values, counts = _counted(integers)
    n = sum(len(y) for y in labels)
    if task is None and not are_classes(values, counts):
        note = (
            f"{parts[0].path.name}: {parts[0].label_name} holds {len(values):,} different integers in {n:,} rows, "
            "taken as numbers (regression); task='classification' takes them as classes"
        )
        return _as_numbers(parts, labels), None, (note,)
    lookup = {value: code for code, value in enumerate(values)}
    codes: list[Array] = [_recode(y, lookup) for y in integers]
    flags = all(_are_flags(part) for part in parts)
    classes = tuple(str(bool(value)) if flags else str(value) for value in values)
    guess = () if task is not None or _are_flags(parts[0]) else (_guess_of_classes(parts[0], len(values), n),)
    return codes, classes, (*guess, *_unseen(codes, classes))


def are_classes(values: NDArray[Any], counts: NDArray[np.int64]) -> bool:
    """Whether integers with these different values, in order, so many of each, look like codes of classes.

    Two, or one, of at most 100 in size: 0 and 1, -1 and 1, 2 and 4. Up to 20 of that size, of which at most every other
    one is missing between the first and the last, and that occur twice on average. More than 20 that count from 0 or 1
    without a gap, each in 5 rows or more.
    """
    c, first, last = len(values), int(values[0]), int(values[-1])
    if c > _FEW:
        return first in (0, 1) and last - first == c - 1 and int(counts.min()) >= _ROWS_OF_A_CLASS
    if max(-first, last) > _SMALL:
        return False
    return c <= 2 or (last - first < 2 * c and int(counts.sum()) >= 2 * c)


def are_one_hot(y: Array) -> bool:
    """Whether each row of y (n, c) is a single 1 among zeros."""
    return y.ndim == 2 and bool(np.isin(y, (0, 1)).all()) and bool((y.sum(axis=1) == 1).all())


def classes_of_columns(c: int) -> tuple[str, ...]:
    """What the classes of one-hot labels (n, c) are called."""
    return tuple(map(str, range(c)))


def names_of(y: Array, classes: Sequence[str], name: str) -> tuple[list[str], tuple[str, ...]]:
    """What labels (n,) of numbers or booleans in the file `name` are called among such classes, and a note of a guess.

    Booleans are the classes that say true and false, whatever their case, where there are some; so are 0 and 1 where
    there are no others.
    """
    flags = _flags_among(classes)
    if flags and y.dtype.kind == "b":
        return [flags.get(bool(label), str(bool(label))) for label in y], ()
    if len(flags) == len(classes) and bool(np.isin(y, (0, 1)).all()):
        taken = f"{name}: labels 0 and 1 are taken as {' and '.join(flags[flag] for flag in sorted(flags))}"
        return [flags.get(bool(label), str(bool(label))) for label in y], (taken,)
    return [_number_name(label, classes) for label in y], ()


def as_among(names: Sequence[str], classes: Sequence[str]) -> tuple[str, ...]:
    """Names of classes as they are among `classes`: those that say true or false, as TRUE of Excel is True of pandas,
    and 1, and numbers, as 1.0 is 1."""
    flags = _flags_among(classes) or {flag: str(int(flag)) for flag in (False, True)}
    called = {str(flag).lower(): name for flag, name in flags.items() if name in classes}
    among = []
    for name in names:
        value, kind = classified(name)
        number = name if kind is not None else _number_name(np.float64(value), classes)
        other = number if number in classes else called.get(name.lower(), name)
        among.append(name if name in classes else other)
    return tuple(among)


def _number_name(label: np.generic, classes: Collection[str]) -> str:
    """What a class of that number is called: 1 for 1.0, 0.1 in float32 and float64, or as it is among the classes in
    another type that holds it: 0.1 of float32 is 0.10000000149011612 in float64."""
    if label == int(label):
        return str(int(label))
    name = str(label)
    if name in classes:
        return name
    with np.errstate(over="ignore", under="ignore"):
        same = [kind(label) for kind in (np.float64, np.float32, np.float16)]
    return next((str(number) for number in same if number == label and str(number) in classes), name)


def _flags_among(classes: Sequence[str]) -> dict[bool, str]:
    """What false and true are called, where some classes are."""
    return {name.lower() == "true": name for name in classes if name.lower() in ("true", "false")}


def _with_flags_named(part: Rows, classes: tuple[str, ...]) -> Rows:
    """A part of booleans with names as the other has; others as they are."""
    if part.class_names is not None or not _are_flags(part) or part.y.size != len(part.y):
        return part
    flags = {False: "False", True: "True"} | _flags_among(classes)
    names = tuple(sorted({flags[bool(label)] for label in part.y.reshape(-1)}))
    codes = np.array([names.index(flags[bool(label)]) for label in part.y.reshape(-1)], dtype=np.int64)
    return replace(part, y=codes, class_names=names)


def _counted(parts: list[Array]) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """The different integers of all parts, in order, and how often each occurs."""
    counts: Counter[int] = Counter()
    for y in parts:
        values, often = np.unique(y, return_counts=True)
        counts.update(dict(zip(values.tolist(), often.tolist(), strict=True)))
    ordered = sorted(counts)
    return np.array(ordered, dtype=object), np.array([counts[value] for value in ordered], dtype=np.int64)


def _are_flags(part: Rows) -> bool:
    return part.y.dtype.kind == "b"


def _guess_of_classes(part: Rows, count: int, n: int) -> str:
    return (
        f"{part.path.name}: {part.label_name} holds {count:,} different integers in {n:,} rows, taken as classes; "
        "task='regression' takes them as numbers"
    )


def _encode_columns(
    parts: list[Rows], labels: list[Array], task: TaskName | None
) -> tuple[list[Array], tuple[str, ...] | None, tuple[str, ...]]:
    """y of several columns: targets, or with `task` classes where each row has a single 1 among zeros."""
    one_hot = all(are_one_hot(y) for y in labels)
    if task == "classification":
        if not one_hot:
            raise InputError(
                f"task: got classification, but {parts[0].label_name} of {parts[0].path.name} has shape "
                f"{parts[0].y.shape}, expected one label a row, or a single 1 among zeros"
            )
        width = labels[0].shape[1]
        return [y.argmax(axis=1).astype(np.int64) for y in labels], classes_of_columns(width), ()
    note = (
        f"{parts[0].path.name}: each row of {parts[0].label_name} is a single 1 among zeros, taken as "
        f"{labels[0].shape[-1]} targets; task='classification' takes them as classes"
    )
    return _as_numbers(parts, labels), None, (note,) if one_hot and task is None else ()


def _as_numbers(parts: list[Rows], labels: list[Array]) -> list[Array]:
    """Targets as float64. Raises DataError for integers that it rounds."""
    for part, y in zip(parts, labels, strict=True):
        refuse_rounding(part.path, y, part.label_name)
    return [y.astype(np.float64) for y in labels]


def _encode_numbers(
    parts: list[Rows], labels: list[Array]
) -> tuple[list[Array], tuple[str, ...], tuple[str, ...]]:
    """Classes that are called by numbers with fractions, those of a later part as the same numbers of earlier ones."""
    values: dict[str, float] = {}
    called: list[list[str]] = []
    own = [np.unique(y, return_inverse=True) for y in labels]
    for numbers, _ in own:
        called.append([_number_name(number, values) for number in numbers])
        values = dict(zip(called[-1], map(float, numbers), strict=True)) | values
    classes = tuple(sorted(values, key=values.__getitem__))
    lookup = {name: code for code, name in enumerate(classes)}
    codes: list[Array] = [
        np.array([lookup[name] for name in names], dtype=np.int64)[inverse]
        for names, (_, inverse) in zip(called, own, strict=True)
    ]
    return codes, classes, _unseen(codes, classes)


def _encode_named(parts: list[Rows]) -> tuple[list[Array], tuple[str, ...], tuple[str, ...]]:
    names = parts[0].class_names
    if names is None or any(part.class_names is None for part in parts):
        raise InputError(
            "train, test: got one that names its classes and one that does not, expected both in one format"
        )
    codes: list[Array] = []
    for part in parts:
        own = as_among(part.class_names or (), names)
        strange = sorted(set(own) - set(names))
        if strange:
            raise damaged(
                part.path,
                f"the classes of {parts[0].path}",
                f"the further class{_called(strange)}",
                "leave such rows out, or add some to the training rows",
            )
        codes.append(np.array([names.index(name) for name in own], dtype=np.int64)[part.y])
    n = sum(len(part.X) for part in parts)
    note = (
        f"{parts[0].path.name}: {parts[0].label_name} holds {len(names):,} different words in {n:,} rows, taken as "
        "classes; target=NAME names another column"
    )
    many = parts[0].columns is not None and 2 * len(names) > n
    return codes, names, (*((note,) if many else ()), *_unseen(codes, names))


def _whole(y: Array) -> bool:
    return y.dtype.kind != "f" or bool((y == np.floor(y)).all())


def _code_type(y: Array) -> type[np.generic]:
    return np.uint64 if y.dtype.kind == "u" else np.int64


def _recode(y: NDArray[np.generic], lookup: dict[int, int]) -> NDArray[np.int64]:
    present, inverse = np.unique(y, return_inverse=True)
    return np.array([lookup[int(value)] for value in present], dtype=np.int64)[inverse]


def _unseen(codes: list[Array], classes: tuple[str, ...]) -> tuple[str, ...]:
    unseen = sorted(set(np.unique(codes[-1]).tolist()) - set(np.unique(codes[0]).tolist()))
    called = _called([classes[code] for code in unseen])
    return (f"test rows hold the class{called}, which no training row has",) if unseen else ()


def _called(names: Sequence[str]) -> str:
    """How a class is called, or several, behind that word."""
    return f" {names[0]!r}" if len(names) == 1 else f"es {listed(names)}"
