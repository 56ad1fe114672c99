"""From labels as they stand in a file to class codes or regression targets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import InputError

from .dataset import Array
from .faults import damaged
from .rows import Rows

# float64 holds every integer up to here, so codes that came through a float are exact.
_LARGEST_EXACT = 2**53


def encode_labels(parts: list[Rows]) -> tuple[list[Array], tuple[str, ...] | None, tuple[str, ...]]:
    """Encode the labels of training and test part alike.

    Integers, and floats that are all whole, are class codes and become 0..c-1 in the order of their values
    over all parts; anything else is a regression target in float64, and so is y of shape (n, k) with k > 1.
    Returns the encoded labels, the class names (None for regression), and notes.
    """
    if any(part.class_names is not None for part in parts):
        return _encode_named(parts)
    labels = [part.y[:, 0] if part.y.ndim == 2 and part.y.shape[1] == 1 else part.y for part in parts]
    if any(y.ndim == 2 for y in labels) or not all(_whole(y) for y in labels):
        return [y.astype(np.float64) for y in labels], None, ()
    for part, y in zip(parts, labels, strict=True):
        if y.dtype.kind == "f" and np.abs(y).max(initial=0.0) > _LARGEST_EXACT:
            raise damaged(part.path, f"class codes in {part.label_name} up to 2^53", f"{np.abs(y).max():.0f}")
    integers = [y.astype(_code_type(y)) for y in labels]
    values = np.unique(np.concatenate([np.unique(y).astype(object) for y in integers]))
    lookup = {value: code for code, value in enumerate(values)}
    codes: list[Array] = [_recode(y, lookup) for y in integers]
    classes = tuple(str(value) for value in values)
    return codes, classes, _class_notes(parts[0], codes, classes)


def _encode_named(parts: list[Rows]) -> tuple[list[Array], tuple[str, ...], tuple[str, ...]]:
    names = parts[0].class_names
    if names is None or any(part.class_names is None for part in parts):
        raise InputError(
            "train, test: got one that names its classes and one that does not, expected both in one format"
        )
    codes: list[Array] = []
    for part in parts:
        own = part.class_names or ()
        strange = sorted(set(own) - set(names))
        if strange:
            raise damaged(part.path, f"the classes of {parts[0].path}", f"the further class {strange[0]!r}")
        codes.append(np.array([names.index(name) for name in own], dtype=np.int64)[part.y])
    return codes, names, ()


def _whole(y: Array) -> bool:
    return y.dtype.kind != "f" or bool((y == np.floor(y)).all())


def _code_type(y: Array) -> type[np.generic]:
    return np.uint64 if y.dtype.kind == "u" else np.int64


def _recode(y: NDArray[np.generic], lookup: dict[int, int]) -> NDArray[np.int64]:
    present, inverse = np.unique(y, return_inverse=True)
    return np.array([lookup[int(value)] for value in present], dtype=np.int64)[inverse]


def _class_notes(train: Rows, codes: list[Array], classes: tuple[str, ...]) -> tuple[str, ...]:
    notes = []
    if 2 * len(classes) > len(codes[0]):
        notes.append(
            f"{train.path.name}: {train.label_name} holds {len(classes)} different integers "
            f"in {len(codes[0])} rows, "
            "taken as class codes; add a fraction to the values if they are regression targets"
        )
    unseen = sorted(set(np.unique(codes[-1]).tolist()) - set(np.unique(codes[0]).tolist()))
    if unseen:
        notes.append(f"test rows hold the class {classes[unseen[0]]!r}, which no training row has")
    return tuple(notes)
