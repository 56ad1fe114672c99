"""Which arrays of an NPZ or HDF5 file are rows and which are labels: by what was said, by names, by shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kernelfit.arguments import suggestion

from .faults import damaged

#: what is read: the file that `keys` is about, another one to test on, or new rows
Purpose = Literal["train", "test", "rows"]
#: name -> shape, of every array of a file
Shapes = Mapping[str, tuple[int, ...]]

_ROWS = ("x", "data", "images", "image", "features", "feature", "inputs", "input", "samples", "rows")
_LABELS = ("y", "labels", "label", "targets", "target", "classes", "class", "outputs", "output")
_PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
}
# Words of a name that say nothing.
_NOISE = ("set", "dataset", "array", "all")
# What scipy.sparse.save_npz stores.
_SPARSE = frozenset(("data", "indices", "indptr", "shape"))
# Arrays that a message lists.
_LISTED = 8


@dataclass(frozen=True)
class Pair:
    """The names of the rows and of the labels of one part; without labels y is None."""

    X: str
    y: str | None


def choose(
    path: Path, shapes: Shapes, keys: Mapping[str, str], purpose: Purpose = "train"
) -> tuple[list[Pair], tuple[str, ...]]:
    """The training part and, where there is one, the test part; and notes of what was guessed.

    `keys` names them: X and y, or X_train, y_train, X_test, y_test. Without it they are found by their names, such as X
    and y, x_train, data and target, train_images and train_labels, or train/X, upper and lower case alike; else by
    their shapes: one array of rows and one label for each of these. Where a test part or new rows are read `keys` may
    be names of another file; new rows may be without labels. Raises DataError.
    """
    unlabelled = purpose == "rows"
    if keys and (pairs := _named(path, shapes, keys, purpose)):
        return pairs, ()
    parts = _by_words(path, shapes)
    if {"train", "test", "validation"} & set(parts):
        first = parts.get("train") or parts.get("")
        chosen = [part for part in (first, parts.get("test") or parts.get("validation")) if part]
        complete = first is not None or unlabelled
    else:
        chosen = [parts[""]] if "" in parts else []
        complete = True
    if not chosen or not complete or not all(set(part) == {"X", "y"} for part in chosen):
        if unlabelled and len(chosen) == 1 and set(chosen[0]) == {"X"}:
            return [Pair(chosen[0]["X"], None)], _said(path, chosen, shapes)
        by_shape = (
            None
            if chosen and {"X", "y"} & set(chosen[0]) and len(shapes) > 2
            else _by_shape(shapes, unlabelled)
        )
        if by_shape is None:
            raise _unknown(path, shapes, unlabelled)
        labels = f", labels {by_shape.y!r}" if by_shape.y else ""
        return [by_shape], (f"{path.name}: by their shapes, the rows are {by_shape.X!r}{labels}",)
    return [Pair(part["X"], part["y"]) for part in chosen], _said(path, chosen, shapes)


def _named(path: Path, shapes: Shapes, keys: Mapping[str, str], purpose: Purpose) -> list[Pair]:
    """The arrays that `keys` names; none where another file is read, which has other names."""
    unlabelled = purpose == "rows"
    present = {role: _member(name, shapes) for role, name in keys.items()}
    if purpose != "train" and not any(present.values()):
        return []
    train, test = ("X_train", "y_train") if "X_train" in keys else ("X", "y"), ("X_test", "y_test")
    pairs = []
    for X, y in (train, test):
        if X not in keys:
            continue
        lost = [role for role in (X, y) if role in keys and present[role] is None]
        if X in lost or (lost and not unlabelled):
            if unlabelled and len(keys) > 2:  # a file of one part alone
                continue
            raise damaged(
                path,
                f"the arrays of keys, {', '.join(f'{role}={keys[role]}' for role in (X, y) if role in keys)}",
                _listed(shapes),
                suggestion(keys[lost[0]], shapes).removeprefix("; "),
            )
        if y not in keys and not unlabelled:
            raise damaged(
                path,
                f"labels beside {X}={keys[X]}",
                "none",
                f"name them, as keys={{'{X}': 'NAME', '{y}': 'NAME'}}",
            )
        name = present[X]
        assert name is not None
        pairs.append(Pair(name, present.get(y)))
    return pairs


def _member(name: str, shapes: Shapes) -> str | None:
    plain = name.strip("/")
    return next((key for key in shapes if key == name or key.strip("/") == plain), None)


def _by_words(path: Path, shapes: Shapes) -> dict[str, dict[str, str]]:
    """part (train, test, validation, or nothing) -> role (X, y) -> name. The usual X and y go before other names."""
    parts: dict[str, dict[str, tuple[int, str]]] = {}
    for name in shapes:
        words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
        part = next((_PARTS[word] for word in words if word in _PARTS), "")
        rest = [word for word in words if word not in _PARTS and word not in _NOISE]
        if len(rest) != 1:
            continue
        for role, known in (("X", _ROWS), ("y", _LABELS)):
            if rest[0] not in known:
                continue
            rank, other = known.index(rest[0]), parts.setdefault(part, {}).get(role)
            if other is not None and other[1].lower() == name.lower():
                raise damaged(path, "each array once", f"both {other[1]!r} and {name!r}")
            if other is None or rank < other[0]:
                parts[part][role] = (rank, name)
    return {part: {role: name for role, (_, name) in found.items()} for part, found in parts.items()}


def _by_shape(shapes: Shapes, unlabelled: bool) -> Pair | None:
    """The one array of rows with the one array that has a label for each of them; None where others could be meant."""
    wide = [name for name, shape in shapes.items() if len(shape) >= 2 and shape[1] > 1]
    if len(wide) != 1:
        return None
    n = shapes[wide[0]][0]
    labels = [name for name, shape in shapes.items() if name != wide[0] and shape in ((n,), (n, 1))]
    if len(labels) == 1:
        return Pair(wide[0], labels[0])
    return Pair(wide[0], None) if unlabelled and not labels else None


def _said(path: Path, chosen: Sequence[Mapping[str, str]], shapes: Shapes) -> tuple[str, ...]:
    """A note where the names are not the usual ones, and of arrays that nothing was read from."""
    notes = []
    usual = {"x", "y", "x_train", "y_train", "x_test", "y_test"}
    names = [name for part in chosen for name in part.values()]
    if not {name.lower() for name in names} <= usual:
        said = "; ".join(", ".join(f"{role} is {name!r}" for role, name in part.items()) for part in chosen)
        notes.append(f"{path.name}: {said}")
    others = [name for name in shapes if name not in names]
    if others:
        more = f" and {len(others) - _LISTED} more" if len(others) > _LISTED else ""
        notes.append(f"{path.name}: not read: {', '.join(others[:_LISTED])}{more}")
    return tuple(notes)


def _listed(shapes: Shapes) -> str:
    shown = [f"{name[:40]!r} {shape}" for name, shape in sorted(shapes.items())[:_LISTED]]
    more = f" and {len(shapes) - _LISTED} more" if len(shapes) > _LISTED else ""
    return (", ".join(shown) + more) or "no array"


def _unknown(path: Path, shapes: Shapes, unlabelled: bool) -> Exception:
    # Of rows to predict nothing is asked but their names in the file itself.
    remedy = "call the rows X" if unlabelled else "name them, as keys={'X': 'NAME', 'y': 'NAME'}"
    if set(shapes) >= _SPARSE:
        remedy = "store a sparse matrix as numpy.savez(FILE, X=matrix.toarray(), y=y)"
    return damaged(
        path,
        "the arrays X and y, or X_train, y_train, X_test and y_test",
        _listed(shapes),
        remedy,
    )
