"""One wording for every fault of a data file: the file, what was expected, what was found."""

from __future__ import annotations

import csv
import struct
import tokenize
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kernelfit.errors import DataError, InputError

# What Git LFS leaves in the place of a file that was not fetched begins so.
_POINTER = b"version https://git-lfs"


def damaged(path: Path | str, expected: str, found: str, remedy: str = "") -> DataError:
    """The error for a file that is not what it claims, always on one line."""
    message = f"{path}: expected {expected}, found {found}"
    if remedy:
        message = f"{message}; {remedy}"
    return DataError(" ".join(message.split()))


#: what decoders raise on a broken file; NumPy reads the header of an array as Python text
DECODER_ERRORS = (zlib.error, struct.error, csv.Error, tokenize.TokenError, RecursionError)


@contextmanager
def reading(path: Path | str, what: str) -> Iterator[None]:
    """Turn what the decoders raise on a broken file into one `DataError` that names `path`."""
    try:
        yield
    except (DataError, InputError):
        raise
    except FileNotFoundError as error:
        raise damaged(path, what, "no such file") from error
    except EOFError as error:
        raise damaged(path, what, "a file that ends too early", "fetch it again") from error
    except MemoryError as error:
        raise damaged(path, what, "more than this machine's memory holds") from error
    except (
        *DECODER_ERRORS,
        OSError,
        ValueError,
        TypeError,
        ArithmeticError,
        LookupError,
        SyntaxError,
    ) as error:
        reason = str(error) or type(error).__name__
        raise damaged(path, what, f"a file that does not decode ({reason})") from error


def refuse_pointer(path: Path) -> None:
    """Raise DataError where Git LFS has left its pointer in the place of a file."""
    with reading(path, "a file"), path.open("rb") as stream:
        if stream.read(len(_POINTER)) == _POINTER:
            raise damaged(
                path, "the file itself", "the pointer of Git LFS to it", "fetch it with git lfs pull"
            )
