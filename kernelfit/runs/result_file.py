"""result.json: what a run reported, beside its solution. Plain JSON, with a checksum of itself and of the alpha that it
belongs to: class names that were changed, or are those of another run, would turn right scores into wrong answers."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kernelfit.errors import DataError
from kernelfit.runs.folder import RESULT, RUN
from kernelfit.storage import json_output
from kernelfit.storage.atomic import storage_error
from kernelfit.storage.hdf5 import array_digest
from kernelfit.storage.regular import open_regular
from kernelfit.typing import Float

_CHECKSUM = "checksum"
# A record has some kilobytes; that of a table of many columns some megabytes.
_LARGEST = 2**30


def write(folder: Path, record: Mapping[str, Any], alpha: Float) -> None:
    """Put the record of the solution `alpha` (n, c) into a run's folder. Raises `StorageError`."""
    plain = json_output.plain(record)
    plain.pop(_CHECKSUM, None)
    json_output.write({**plain, _CHECKSUM: _checksum(plain, alpha)}, folder / RESULT)


def read(folder: Path, alpha: Float) -> dict[str, Any]:
    """What `write` wrote for this alpha. Raises `DataError`, and `StorageError` where it is no regular file."""
    path = folder / RESULT
    with os.fdopen(open_regular(path, os.O_RDONLY, "read"), "rb") as file:
        if os.fstat(file.fileno()).st_size > _LARGEST:
            raise DataError(f"{path}: is larger than any record; {_remedy(folder)}")
        try:
            stored = json.loads(file.read().decode("utf-8"))
        except OSError as error:
            raise storage_error("read", path, error) from None
        except (ValueError, RecursionError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{path}: is not the record of a solve ({reason}); {_remedy(folder)}") from None
    if not isinstance(stored, dict):
        raise DataError(
            f"{path}: got {type(stored).__name__}, expected the record of a solve; {_remedy(folder)}"
        )
    checksum = stored.pop(_CHECKSUM, None)
    if checksum != _checksum(stored, alpha):
        raise DataError(
            f"{path}: does not match its checksum: it was changed, or belongs to another solution; {_remedy(folder)}"
        )
    return stored


def _remedy(folder: Path) -> str:
    if (folder / RUN).exists():
        return f"kernelfit resume {folder} writes it again"
    return "solve again into another folder"


def _checksum(record: Mapping[str, Any], alpha: Float) -> str:
    text = json.dumps(record, sort_keys=True)
    return hashlib.blake2b(f"{array_digest(alpha)} {text}".encode(), digest_size=16).hexdigest()
