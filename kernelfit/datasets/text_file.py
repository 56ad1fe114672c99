"""The lines of a text file: unpacked, decoded, without blank lines and comments.

Compression (gzip, bzip2, xz) is told by the first bytes. The text is UTF-8, UTF-16 or UTF-32 where it starts with a
byte order mark, and else Windows-1252 or Latin-1, with a note. A line that starts with # is a comment.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from .cells import composed
from .faults import damaged

_BLOCK = 1 << 20
# A quoted cell may hold line ends, but no table has one of more lines than this: the quote was a stray one.
_LONGEST_CELL = 100
# A quote within a cell, as in 24" or O"Neill, is a letter like others.
_OPENING = re.compile(r'(?:^|[,;\t| ])"')
# Where a backslash stands before a quote of the cell, that one and the next end no cell.
_ESCAPED = re.compile(r'\\""(?=[,;\t| ]|\s*$)')
# Excel takes the delimiter from a first line such as sep=; - here it is found from the rows.
_EXCEL_DELIMITER = re.compile(r'"?sep=.?"?', re.IGNORECASE)
# What Excel writes for a value that it cannot compute is a cell, and no comment.
_EXCEL_ERROR = re.compile(
    r"#(?:N/?A|DIV/0!|REF!|VALUE!|NUM!|NULL!|NAME\?|SPILL!|CALC!)(?=[,;\t| ]|$)", re.IGNORECASE
)
# Delimiters but blanks: a line of nothing else holds no value.
_DELIMITERS = ",;\t|"
# A table of 100,000 columns has lines of some 2 MB; what is longer is no table, or a bomb.
_LONGEST_LINE = 1 << 26
# The mark of UTF-32 begins as that of UTF-16 does.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Control characters in Latin-1, and letters, quotes and the sign of the euro in Windows-1252, which has no other five.
_CONTROL = frozenset(range(0x80, 0xA0))
_UNDEFINED = frozenset((0x81, 0x8D, 0x8F, 0x90, 0x9D))
#: what files that are no text start with -> their name, and what to do
_BINARY = {
    b"PK\x03\x04": ("a zip archive or an Excel workbook", "unpack it, or save it as CSV"),
    b"\xd0\xcf\x11\xe0": ("an Excel workbook", "save it as CSV"),
    b"PAR1": ("a Parquet file", "call it .parquet"),
    b"ARROW1": ("an Arrow file", "call it .arrow"),
    b"\x89HDF": ("an HDF5 file", "call it .h5"),
    b"\x93NUMPY": ("an array of NumPy", "call it .npy"),
    b"%PDF": ("a PDF file", "save the table as CSV"),
}
#: the same for text, without its blanks and in any case
_NO_TABLES = {
    b"<!doctypehtml": ("a web page", "fetch the file itself; some sites want a login first"),
    b"<html": ("a web page", "fetch the file itself; some sites want a login first"),
    b"<?xml": ("XML", "save the table as CSV"),
    b"[[": ("JSON", "write it as CSV, with pandas.read_json(...).to_csv(...)"),
    b"[{": ("JSON", "write it as CSV, with pandas.read_json(...).to_csv(...)"),
    b'{"': ("JSON", "write it as CSV, with pandas.read_json(...).to_csv(...)"),
    b"@relation": ("an ARFF file", "write it as CSV, with scipy.io.arff.loadarff and pandas"),
}
#: suffixes of compressed text
PACKED = (".gz", ".bz2", ".xz")


@dataclass
class TextFile:
    """A text file that is read line by line; `comments` are its comment lines, of which `above` stand above its first
    line of cells, `blank` counts lines of nothing but delimiters that were left out, `empty` those without even these
    between others, once it was read to its end."""

    path: Path
    encoding: str
    notes: tuple[str, ...] = ()
    comments: list[str] = field(default_factory=list)
    above: int = 0
    blank: int = 0
    empty: int = 0

    def lines(self, blank: str = "") -> Iterator[tuple[int, str]]:
        """Every line that holds cells, with its number from 1; one whose quoted cell holds line ends is whole. With
        `blank`, the delimiter, those below the first that hold nothing but such are among them."""
        self.comments, self.above, self.blank, self.empty = [], 0, 0, 0
        started, passed = False, 0
        with _opened(self.path) as stream, io.TextIOWrapper(stream, self.encoding, newline="") as text:
            pending: list[str] = []
            for number, line in enumerate(iter(lambda: text.readline(_LONGEST_LINE), ""), start=1):
                if len(line) == _LONGEST_LINE:
                    raise damaged(self.path, f"lines below {_LONGEST_LINE} letters", f"more in line {number}")
                line = composed(line)
                if number == 1 and _EXCEL_DELIMITER.fullmatch(line.rstrip()):
                    continue
                if not pending:
                    stripped = line.strip()
                    if stripped.startswith("#") and not _EXCEL_ERROR.match(stripped):
                        self.comments.append(stripped)
                        continue
                    if not stripped.strip(_DELIMITERS + " "):
                        marked = not set(_DELIMITERS).isdisjoint(line)
                        if started and blank and blank in line:
                            yield number, line
                            continue
                        self.blank += marked
                        passed += started and not marked
                        continue
                    if not started:
                        self.above = len(self.comments)
                    self.empty += passed
                    started, passed = True, 0
                    self._refuse_escaped(number, line)
                if pending or (line.count('"') % 2 and _OPENING.search(line)):
                    pending.append(line)
                    whole = "".join(pending)
                    if whole.count('"') % 2 and len(pending) <= _LONGEST_CELL:
                        continue
                    if whole.count('"') % 2:
                        raise self._stray(number - len(pending) + 1)
                    yield number - len(pending) + 1, whole
                    pending = []
                else:
                    yield number, line
            if pending:
                raise self._stray(number - len(pending) + 1)

    def _refuse_escaped(self, number: int, line: str) -> None:
        """Raise for a quote after a backslash in a quoted cell, by which the next line would be of the same cell."""
        if '\\"' in line and _OPENING.search(line) and (line.count('"') % 2 or _ESCAPED.search(line)):
            raise damaged(
                self.path,
                'quotes in a cell doubled, ""',
                f"a backslash before one in line {number}",
                "write them so, with pandas.read_csv(..., escapechar='\\\\').to_csv(...)",
            )

    def _stray(self, line: int) -> Exception:
        return damaged(
            self.path, 'quotes " in pairs', f"one without its other in line {line}", "mend the line"
        )


def open_text(path: Path) -> TextFile:
    """Find out how the text is encoded, reading all of it once. Raises DataError for what is no text."""
    with _opened(path) as stream:
        start = stream.read(_BLOCK)
        for magic, (name, remedy) in _BINARY.items():
            if start.startswith(magic):
                raise damaged(path, "a table as text", name, remedy)
        text = b"".join(start[:256].removeprefix(codecs.BOM_UTF8).split()).lower()
        for words, (name, remedy) in _NO_TABLES.items():
            if text.startswith(words):
                raise damaged(path, "a table as text", name, remedy)
        for mark, encoding in _MARKS.items():
            if start.startswith(mark):
                return TextFile(path, encoding)
        decoder = codecs.getincrementaldecoder("utf-8-sig")()
        valid, done, block = True, 0, start
        while block:
            if b"\x00" in block:
                raise damaged(
                    path,
                    "a table as text",
                    f"a zero byte at {done + block.index(0)}",
                    "if it is UTF-16 without a byte order mark, save it as UTF-8",
                )
            if valid:
                valid = _decodes(decoder, block)
            done += len(block)
            block = stream.read(_BLOCK)
    if valid and _decodes(decoder, b"", final=True):
        return TextFile(path, "utf-8-sig")
    encoding, called = _of_single_bytes(path)
    note = f"{path.name}: is not UTF-8 and was read as {called}; where words look wrong, save it as UTF-8"
    return TextFile(path, encoding, (note,))


def _of_single_bytes(path: Path) -> tuple[str, str]:
    """Windows-1252 where the text has some letter of it that Latin-1 lacks, else Latin-1: as Python calls it, and its
    name."""
    used: set[int] = set()
    with _opened(path) as stream:
        while block := stream.read(_BLOCK):
            used.update(block)
    if used & _CONTROL and not used & _UNDEFINED:
        return "cp1252", "Windows-1252"
    return "latin-1", "Latin-1"


def _decodes(decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError:
        return False
    return True


def _opened(path: Path) -> IO[bytes]:
    stream = path.open("rb")
    start = stream.read(6)
    stream.seek(0)
    # Each closes the file below it only where it opened it: the path is handed over, not the stream.
    for magic, opener in ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open)):
        if start.startswith(magic):
            stream.close()
            return cast(IO[bytes], opener(path, "rb"))
    return stream
