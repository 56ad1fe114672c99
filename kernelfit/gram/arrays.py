"""What is given as numbers, as an array of numbers and without loss, or an error that names the argument."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import date, time, timedelta
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernelfit.arguments import names_in
from kernelfit.errors import InputError
from kernelfit.typing import Float

# Integers up to this are float64 numbers.
_EXACT_FLOAT64 = 2**53
# Types all of whose numbers are float64 numbers.
_HELD = ("float64", "float32", "float16", "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32")
# Numbers that an array of objects may hold, integers first, and what pandas and Python have where one is missing.
_NUMBERS = (int, np.bool_, np.integer, float, np.floating)
_MISSING = ("NAType", "NoneType")
# Dates, times and spans of time, of NumPy, pandas and Python; NumPy's spans are integers to it.
_DATES = (np.datetime64, np.timedelta64, date, time, timedelta)


def is_sparse(values: Any) -> bool:
    """Whether they are a matrix or an array of `scipy.sparse`: none is before that is imported, which takes 20 MB."""
    issparse = getattr(sys.modules.get("scipy.sparse"), "issparse", None)
    return issparse is not None and bool(issparse(values))


def as_array(values: ArrayLike, name: str) -> NDArray[Any]:
    """`values` as an array, or an error that names the argument."""
    if type(values) is np.ndarray:  # nothing that wraps one
        return _numbers(values, name) if values.dtype == object else values
    if values is None:
        raise InputError(f"{name}: got None, expected an array")
    refuse_sparse(values, name)
    refuse_foreign(values, name)
    refuse_masked(values, name)
    is_frame = names_in(values) is not None
    if is_frame:
        refuse_dates(values, name)
        refuse_rounding(values, name)
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        if is_frame:
            refuse_words(values, name)
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{name}: cannot be made an array ({reason}), expected rows of equal length"
        ) from None
    return _numbers(array, name) if array.dtype == object else array


def as_numbers(values: ArrayLike, name: str) -> NDArray[Any]:
    """`values` as an array of integers, floats or booleans, or an error that names the argument."""
    array = as_array(values, name)
    if array.dtype.kind not in "buif":
        refuse_words(values, name)
        raise no_numbers(array, values, name)
    return array


def no_numbers(array: NDArray[Any], values: Any, name: str) -> InputError:
    """The error for `values` that as an `array` are no numbers, with the first column of objects that holds others."""
    held = _first_object(array, values)
    return InputError(f"{name}: got dtype {array.dtype}{held}, expected integers or floats; convert it first")


def refuse_objects(values: Any, name: str) -> None:
    """Raise `InputError` where a column of a frame holds objects that are no numbers, such as intervals of pandas."""
    if names_in(values) is not None:
        array = np.asarray(values, dtype=object)
        if _first_object(array, values):
            raise no_numbers(array, values, name)


def _first_object(array: NDArray[Any], values: Any) -> str:
    """The first column of objects that holds something else than numbers, by the name that a frame gives it."""
    if array.dtype != object or array.ndim != 2:
        return ""
    names = names_in(values) or range(array.shape[1])
    for index, column in enumerate(array.T):
        others = [entry for entry in column if not isinstance(entry, (int, float, np.number, np.bool_))]
        if others:
            return f", as column {names[index]!r} holds {others[0]!r:.40}"
    return ""


def refuse_sparse(values: Any, name: str) -> None:
    """Raise `InputError` for a sparse matrix, of which NumPy makes an array of one object."""
    if hasattr(values, "toarray"):
        raise InputError(f"{name}: got a sparse matrix, expected an array; use {name}.toarray()")


def refuse_masked(values: Any, name: str) -> None:
    """Raise `InputError` for a masked array, whose numbers NumPy and scikit-learn take without its mask."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise InputError(f"{name}: got masked entries, expected all to be there; drop or fill such rows")


def refuse_foreign(values: Any, name: str) -> None:
    """Raise `InputError` for a tensor of torch's that NumPy cannot see, with gradients, on a GPU, of bfloat16, and
    for a query or integers of 128 bits of polars."""
    if type(values).__name__ == "LazyFrame":
        raise InputError(f"{name}: got a LazyFrame, expected its rows in memory; use {name}.collect()")
    library = type(values).__module__.partition(".")[0]
    if library == "polars":
        _refuse_wide_integers(values, name)
    if library != "torch":
        return
    got = remedy = ""
    if values.requires_grad:
        got, remedy = "requires grad, which a solve does not pass on", f"{name}.detach()"
    elif values.device.type != "cpu":
        got, remedy = f"lies on {values.device}", f"{name}.cpu()"
    elif str(values.dtype).removeprefix("torch.") not in np.sctypeDict:
        got, remedy = f"holds {values.dtype}, which NumPy does not have", f"{name}.float()"
    if got:
        raise InputError(f"{name}: got a tensor that {got}, expected numbers in memory; use {remedy}")


def _refuse_wide_integers(values: Any, name: str) -> None:
    """Raise `InputError` for a frame or a column of polars with integers of 128 bits, which NumPy does not have."""
    names = names_in(values)
    types = [values.dtype] if names is None else values.dtypes
    wide = [place for place, held in enumerate(types) if str(held) in ("Int128", "UInt128")]
    if not wide:
        return
    where, remedy = "", f"{name}.cast(polars.Int64)"
    if names is not None:
        listed = ", ".join(repr(names[place]) for place in wide)
        where = f" in column{'s' if len(wide) > 1 else ''} {listed}"
        remedy = f"{name}.with_columns(polars.col({listed}).cast(polars.Int64))"
    raise InputError(
        f"{name}: got {types[wide[0]]}{where}, which NumPy does not have, expected numbers; use {remedy}"
    )


def refuse_words(values: Any, name: str) -> None:
    """Raise `InputError` where columns of a frame or an array hold words or dates, with what makes them numbers."""
    names = names_in(values)
    refuse_dates(values, name)
    if names is None:
        array = np.asarray(values)
        if array.ndim != 2 or array.dtype.kind not in "OUS":
            return
        columns = dict(enumerate(array.T))
    else:
        columns = {
            column: np.asarray(_cells(values, place, column), dtype=object)
            for place, column in enumerate(names)
        }
    words = {column: word for column, cells in columns.items() if (word := _word(cells)) is not None}
    if not words:
        return
    first, listed = next(iter(words.values())), ", ".join(repr(column) for column in words)
    before = f"after {name}.to_pandas(), " if _is_arrow(values) else ""
    raise InputError(
        f"{name}: got words such as {first!r:.40} in column{'s' if len(words) > 1 else ''} {listed}, expected numbers; "
        f"encode them, {before}by make_column_transformer((OneHotEncoder(handle_unknown='ignore', "
        f"sparse_output=False), [{listed}]), remainder='passthrough') of scikit-learn"
    )


def refuse_classes(y: Any) -> None:
    """Raise `InputError` where targets (n,) are words, or intervals or periods of pandas."""
    values = _series(y)
    if values.ndim != 1 or values.dtype.kind not in ("O", "U", "S"):
        return
    if (word := _word(np.asarray(values))) is not None:
        raise InputError(
            f"y: got words such as {word!r:.40}, expected numbers; KernelClassifier takes words as classes"
        )
    if (other := _pandas_object(values)) is not None:
        raise InputError(
            f"y: got {other!r:.40}, expected numbers; as classes KernelClassifier takes y.astype(str)"
        )


def refuse_unclear_labels(y: Any, name: str = "y") -> None:
    """Raise `InputError` where labels (n,) of objects lack some, or are of types that have no common order."""
    values = _series(y)
    if values.ndim != 1 or values.dtype.kind != "O":
        return
    if (other := _pandas_object(values)) is not None:
        raise InputError(
            f"{name}: got labels such as {other!r:.40}, expected numbers or text; use {name}.astype(str)"
        )
    entries = np.asarray(values, dtype=object)
    for row, entry in enumerate(entries):
        if type(entry).__name__ in _MISSING or entry != entry:
            raise InputError(
                f"{name}: got a missing label, {entry}, at row {row}, expected all to be there; drop such rows"
            )
    types = {"a number" if isinstance(entry, _NUMBERS) else type(entry).__name__ for entry in entries}
    if len(types) > 1:
        raise InputError(
            f"{name}: got labels of several types, {', '.join(sorted(types))}, expected one; give all of them as text"
        )


def _pandas_object(values: Any) -> Any:
    """The first interval or period of pandas among objects (n,), which are neither numbers nor text; None where none
    is."""
    entries = np.asarray(values)
    objects = entries if entries.dtype == object else ()
    return next((entry for entry in objects if type(entry).__name__ in ("Interval", "Period")), None)


def _series(y: Any) -> Any:
    """y as it is where its type is NumPy's or pandas'; others (polars, Arrow, lists) as what NumPy makes of them."""
    known = hasattr(y, "ndim") and hasattr(getattr(y, "dtype", None), "kind")
    return y if known else np.asarray(y)


def _is_arrow(frame: Any) -> bool:
    """Whether it is a table of Arrow's, which neither scikit-learn's transformers nor arithmetic take."""
    return type(frame).__module__.partition(".")[0] == "pyarrow"


def _cells(frame: Any, place: int, column: Any) -> Any:
    """A column of a frame; those of Arrow may have a name twice."""
    return frame.column(place) if _is_arrow(frame) else frame[column]


def refuse_dates(values: Any, name: str) -> None:
    """Raise `InputError` for dates and spans of time, in an array or in columns of a frame: NumPy, polars and
    scikit-learn make numbers of them in silence, in whatever unit each array has."""
    names = names_in(values)
    if names is None:
        if not _holds_dates(values):
            return
        where, first = "", name
    else:
        dates = [column for place, column in enumerate(names) if _holds_dates(_cells(values, place, column))]
        if not dates:
            return
        whole = f"{name}.to_pandas()" if hasattr(values, "to_pandas") else name  # whose arithmetic this is
        where = f" in column{'s' if len(dates) > 1 else ''} {', '.join(map(repr, dates))}"
        first = f"{whole}[{dates[0]!r}]"
    raise InputError(
        f"{name}: got dates{where}, expected numbers; make them such, as days since the first: "
        f"({first} - {first}.min()) / numpy.timedelta64(1, 'D')"
    )


def _holds_dates(cells: Any) -> bool:
    """Whether an array or a column has the type of dates or of spans of time, or objects that are such."""
    if getattr(getattr(cells, "dtype", None), "kind", "") in ("m", "M"):  # pandas' too, with time zones
        return True
    try:
        array = np.asarray(cells)
    except (ValueError, TypeError, OverflowError):
        return False  # is refused for what it is
    if array.dtype != object:
        return array.dtype.kind in "mM"
    return any(issubclass(each, _DATES) for each in set(map(type, array.ravel())))


def _word(cells: Any) -> str | bytes | None:
    """The first of the cells that is text and no number."""
    for cell in np.ravel(cells):
        if isinstance(cell, (str, bytes)):
            try:
                float(cell)
            except ValueError:
                return str(cell) if isinstance(cell, str) else cell
    return None


def _numbers(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Objects that are all numbers, as pandas gives for nullable columns: as integers or float64, without loss."""
    types = set(map(type, array.ravel()))
    numbers = all(issubclass(each, _NUMBERS) or each.__name__ in _MISSING for each in types)
    if not numbers or np.timedelta64 in types:
        return array
    lost = np.array([type(entry).__name__ in _MISSING for entry in array.ravel()]).reshape(array.shape)
    if lost.any():
        raise InputError(
            f"{name}: got a missing value at {_where(lost)}, expected all to be there; drop or fill such rows"
        )
    if all(issubclass(each, _NUMBERS[:3]) for each in types):
        with suppress(OverflowError):
            return array.astype(np.int64)
    try:
        floats: Float = array.astype(np.float64)
    except OverflowError:
        raise InputError(f"{name}: got an integer beyond the range of float64; rescale first") from None
    lost = np.asarray(floats.astype(object) != array, dtype=bool) & (floats == floats)
    if lost.any():
        raise InputError(
            f"{name}: float64 does not hold the number at {_where(lost)}; subtract or round first"
        )
    return floats


def _where(marked: NDArray[np.bool_]) -> str:
    """The first place that is marked, in words."""
    names = ("row", "column") if marked.ndim <= 2 else ("index",) * marked.ndim
    return ", ".join(f"{name} {index}" for name, index in zip(names, np.argwhere(marked)[0], strict=False))


def exact_floats(array: NDArray[Any], name: str) -> NDArray[Any]:
    """float64 for integers and long doubles that it holds, others are refused; other floats as they are."""
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        return _without_loss(array, name)
    if array.dtype.kind not in "bui":
        return array
    for start in range(0, len(array), 1024):
        block = array[start : start + 1024]
        if block.size and max(abs(int(block.max())), abs(int(block.min()))) > _EXACT_FLOAT64:
            raise InputError(
                f"{name}: got integers beyond 2^53, expected such as float64 holds; use astype(float)"
            )
    return array.astype(np.float64)


def _without_loss(array: NDArray[Any], name: str) -> Float:
    """float64 for long doubles that have no more digits, and no other range; NaN and infinities stay what they are."""
    with np.errstate(over="ignore", under="ignore"):
        floats: Float = array.astype(np.float64)
    if ((floats != array) & (array == array)).any():
        raise InputError(
            f"{name}: got {array.dtype} with digits that float64 does not hold; use astype(float) to round them"
        )
    return floats


def refuse_large_integers(values: NDArray[Any], name: str) -> None:
    """Raise `InputError` where float64 does not hold integers of 64 bits (n, d), as it does multiples of 2^k."""
    for start in range(0, len(values), 4096):
        block = values[start : start + 4096]
        floats = block.astype(np.float64)
        # The cast back must not overflow.
        lost = floats >= float(np.iinfo(values.dtype).max)
        lost |= np.where(lost, 0.0, floats).astype(values.dtype) != np.where(lost, 0, block)
        if lost.any():
            row, column = (int(index) for index in np.argwhere(lost)[0])
            raise InputError(
                f"{name}: got the integer {block[row, column]} at row {start + row}, column {column}, expected "
                "integers that float64 holds, such as those up to 2^53; subtract an integer from the column first, "
                f"as in {name} - {name}.min(axis=0)"
            )


def refuse_rounding(values: Any, name: str) -> None:
    """Raise `InputError` where float64 would round integers or long doubles of an array, a frame or sparse rows.

    For what others make float64 in silence: scikit-learn, and NumPy of a frame with columns of several types.
    """
    if (names := names_in(values)) is not None:
        types = [""] * len(names) if _is_arrow(values) else getattr(values, "dtypes", names)
        for place, (column, held) in enumerate(zip(names, types, strict=True)):
            if str(held) not in _HELD:
                refuse_rounding(np.asarray(_cells(values, place, column)), f"{name}[{column!r}]")
        return
    if is_sparse(values):
        if str(values.dtype) not in _HELD:
            refuse_rounding(values.tocoo().data, f"{name}.data")
        return
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError):
        return  # is refused for what it is
    if array.dtype == object:
        array = _large_integers(array)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        _without_loss(array, name)
    elif array.dtype.kind in "iu" and array.dtype.itemsize == 8 and array.ndim and array.size:
        refuse_large_integers(array.reshape(len(array), -1), name)


def _large_integers(objects: NDArray[Any]) -> NDArray[Any]:
    """Those beyond 2^53 among objects, 0 for all others."""
    large = [
        int(entry) if isinstance(entry, (int, np.integer)) and _EXACT_FLOAT64 < abs(int(entry)) < 2**63 else 0
        for entry in objects.ravel()
    ]
    return np.array(large, np.int64).reshape(objects.shape)


def refuse_non_finite(values: NDArray[Any], name: str) -> None:
    for start in range(0, values.shape[0], 4096):
        bad = ~np.isfinite(values[start : start + 4096])
        if bad.any():
            row, column = (int(index) for index in np.argwhere(bad)[0])
            raise InputError(
                f"{name}: got {values[start + row, column]} at row {start + row}, column {column}, "
                "expected finite numbers; drop or fill such rows"
            )
