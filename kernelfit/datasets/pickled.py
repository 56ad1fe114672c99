"""The Python batches of CIFAR-10 and CIFAR-100, unpickled without giving the pickle anything to call.

A pickle is a program. Before it runs, its opcodes are read once: only those that build dictionaries, lists,
strings, numbers and NumPy arrays pass, and every length and memo index must fit the file. When it runs, the
five names that such a file may import resolve to inert records of this module, never to the real objects; the
one array is then built here, after its shape was compared with its bytes.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .faults import damaged

_ALLOWED = frozenset(
    [
        "PROTO",
        "FRAME",
        "MARK",
        "STOP",
        "POP",
        "NONE",
        "NEWTRUE",
        "NEWFALSE",
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "FLOAT",
        "BINFLOAT",
        "STRING",
        "SHORT_BINSTRING",
        "BINSTRING",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
        "UNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "EMPTY_DICT",
        "DICT",
        "SETITEM",
        "SETITEMS",
        "EMPTY_LIST",
        "LIST",
        "APPEND",
        "APPENDS",
        "EMPTY_TUPLE",
        "TUPLE",
        "TUPLE1",
        "TUPLE2",
        "TUPLE3",
        "GET",
        "BINGET",
        "LONG_BINGET",
        "PUT",
        "BINPUT",
        "LONG_BINPUT",
        "MEMOIZE",
        "GLOBAL",
        "STACK_GLOBAL",
        "REDUCE",
        "BUILD",
    ]
)
_MEMO_WRITES = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))


class _Record:
    """Stands where the pickle expects the result of a call: keeps arguments and state, does nothing."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_Record):
    """What `numpy._reconstruct` leaves; the state is (version, shape, dtype, Fortran order, bytes)."""


class _DType(_Record):
    """What `numpy.dtype(name, ...)` leaves."""


class _Encoded(_Record):
    """What `_codecs.encode(text, "latin1")` leaves: bytes as Python 2 compatible pickles spell them."""


class _ArrayType(_Record):
    """The name `numpy.ndarray`, which is only handed to `_reconstruct`."""


_NAMES: dict[tuple[str, str], type[_Record]] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _ArrayType,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _Encoded,
}


class _Unpickler(pickle.Unpickler):
    """Resolves the names of `_NAMES` and no others."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        try:
            return _NAMES[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(f"it imports {module_name}.{global_name}") from None


def read_pickled_batch(content: bytes, path: Path | str) -> dict[str, Any]:
    """The dictionary in a pickled batch: keys as text, arrays as NumPy arrays.

    Raises DataError naming `path` for anything but a dictionary of plain values and byte arrays, above all
    for a pickle that asks for any other name or opcode.
    """
    try:
        _check_opcodes(content)
        loaded = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        if not isinstance(loaded, dict):
            raise pickle.UnpicklingError(f"it holds a {type(loaded).__name__}")
        return {
            _text(key): _array(value) if isinstance(value, _Array) else value for key, value in loaded.items()
        }
    except Exception as error:  # a hostile pickle can make the decoder raise anything at all
        reason = str(error) or type(error).__name__
        raise damaged(
            path,
            "a CIFAR batch pickled from a dictionary of lists and byte arrays",
            f"a pickle where {reason}",
        ) from error


def _check_opcodes(content: bytes) -> None:
    end = 0
    for count, (opcode, argument, position) in enumerate(pickletools.genops(content)):
        place = -1 if position is None else position
        if opcode.name not in _ALLOWED:
            raise pickle.UnpicklingError(f"opcode {opcode.name} stands at byte {place}")
        # The memo is an array as long as its largest index: one forged index would ask for gigabytes.
        if opcode.name in _MEMO_WRITES and int(argument or 0) > 2 * count + 256:
            raise pickle.UnpicklingError(f"memo index {argument} stands at byte {place}")
        end = place + 1
    if end != len(content):
        raise pickle.UnpicklingError(f"{len(content) - end} bytes follow its end")


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("ascii")
    if isinstance(value, str):
        return value
    raise pickle.UnpicklingError(f"a key is a {type(value).__name__}")


def _array(record: _Array) -> NDArray[np.uint8]:
    """Build the uint8 array that the record describes."""
    _, shape, dtype, fortran_order, raw = record.state
    if not isinstance(dtype, _DType) or _text(dtype.arguments[0]) not in ("u1", "|u1", "uint8"):
        raise pickle.UnpicklingError("an array is not of unsigned bytes")
    if isinstance(raw, _Encoded):
        text, codec = raw.arguments
        if _text(codec) not in ("latin1", "latin-1"):
            raise pickle.UnpicklingError(f"an array is encoded as {codec!r}")
        raw = text.encode("latin-1")
    if not isinstance(raw, bytes) or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise pickle.UnpicklingError("an array has no bytes or no shape")
    if math.prod(shape) != len(raw):
        raise pickle.UnpicklingError(f"an array of shape {shape} has {len(raw)} bytes")
    return np.frombuffer(raw, dtype=np.uint8).reshape(shape, order="F" if fortran_order else "C")
