"""One wording for every fault of a data file: the file, what was expected, what was found."""

from __future__ import annotations

import csv
import struct
import tokenize
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kernelfit.errors import DataError, InputError

# Faults that a message tells.
_LISTED = 8
# What Git LFS leaves in the place of a file that was not fetched begins so.
_POINTER = b"version https://git-lfs"


def damaged(path: Path | str, expected: str, found: str, remedy: str = "") -> DataError:
    """The error for a file that is not what it claims, always on one line."""
    message = f"{path}: expected {expected}, found {found}"
    if remedy:
        message = f"{message}; {remedy}"
    return DataError(" ".join(message.split()))


@dataclass(frozen=True)
class Fault:
    """One fault of a file: what was expected, what was found, and what to do."""

    expected: str
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"expected {self.expected}, found {self.found}" + (f"; {self.remedy}" if self.remedy else "")


def damaged_by(path: Path | str, faults: Sequence[Fault]) -> DataError:
    """The error for all of the faults: one as `damaged` has it, several numbered."""
    if len(faults) == 1:
        return damaged(path, faults[0].expected, faults[0].found, faults[0].remedy)
    shown = [f"({number}) {fault}" for number, fault in enumerate(faults[:_LISTED], start=1)]
    more = f"; and {len(faults) - _LISTED} more" if len(faults) > _LISTED else ""
    return DataError(" ".join(f"{path}: {len(faults)} faults: {'; '.join(shown)}{more}".split()))


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
