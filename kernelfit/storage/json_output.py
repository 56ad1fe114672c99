"""Results as strict JSON (RFC 8259): no NaN, no Infinity, no half-written file."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from kernelfit.errors import InputError
from kernelfit.storage import atomic
from kernelfit.storage.atomic import storage_error

STDOUT = "-"


def plain(value: Any) -> Any:
    """`value` in JSON's own types: NumPy scalars and arrays, dataclasses, paths and tuples are converted.

    NaN and the infinities become None: JSON has no word for them, and a reader that meets `null` knows that
    there is no figure. Raises `InputError` for what has no plain form.
    """
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    raise InputError(
        f"result: {type(value).__name__} has no JSON form; expected numbers, strings, lists, mappings"
    )


def dumps(record: Any, encoding: str = "utf-8") -> str:
    """The JSON text of `record`, indented, ending in a newline; escaped where `encoding` lacks a character.

    UTF-8 lacks those that stand for the bytes of a file name that is not UTF-8.
    """
    values = plain(record)
    text = json.dumps(values, indent=2, allow_nan=False, ensure_ascii=False)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = json.dumps(values, indent=2, allow_nan=False, ensure_ascii=True)
    return text + "\n"


def check_target(target: str | None) -> None:
    """Raise `InputError` now, before hours of work, where `target` cannot be written later."""
    if target is None or target == STDOUT:
        return
    path = Path(target)
    if path.is_dir():
        raise InputError(f"--json: {target} is a folder; expected a file name or - for standard output")
    if not path.parent.is_dir():
        raise InputError(f"--json: the folder {path.parent} does not exist; make it first")
    missing_right = path.exists() and not os.access(path, os.W_OK)
    if missing_right or not (_is_stream(path) or os.access(path.parent, os.W_OK)):
        raise InputError(f"--json: {target} cannot be written; name a file in a folder that you may write to")


def write(record: Any, target: str | Path) -> None:
    """Write `record` to a file, whole or not at all; `-` is standard output. Pipes and devices are written to."""
    if str(target) == STDOUT:
        sys.stdout.write(dumps(record, getattr(sys.stdout, "encoding", None) or "utf-8"))
        sys.stdout.flush()
        return
    data = dumps(record).encode()
    path = Path(target)
    if not _is_stream(path):
        atomic.write_bytes(path, data)
        return
    try:
        path.write_bytes(data)
    except OSError as error:
        raise storage_error("write", path, error) from None


def _is_stream(path: Path) -> bool:
    """Whether `path` is a pipe or a device, such as /dev/null: a file in its place would be the end of it."""
    return path.exists() and not path.is_file()
