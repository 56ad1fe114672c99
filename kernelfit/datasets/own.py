"""The user's own data: one file or folder, or a training and a test one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import InputError
from kernelfit.typing import Array, TaskName

from . import svmlight
from .dataset import Dataset, Origin
from .faults import refuse_pointer
from .file_options import FileOptions
from .hdf5 import read_hdf5
from .idx import IDX_FILES, read_images_and_labels
from .image_folder import SUFFIXES, read_image_folder
from .keys import Purpose
from .labels import encode_labels
from .locate import present
from .npz import read_npz
from .rows import Rows
from .table import TABLES, is_table, read_table
from .table_columns import TableColumns

TEST_SHARE = 0.2

#: suffix -> reader of a file of arrays, as its keys name them, for a purpose
ARRAYS: dict[str, Callable[[Path, Mapping[str, str], Purpose], tuple[Rows, Rows | None]]] = {
    ".npz": read_npz,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".mat": read_hdf5,
}
#: what to do with files that are none of these
_IMAGE = "put images into one folder for each class, new ones into a folder, and name that"
_REMEDIES = {
    "": "call it by what it holds, such as NAME.csv",
    ".json": "write it as CSV, with pandas.read_json(...).to_csv(...)",
    ".jsonl": "write it as CSV, with pandas.read_json(..., lines=True).to_csv(...)",
    ".arff": "write it as CSV, with scipy.io.arff.loadarff and pandas",
    **dict.fromkeys((".svm", ".libsvm", ".svmlight"), svmlight.REMEDY),
    **dict.fromkeys((*SUFFIXES, ".gif", ".tif", ".tiff"), _IMAGE),
    ".npy": "it holds one array: store rows and labels together, numpy.savez('mine.npz', X=X, y=y)",
    ".xlsx": "save the sheet as CSV",
    ".xls": "save the sheet as CSV",
    ".ods": "save the sheet as CSV",
    **dict.fromkeys((".zip", ".gz", ".bz2", ".xz", ".zst", ".tar", ".tgz", ".7z", ".rar"), "unpack it"),
    ".pkl": "pickles run code when read; store arrays with numpy.savez, frames with to_csv or to_parquet",
    ".pickle": "pickles run code when read; store arrays with numpy.savez, frames with to_csv or to_parquet",
}


def read_own(
    name: str,
    train: Path,
    test: Path | None,
    seed: int,
    *,
    n_test: int | None = None,
    options: FileOptions | None = None,
) -> Dataset:
    """Read the user's data as `options` say; without a test part, hold 20 % of the rows out, chosen by `seed`, and say
    so; none with `n_test` 0. Of the test part of a folder of images, sorted by class as it is, `seed` draws `n_test`.

    Raises InputError for a path that is no data set, DataError for a file that is not what it claims.
    """
    options = options or FileOptions()
    rows, own_test = read_parts(train, "train", options)
    notes: list[str] = []
    held_out = False
    if test is not None:
        if own_test is not None:
            notes.append(f"the test part of {train.name} is left aside for {test.name}")
        own_test, further = read_parts(test, "test", options, rows.columns)
        if further is not None:
            raise InputError(
                f"test: got {test} with a training and a test part of its own, expected X and y alone"
            )
    if own_test is not None and n_test is not None and 0 < n_test < len(own_test.X) and _by_class(own_test):
        own_test = _take(
            own_test, np.sort(np.random.default_rng([seed, 1]).permutation(len(own_test.X))[:n_test])
        )
        notes.append(f"{n_test:,} test images are drawn by seed {seed}")
    if own_test is None and n_test != 0:
        rows, own_test, note = _hold_out(rows, seed)
        held_out = True
        notes.append(note)
    elif _by_class(rows):  # the first n rows would all be of one
        rows = _take(rows, np.random.default_rng(seed).permutation(len(rows.X)))
        notes.append(f"training images are in an order drawn by seed {seed}")
    tested = own_test or dataclasses.replace(_take(rows, np.arange(0)), of_file=None)
    return dataclasses.replace(
        _assemble(name, rows, tested, notes, options.task),
        held_out=held_out,
        origin=_origin(rows),
        test_origin=_origin(tested),
    )


def _origin(rows: Rows) -> Origin | None:
    """The names of images of a folder; else which rows of the file they are, where not all of these in their order."""
    return rows.of_file if rows.ids is None or not rows.path.is_dir() else rows.ids


def _by_class(rows: Rows) -> bool:
    """Whether the rows stand sorted by class, as images of a folder do."""
    return rows.path.is_dir() and rows.class_names is not None


def holds_idx(folder: Path) -> bool:
    """Whether the four IDX files of MNIST's names lie there."""
    return all(present(folder, file) is not None for file in IDX_FILES)


def read_parts(
    path: Path, argument: Purpose, options: FileOptions, like: TableColumns | None = None
) -> tuple[Rows, Rows | None]:
    """The training part, and the test part where there is one; the columns of a table are those of `like`."""
    if path.is_dir():
        if argument == "train":
            options.require_images(path)
        paths = [present(path, file) for file in IDX_FILES]
        if all(file is not None for file in paths):
            return _read_idx_folder([file for file in paths if file is not None])
        return read_image_folder(path)
    if path.is_file():
        refuse_pointer(path)
    if is_table(path):
        return read_table(path, options if argument == "train" else options.of_test(), like), None
    suffix = path.suffix.lower()
    reader = ARRAYS.get(suffix)
    if reader is None:
        sparse = path.is_file() and svmlight.is_sparse_file(path)
        remedy = svmlight.REMEDY if sparse else _REMEDIES.get(suffix)
        raise InputError(
            f"{argument}: got {path} with {f'the suffix {path.suffix}' if path.suffix else 'no suffix'}, "
            f"expected one of {', '.join((*ARRAYS, *TABLES))}, or a folder of images"
            + (f"; {remedy}" if remedy else "")
        )
    if argument == "train":
        options.require_arrays(path)
    keys, purpose = options.keys, argument
    if purpose == "test":
        keys = {role: name for role, name in keys.items() if role in ("X", "y")}
    return reader(path, keys, purpose)


def _read_idx_folder(paths: list[Path]) -> tuple[Rows, Rows]:
    parts = []
    for images_path, labels_path in (paths[:2], paths[2:]):
        images, labels, _ = read_images_and_labels(images_path, labels_path)
        shape = (images.shape[1], images.shape[2], 1)
        parts.append(
            Rows(images_path, images.reshape(len(images), -1), labels, shape, label_name=labels_path.name)
        )
    return parts[0], parts[1]


def _hold_out(rows: Rows, seed: int) -> tuple[Rows, Rows, str]:
    """The rows that are left, those held out, and a note."""
    n = len(rows.X)
    if n < 3:
        raise InputError(
            f"train: got {rows.path} with {n} row{'s' if n > 1 else ''} and no test part, expected 3 rows or more to "
            "hold some out; give test rows of their own, or none with n_test=0"
        )
    n_test = max(1, round(TEST_SHARE * n))
    order = np.random.default_rng(seed).permutation(n)
    note = (
        f"{rows.path.name} has no test part: {n_test} of {n} rows (20 %), chosen by seed {seed}, are held out"
    )
    return _take(rows, order[n_test:]), _take(rows, order[:n_test]), note


def _take(rows: Rows, index: NDArray[np.int64]) -> Rows:
    ids = None if rows.ids is None else tuple(rows.ids[row] for row in index.tolist())
    lines = None if rows.lines is None else [rows.lines[row] for row in index.tolist()]
    of_file = index if rows.of_file is None else rows.of_file[index]
    return dataclasses.replace(rows, X=rows.X[index], y=rows.y[index], ids=ids, lines=lines, of_file=of_file)


def _repeated(rows: Array, test: Array) -> int:
    """How many test rows equal some training row, to the bit."""
    if rows.dtype != test.dtype or rows.shape[1] != test.shape[1]:
        return 0
    there = {hash(row.tobytes()) for row in rows}
    return sum(hash(row.tobytes()) in there for row in test)


def _assemble(name: str, train: Rows, test: Rows, notes: list[str], task: TaskName | None) -> Dataset:
    if (train.X.dtype == np.uint8) != (test.X.dtype == np.uint8):
        raise InputError(
            f"train, test: got X of dtype {train.X.dtype} in {train.path.name} and {test.X.dtype} in "
            f"{test.path.name}, expected one of them in both, as bytes are scaled by 1/255 and other numbers are not"
        )
    if train.image_shape != test.image_shape and None not in (train.image_shape, test.image_shape):
        raise InputError(
            f"train, test: got images of shape {train.image_shape} and {test.image_shape}, expected one shape"
        )
    common = np.result_type(train.X, test.X)
    codes, classes, label_notes = encode_labels([train, test], task)
    if count := _repeated(train.X, test.X):
        label_notes += (
            f"{count:,} of {len(test.X):,} test rows equal a training row: an interpolant has seen them",
        )
    if common == np.uint8 and train.image_shape is None:
        notes.append(
            f"{train.path.name}: rows of bytes are taken as pixels and scaled by 1/255; store other numbers as int16 "
            "or floats"
        )
    return Dataset(
        name=name,
        X_train=train.X.astype(common, copy=False),
        y_train=codes[0],
        X_test=test.X.astype(common, copy=False),
        y_test=codes[1],
        classes=classes,
        image_shape=train.image_shape or test.image_shape,
        scale=1 / 255 if common == np.uint8 else 1.0,
        notes=tuple(dict.fromkeys((*notes, *train.notes, *test.notes, *label_notes))),
        table=train.columns,
        indicators=None if train.columns is None else train.columns.indicators,
    )
