"""Which arrays of an NPZ or HDF5 file are rows and which are labels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .faults import damaged

_PAIRS = (("x", "y"),)
_SPLIT_PAIRS = (("x_train", "y_train"), ("x_test", "y_test"))


def paired_keys(path: Path, keys: Iterable[str], unlabelled: bool = False) -> list[tuple[str, str | None]]:
    """The (X, y) keys of the training part and, where present, of the test part; upper and lower case are
    alike.

    Accepts X and y, or X_train and y_train with or without X_test and y_test; `unlabelled` also X alone. Raises
    DataError otherwise.
    """
    present: dict[str, str] = {}
    for key in keys:
        if key.lower() in present:
            raise damaged(path, "each array once", f"both {present[key.lower()]!r} and {key!r}")
        present[key.lower()] = key
    for pairs in (_SPLIT_PAIRS, _PAIRS):
        complete = [(present[x], present[y]) for x, y in pairs if x in present and y in present]
        lonely = [
            name for pair in pairs for name in pair if name in present and not set(pair) <= set(present)
        ]
        if complete and complete[0][0].lower() == pairs[0][0] and not lonely:
            return [*complete]
    if unlabelled and "x" in present and "y" not in present:
        return [(present["x"], None)]
    found = ", ".join(sorted(repr(key[:40]) for key in present.values())[:8]) or "no array"
    raise damaged(path, "the arrays X and y, or X_train, y_train, X_test and y_test", found)
