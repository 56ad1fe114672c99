"""From a name or a path to a Dataset."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kernelfit.arguments import at_home, integer, path_of
from kernelfit.errors import InputError
from kernelfit.progress import Progress, ProgressLike, as_progress
from kernelfit.typing import Missing, TaskName

from .dataset import Dataset
from .download import fetch
from .file_options import FileOptions
from .locate import locate, locate_in
from .own import holds_idx, read_own
from .registry import REGISTRY
from .spec import Spec
from .table import stem_of

# A drive of Windows has one letter.
_URL = re.compile(r"\w{2,}:/")


def load(
    name: str | Path,
    *,
    n_train: int | None = None,
    n_test: int | None = None,
    data_dir: Path | None = None,
    train: Path | None = None,
    test: Path | None = None,
    target: str | int | None = None,
    drop: str | Sequence[str | int] | None = None,
    task: TaskName | None = None,
    keys: Mapping[str, str] | None = None,
    missing: Missing = "refuse",
    seed: int = 0,
    progress: ProgressLike = None,
) -> Dataset:
    """Load a data set by name, or the user's own from a path.

    Parameters
    ----------
    name : one of `REGISTRY` (digits, mnist, cifar10, ...); or the path of an NPZ, HDF5 or CSV file, of a folder of
        images, of a folder with four IDX files, or of one that holds one of `REGISTRY` as its authors or torchvision
        lay it out. With `train` given, only a name for the result.
    n_train, n_test : take the first rows of each part; None takes all. With n_test = 0 there are no test rows, and none
        of the user's own are held out. Folders of images stand sorted by class: theirs are drawn by the seed.
    data_dir : a folder to look in first; then come $KERNELFIT_DATA and the cache folder. What is found
        nowhere is
        downloaded to `data_dir`, or to the cache folder.
    train, test : the user's own files. Without a test part, 20 % of the rows are held out.
    target, drop : of a table, the column of the labels and columns to leave out, by name or index; by default the
        label is the column called label, target, y, class, labels, targets, classes, outcome or response, else the
        last.
    task : "classification" or "regression"; by default text labels and integers that look like codes are classes
        (`kernelfit.datasets.labels.are_classes`). A guess is a note.
    keys : of NPZ and HDF5 files, the arrays, {"X": NAME, "y": NAME} or X_train, y_train, X_test, y_test; by default
        found by their names or shapes.
    missing : of tables, what is done with rows in which a number or the label is missing: "refuse", or "rows", which
        leaves them out with a note.
    seed : chooses the rows held out.
    progress : receives the notes of the data set and the state of downloads.

    Raises
    ------
    InputError : an unknown name, a path that is no data set, or more rows than there are.
    DataError : a file that is missing, truncated, corrupt, of another shape, or mislabelled.
    """
    name = name if isinstance(name, str) else str(path_of("name", name))
    progress = as_progress(progress)
    options = FileOptions.of(target, drop, task, keys, missing)
    seed = integer("seed", seed, 0)
    n_train = None if n_train is None else integer("n_train", n_train, 0)
    n_test = None if n_test is None else integer("n_test", n_test, 0)
    data_dir = None if data_dir is None else path_of("data_dir", data_dir)
    train = None if train is None else path_of("train", train)
    test = None if test is None else path_of("test", test)
    if train is not None:
        title = stem_of(Path(train)) if name in REGISTRY else name
        dataset = _load_own("train", title, _existing("train", train), test, options, seed, n_test)
    elif name in REGISTRY:
        refuse_for_known(name, test, options)
        dataset = _load_known(REGISTRY[name], data_dir, progress)
    else:
        path = _own_path(name)
        dataset = _load_own("dataset", stem_of(path), path, test, options, seed, n_test)
    dataset = _first_rows(dataset, n_train, n_test)
    for note in dataset.notes:
        progress.note(note)
    return dataset


def refuse_for_known(name: str, test: Path | None, options: FileOptions) -> None:
    """Raise `InputError` for what is said of files beside the name of a data set that is known."""
    if test is not None:
        raise InputError(f"test: got {test} without train, expected none, as {name} has test rows of its own")
    options.require_known(name)


def _load_known(spec: Spec, data_dir: Path | None, progress: Progress) -> Dataset:
    if not spec.layouts:
        return spec.read(None)[0]
    located = locate(spec, data_dir)
    notes: tuple[str, ...] = ()
    if located is None:
        folder = fetch(spec, data_dir, progress)
        located = locate(spec, data_dir)
        assert located is not None, "fetch returns only when every file is in place"
        notes = (f"{spec.name} was downloaded to {folder}",)
    dataset, _ = spec.read(located)
    return dataclasses.replace(dataset, notes=(*notes, *dataset.notes)) if notes else dataset


def _load_own(
    argument: str,
    title: str,
    path: Path,
    test: Path | None,
    options: FileOptions,
    seed: int,
    n_test: int | None,
) -> Dataset:
    """The user's own files; a folder may hold a data set known by name, as torchvision's root does."""
    own_test = _existing("test", test) if test else None
    if path.is_dir() and own_test is None and not holds_idx(path):
        located = {spec.name: locate_in(path, spec) for spec in REGISTRY.values() if spec.layouts}
        names = [name for name, files in located.items() if files is not None]
        if len(names) > 1:
            raise InputError(
                f"{argument}: got {path}, which holds {', '.join(names)}, expected one data set; give the name of one "
                f"with data_dir={str(path)!r}"
            )
        if names:
            options.require_known(names[0])
            known, _ = REGISTRY[names[0]].read(located[names[0]])
            return dataclasses.replace(known, notes=(f"{path} holds {names[0]}", *known.notes))
    return read_own(title, path, own_test, seed, n_test=n_test, options=options)


def _existing(argument: str, path: Path) -> Path:
    path = at_home(path)
    if _URL.match(str(path)):
        raise InputError(f"{argument}: got {path}, expected a file or folder on this machine; fetch it first")
    if not path.exists():
        raise InputError(
            f"{argument}: got {path}, expected a file or folder that exists; give the path of a data set"
        )
    return path


def _own_path(name: str) -> Path:
    path = path_of("dataset", at_home(name))
    if path.exists():
        return path
    close = difflib.get_close_matches(name, REGISTRY, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "check the spelling"
    raise InputError(
        f"dataset: got {name!r}, expected one of {', '.join(REGISTRY)} or a path that exists; {hint}"
    )


def _first_rows(dataset: Dataset, n_train: int | None, n_test: int | None) -> Dataset:
    """The first rows of each part, copied so that the rest can be freed."""
    changes: dict[str, Any] = {}
    for part, wanted, available in (("train", n_train, dataset.n_train), ("test", n_test, dataset.n_test)):
        if wanted is None or wanted == available:
            continue
        least = 1 if part == "train" else 0
        if not isinstance(wanted, int) or not least <= wanted <= available:
            rows = f"{least} to {available}, the {part} rows of {dataset.name}"
            remedy = ""
            if part == "train" and dataset.held_out and available < wanted:
                remedy = f"; {dataset.n_test} are held out to test, n_test=0 takes them, too"
            raise InputError(f"n_{part}: got {wanted}, expected {rows}{remedy}")
        for field in (f"X_{part}", f"y_{part}"):
            changes[field] = getattr(dataset, field)[:wanted].copy()
        origin = "origin" if part == "train" else "test_origin"
        if (named := getattr(dataset, origin)) is not None:
            changes[origin] = named[:wanted]
    if "y_train" in changes and dataset.classes is not None:
        there = len(np.unique(changes["y_train"]))
        before = len(np.unique(dataset.y_train))
        if there < before:
            note = f"the first {n_train:,} training rows hold {there} of {before} classes: the others are not predicted"
            changes["notes"] = (*dataset.notes, note)
    return dataclasses.replace(dataset, **changes) if changes else dataset
