"""The journal of a run: append-only lines, each with its own checksum.

    <CRC-32 of the rest, 8 hexadecimal digits> <JSON>\\n

The first line names the run and where its panels lie in the factor's file; every further line records one finished
panel or one written solution. What a crash leaves is a prefix of lines and perhaps one torn line, which is dropped.

A panel is recorded as soon as all its rows have been handed to the system, so that the death of the process loses no
finished panel; then the panel and the journal are synced, before the next record. When the power fails in between, the
last record may stand for rows that never reached the disk: its checksums tell.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernelfit.errors import DataError
from kernelfit.storage import atomic
from kernelfit.storage.atomic import storage_error
from kernelfit.storage.panel_file import require_in_place
from kernelfit.storage.regular import open_regular

FORMAT = "kernelfit journal"
VERSION = 1
# A line of a panel holds some thirty bytes for every strip of rows: a journal of this size would describe a factor
# of thousands of terabytes.
_LARGEST = 2**28


#: (first row, last row + 1, CRC-32) of blocks of rows
Checksums = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class PanelRecord:
    """Panel j is on the disk; `checksums` holds (first row, last row + 1, CRC-32) of each block of its rows."""

    j: int
    checksums: Checksums
    seconds: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        return {"panel": self.j, "checksums": self.checksums, "seconds": self.seconds}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> PanelRecord:
        return cls(
            int(record["panel"]),
            tuple((int(first), int(stop), int(crc)) for first, stop, crc in record["checksums"]),
            (float(record["seconds"][0]), float(record["seconds"][1])),
        )


@dataclass
class Contents:
    """What a journal says: its first line, its panels in order, digests of solutions, and what is wrong with it.

    `ends[i]` is the length in bytes of the journal up to and including panel i; `ends_header` that of its first
    line. `torn` says that the last line was cut short, which a crash explains; `damage` what no crash explains.
    """

    header: dict[str, Any] | None = None
    panels: list[PanelRecord] = field(default_factory=list)
    solutions: list[str] = field(default_factory=list)
    length: int = 0
    ends_header: int = 0
    ends: list[int] = field(default_factory=list)
    torn: bool = False
    damage: str | None = None


def read(path: Path) -> Contents:
    """What the journal says up to its first damaged line; an absent journal says nothing."""
    if not os.path.lexists(path):
        return Contents()
    with os.fdopen(open_regular(path, os.O_RDONLY, "read the journal"), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > _LARGEST:
            raise DataError(f"{path}: has {size:,} bytes, no journal is that long; is it another file?")
        try:
            return parse(file.read())
        except OSError as error:
            raise storage_error("read the journal", path, error) from None


def parse(data: bytes) -> Contents:
    """As `read`, of bytes."""
    contents = Contents()
    for number, line in enumerate(data.splitlines(keepends=True)):
        record = _record(line)
        last = contents.length + len(line) == len(data)
        if record is None:
            # A crash tears the last line only: it has no end, or its blocks did not all reach the disk.
            contents.torn = last
            contents.damage = None if last else f"line {number + 1} does not match its checksum"
            break
        contents.damage = _take(contents, record, number)
        if contents.damage is not None:
            break
        contents.length += len(line)
        if number == 0:
            contents.ends_header = contents.length
        elif "panel" in record:
            contents.ends.append(contents.length)
    return contents


def _take(contents: Contents, record: dict[str, Any], number: int) -> str | None:
    """Add one record; what is wrong with it, or None."""
    try:
        if number == 0:
            if record["format"] != FORMAT or int(record["version"]) > VERSION:
                return f"line 1 says {record['format']!r} version {record['version']}, expected {FORMAT!r} {VERSION}"
            contents.header = record
        elif "panel" in record:
            panel = PanelRecord.of(record)
            if panel.j != len(contents.panels):
                return f"line {number + 1} records panel {panel.j}, expected panel {len(contents.panels)}"
            contents.panels.append(panel)
        else:
            contents.solutions.append(str(record["solution"]))
    except (LookupError, TypeError, ValueError, OverflowError):
        return f"line {number + 1} is not a record"
    return None


def _record(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n") or line[8:9] != b" ":
        return None
    text = line[9:-1]
    try:
        if int(line[:8], 16) != zlib.crc32(text):
            return None
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


class Journal:
    """A journal open for appending."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = open_regular(path, os.O_WRONLY | os.O_APPEND, "open the journal")

    @classmethod
    def create(cls, path: Path, header: Mapping[str, Any]) -> Journal:
        """A new journal; it appears with its first line or not at all."""
        atomic.write_bytes(path, line({"format": FORMAT, "version": VERSION, **header}))
        return cls(path)

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record, which the death of this process does not take away again."""
        try:
            atomic.append(self._descriptor, line(record))
        except OSError as error:
            raise storage_error("write the journal", self.path, error) from None

    def sync(self) -> None:
        """Return when what was appended is on the disk, under the name it was opened by."""
        try:
            atomic.sync(self._descriptor)
        except OSError as error:
            raise storage_error("write the journal", self.path, error) from None
        require_in_place(self.path, self._descriptor)

    def truncate(self, length: int) -> None:
        """Forget what comes after `length` bytes."""
        try:
            os.ftruncate(self._descriptor, length)
            os.fsync(self._descriptor)
        except OSError as error:
            raise storage_error("shorten the journal", self.path, error) from None

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def line(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)
