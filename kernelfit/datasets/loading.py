"""One road from a name or a path to a Dataset."""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path

from kernelfit.errors import DataError, InputError
from kernelfit.progress import Progress

from .dataset import Array, Dataset
from .digits import load_digits
from .locate import locate
from .official import read_official
from .registry import REGISTRY


def load(
    name: str,
    *,
    n_train: int | None = None,
    n_test: int | None = None,
    data_dir: Path | None = None,
    train: Path | None = None,
    test: Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Dataset:
    """Load a data set."""
    if name == "digits":
        dataset = load_digits()
    elif name in REGISTRY:
        located = locate(REGISTRY[name], data_dir)
        if located is None:
            raise DataError(f"{name}: no files found; set $KERNELFIT_DATA or give data_dir")
        dataset = read_official(REGISTRY[name], located)
    else:
        close = difflib.get_close_matches(name, REGISTRY, n=1)
        raise InputError(f"dataset {name!r} unknown; expected one of {', '.join(REGISTRY)} {close}")
    for note in dataset.notes if progress is not None else ():
        progress.note(note)  # type: ignore[union-attr]
    return first_rows(dataset, n_train, n_test)


def first_rows(dataset: Dataset, n_train: int | None, n_test: int | None) -> Dataset:
    """The first `n_train` training rows and `n_test` test rows, copied so that the rest can be freed."""
    changes: dict[str, Array] = {}
    for part, wanted, available in (("train", n_train, dataset.n_train), ("test", n_test, dataset.n_test)):
        if wanted is None or wanted == available:
            continue
        if not 1 <= wanted <= available:
            raise InputError(
                f"n_{part} = {wanted}: {dataset.name} has {available} {part} rows; give 1 to {available}"
            )
        for field in (f"X_{part}", f"y_{part}"):
            changes[field] = getattr(dataset, field)[:wanted].copy()
    return dataclasses.replace(dataset, **changes) if changes else dataset  # type: ignore[arg-type]
