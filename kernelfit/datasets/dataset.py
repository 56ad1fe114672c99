"""A data set in memory: rows, labels, and what they mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import InputError
from kernelfit.metrics import one_hot
from kernelfit.summary import as_html
from kernelfit.typing import Array, Float

from .table_columns import TableColumns

# Class names that a summary lists.
_LISTED = 10
#: which row of a file, or which image, each row is
Origin = NDArray[np.int64] | tuple[str, ...]
_ROW_TYPES = (np.dtype(np.uint8), np.dtype(np.float32), np.dtype(np.float64))


@dataclass(frozen=True, repr=False, eq=False)
class Dataset:
    """Training and test rows with their labels; checked when it is made.

    Attributes
    ----------
    name : what the user asked for, or the stem of the user's file.
    X_train, X_test : (n_train, d), (n_test, d), uint8, float32 or float64; an image is one row in C order
        (height, width, channel).
    y_train, y_test : int64 class codes 0..c-1 of shape (n,) when `classes` is given; otherwise float64
        targets
        of shape (n,) or (n, k).
    classes : the c class names in the order of the codes; None for regression.
    image_shape : (height, width, channels) with product d; None when rows are not images.
    scale : multiply X by it to reach the working range (1/255 for bytes, 1/16 for digits, 1 otherwise).
    notes : what the user should know, one line each.
    table : of a table, what its columns are; `columns` and `target` are the names of the features and of the label.
    held_out : whether test rows were drawn from the training file, which has no test part.
    indicators : of a table with words, which columns of X (d,) are 1 where a word stands, else 0; None where all are
        numbers.
    origin : where training rows stand in another order than in their file, which row of it each is, or the names of
        images; else None.
    test_origin : the same of test rows; of those that are `held_out` the file is that of training.

    Raises
    ------
    InputError : shapes, dtypes or codes disagree, fewer than two training rows or two classes.
    """

    name: str
    X_train: Array
    y_train: Array
    X_test: Array
    y_test: Array
    classes: tuple[str, ...] | None
    image_shape: tuple[int, int, int] | None
    scale: float
    notes: tuple[str, ...] = ()
    table: TableColumns | None = None
    held_out: bool = False
    indicators: NDArray[np.bool_] | None = None
    origin: Origin | None = None
    test_origin: Origin | None = None

    def __post_init__(self) -> None:
        self._check_rows("train", self.X_train, self.y_train)
        self._check_rows("test", self.X_test, self.y_test)
        if self.X_train.shape[1] != self.X_test.shape[1]:
            raise InputError(
                f"X_test: got {self.X_test.shape[1]} columns in {self.name}, "
                f"expected {self.X_train.shape[1]} as X_train has"
            )
        if self.y_train.shape[1:] != self.y_test.shape[1:]:
            raise InputError(
                f"y_test: got shape {self.y_test.shape}, expected as many targets as y_train of {self.name} has, "
                f"{self.y_train.shape}"
            )
        if len(self.X_train) < 2:
            raise InputError(f"X_train: got {len(self.X_train)} row(s) in {self.name}, expected 2 or more")
        if self.image_shape is not None and math.prod(self.image_shape) != self.n_features:
            raise InputError(
                f"image_shape: got {self.image_shape} with {math.prod(self.image_shape)} values, expected "
                f"{self.n_features} as the rows of {self.name} have"
            )
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise InputError(f"scale: got {self.scale} in {self.name}, expected a number > 0")
        if self.classes is not None and int(self.y_train.min()) == int(self.y_train.max()):
            only = self.classes[int(self.y_train[0])]
            column, remedy = "", "take more rows"
            if self.target is not None:
                column, remedy = (
                    f"column {self.target!r} of ",
                    "take more rows, or name another label with target=NAME",
                )
            raise InputError(
                f"y_train: got {self.n_train} rows of one class ({only!r}) in {column}{self.name}, expected 2 classes "
                f"or more; {remedy}"
            )

    def _check_rows(self, part: str, X: Array, y: Array) -> None:
        if X.ndim != 2 or X.shape[1] == 0 or X.dtype not in _ROW_TYPES:
            raise InputError(
                f"X_{part}: got shape {X.shape} and dtype {X.dtype} in {self.name}, "
                "expected (n, d) of uint8, float32 or float64"
            )
        if len(y) != len(X):
            raise InputError(
                f"y_{part}: got {len(y)} labels in {self.name}, expected {len(X)}, one for each row"
            )
        if self.classes is None:
            if y.ndim not in (1, 2) or y.dtype != np.float64:
                raise InputError(
                    f"y_{part}: got shape {y.shape} and dtype {y.dtype} in {self.name}, "
                    "expected float64 of shape (n,) or (n, k) as there are no classes"
                )
            return
        if y.ndim != 1 or y.dtype != np.int64:
            raise InputError(
                f"y_{part}: got shape {y.shape} and dtype {y.dtype} in {self.name}, "
                "expected class codes, int64 of shape (n,)"
            )
        if len(y) and not (int(y.min()) >= 0 and int(y.max()) < len(self.classes)):
            raise InputError(
                f"y_{part}: got codes {y.min()} to {y.max()} in {self.name}, "
                f"expected 0 to {len(self.classes) - 1}"
            )

    def summary(self) -> str:
        """Sizes and meaning, a line for each."""
        lines = {"rows": f"{self.n_train:,} to train on, {self.n_test:,} to test"}
        shape = "" if self.image_shape is None else f", {' x '.join(map(str, self.image_shape))} images"
        lines["features"] = f"{self.n_features:,} of {self.X_train.dtype}{shape}, times {self.scale:.6g}"
        if self.classes is None:
            lines["targets"] = str(self.y_train.size // self.n_train)
        else:
            more = f", ... {self.classes[-1]}" if len(self.classes) > _LISTED else ""
            lines["classes"] = f"{len(self.classes)}: {', '.join(self.classes[:_LISTED])}{more}"
        described = [f"  {name:<16}{value}" for name, value in lines.items()]
        return "\n".join([f"Dataset {self.name}", *described, *(f"  note: {note}" for note in self.notes)])

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return as_html(self.summary())

    def to_dict(self) -> dict[str, Any]:
        """All but the arrays, in JSON's types."""
        return {
            "name": self.name,
            "n_train": self.n_train,
            "n_test": self.n_test,
            "n_features": self.n_features,
            "dtype": str(self.X_train.dtype),
            "classes": None if self.classes is None else list(self.classes),
            "image_shape": None if self.image_shape is None else list(self.image_shape),
            "scale": self.scale,
            "columns": None if self.columns is None else list(self.columns),
            "target": self.target,
            "notes": list(self.notes),
        }

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Of a table, the names of the columns of X."""
        return None if self.table is None else self.table.names

    @property
    def target(self) -> str | None:
        """Of a table, the name of the label."""
        return None if self.table is None else self.table.target

    @property
    def n_train(self) -> int:
        """Number of training rows."""
        return len(self.X_train)

    @property
    def n_test(self) -> int:
        """Number of test rows."""
        return len(self.X_test)

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return int(self.X_train.shape[1])


def training_targets(dataset: Dataset) -> Float:
    """What K alpha is to equal: one-hot classes (n, c), or the regression targets as they are."""
    if dataset.classes is None:
        return np.asarray(dataset.y_train, dtype=np.float64)
    return one_hot(np.asarray(dataset.y_train, dtype=np.int64), len(dataset.classes))
