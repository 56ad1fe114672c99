"""Columnar tables: Parquet, and Feather or Arrow files, through pyarrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import DataError
from kernelfit.typing import Float

from .cells import LARGEST_EXACT, Cells, Faults, Kind, composed
from .faults import damaged, reading

if TYPE_CHECKING:
    import pyarrow

#: suffixes of the formats
ARROW = (".parquet", ".pq", ".feather", ".arrow")
# Types of words, by name: pyarrow has no test for views of text before its version 16.
_WORDS = ("string", "large_string", "string_view", "null")
# What each message of Arrow's format of streams begins with.
_STREAM = b"\xff\xff\xff\xff"


@dataclass(frozen=True)
class ArrowTable:
    """Columns that carry their types; `row_names` are what an index of pandas is called and holds, `of_file` which of
    the file's rows these are, where some are left out."""

    path: Path
    content: pyarrow.Table
    names: tuple[str, ...]
    named: bool = True
    notes: tuple[str, ...] = ()
    row_names: tuple[str, tuple[str, ...]] | None = None
    of_file: NDArray[np.int64] | None = None

    def read(self, numeric: Sequence[int], label: int | None = None, texts: Sequence[int] = ()) -> Cells:
        """Columns of numbers (n, k), the label, and columns as they stand."""
        numbers, faults = np.empty((self.content.num_rows, len(numeric))), {}
        for index, column in enumerate(numeric):
            numbers[:, index], faults[column] = self._column(column)
        labels = None
        if label is not None:
            labels, faults[label] = self._column(label)
        return Cells(
            numbers=numbers,
            faults=faults,
            label=labels,
            label_texts=() if label is None else self._texts(label),
            texts={column: self._texts(column) for column in texts},
            notes=self.notes,
            of_file=self.of_file,
        )

    def without(self, rows: NDArray[np.int64]) -> ArrowTable:
        """The same as if the file had not these rows, which are counted from 0."""
        left = np.delete(np.arange(self.content.num_rows), rows)
        name, texts = self.row_names or ("", ())
        named = (name, tuple(texts[row] for row in left.tolist())) if self.row_names else None
        return replace(self, content=self.content.take(left), row_names=named, of_file=left)

    def _where(self, row: int) -> str:
        return f"row {row if self.of_file is None else self.of_file[row]}"

    def _texts(self, column: int) -> tuple[str, ...]:
        return _texts_of(self.content.column(column))

    def _column(self, column: int) -> tuple[Float, Faults]:
        """Values (n,) float64, NaN where there is none."""
        import pyarrow.types as types

        faults, values = Faults(), self.content.column(column)
        kind = values.type.value_type if types.is_dictionary(values.type) else values.type
        numbers = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
        # Which are refused as what they are.
        dates = (types.is_date, types.is_time, types.is_timestamp, types.is_duration)
        if str(kind) not in _WORDS and not any(is_of(kind) for is_of in (*numbers, *dates)):
            raise damaged(
                self.path,
                f"a number in column {self.names[column]!r}",
                f"values of the type {kind}",
                "make it a column of numbers or words, or leave it out with drop",
            )
        if not any(is_of(kind) for is_of in numbers):
            for row, value in enumerate(values):
                if value.is_valid:
                    faults.add(
                        Kind.TEXT, str(value.as_py()), self._where(row), values.length() - values.null_count
                    )
                    break
            if values.null_count:
                self._missing(faults, np.array([not value.is_valid for value in values]))
            return np.full(self.content.num_rows, np.nan), faults
        plain: Any = values.cast(kind) if types.is_dictionary(values.type) else values
        missing = np.asarray(plain.is_null())
        if types.is_decimal(kind):  # of which Arrow's own cast is off in the last digit
            result = np.array([np.nan if cell is None else float(cell) for cell in plain.to_pylist()])
        else:
            result = np.asarray(plain.cast("float64", safe=False).to_numpy(), dtype=np.float64).copy()
        result[missing] = np.nan
        self._missing(faults, np.isnan(result))
        if types.is_boolean(kind):
            faults.add(Kind.BOOLEAN, "true", "row 0", len(result))
        for row in np.flatnonzero(np.isinf(result))[:1]:
            faults.add(Kind.INFINITE, str(result[row]), self._where(row), int(np.isinf(result).sum()))
        if types.is_integer(kind) or types.is_decimal(kind):
            for index in np.flatnonzero(np.abs(result) >= LARGEST_EXACT).tolist():
                value = plain[index].as_py()
                if value == int(value) != int(result[index]):
                    faults.add(Kind.ROUNDED, str(value), self._where(index))
        return result, faults

    def _missing(self, faults: Faults, missing: Any) -> None:
        for row in np.flatnonzero(missing)[:1]:
            faults.add(Kind.MISSING, "null", self._where(row), int(np.count_nonzero(missing)))


def open_arrow(path: Path) -> ArrowTable:
    """Read the file. Raises DataError for what is none, and where pyarrow is not installed."""
    with reading(path, "a table that pyarrow reads"):
        if not path.is_file():
            raise FileNotFoundError(path)
        try:
            import pyarrow.parquet
        except ImportError:
            raise DataError(
                f"{path}: {path.suffix} files are read by pyarrow, which is not installed; pip install "
                "'kernelfit[tables]', or save the table as CSV"
            ) from None
        parquet = path.suffix.lower() in (".parquet", ".pq")
        name = str(path.resolve())
        content = pyarrow.parquet.ParquetFile(name).read() if parquet else _read_arrow(name)
        if content.num_rows == 0 or content.num_columns == 0:
            raise damaged(
                path, "rows of numbers", f"{content.num_rows} rows of {content.num_columns} columns"
            )
        index = [name for name in _index_columns(content) if content.column_names.count(name) == 1]
        notes = (f"{path.name}: the index, {', '.join(index)}, is left out",) if index else ()
        row_names = (composed(index[0]), _texts_of(content.column(index[0]))) if len(index) == 1 else None
        if index:
            content = content.drop_columns(index)
        names = tuple(map(composed, content.column_names))
        return ArrowTable(path, content, names, notes=notes, row_names=row_names)


def _texts_of(values: Any) -> tuple[str, ...]:
    """The values of a column as text, nothing for what is missing."""
    return tuple("" if value is None else composed(str(value).strip()) for value in values.to_pylist())


def _read_arrow(name: str) -> pyarrow.Table:
    """A table of Feather, or of Arrow's format of files or that of streams."""
    import pyarrow.feather
    import pyarrow.ipc

    with open(name, "rb") as file:
        if file.read(len(_STREAM)) != _STREAM:
            return pyarrow.feather.read_table(name)
    with pyarrow.memory_map(name) as source, pyarrow.ipc.open_stream(source) as stream:
        return stream.read_all()


def _index_columns(content: pyarrow.Table) -> list[str]:
    """Columns that pandas wrote the index of a frame to."""
    try:
        stored = (content.schema.pandas_metadata or {}).get("index_columns", [])
    except (ValueError, AttributeError):  # of another author
        return []
    return [name for name in stored if isinstance(name, str)] if isinstance(stored, list) else []
