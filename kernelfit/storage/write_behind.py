"""Writing behind the arithmetic: a thread of its own writes rows, checks them, and records finished panels."""

from __future__ import annotations

import zlib
from typing import Any

from numpy.typing import NDArray

from kernelfit.cpu.fork import renew_in_children
from kernelfit.errors import StorageError
from kernelfit.storage.journal import Journal, PanelRecord
from kernelfit.storage.one_by_one import Call, OneByOne
from kernelfit.storage.panel_file import PanelFile
from kernelfit.typing import Span


class WriteBehind:
    """Writes rows of panels to `file` in the order in which they come.

    With a journal, a finished panel is recorded with a CRC-32 of each block of rows and made durable; without one
    nothing is synced, as nobody will read the file after this process. The first error is kept, nothing is written
    after it, and it is raised at the next call.
    """

    def __init__(self, file: PanelFile, journal: Journal | None = None) -> None:
        self.file, self.journal = file, journal
        self._error: BaseException | None = None
        self._forked = False
        self._checksums: list[tuple[int, int, int]] = []
        self._begin()
        renew_in_children(self)

    def renew(self) -> None:
        """A forked child writes nothing: its parent does, into the same file."""
        self._forked = True
        self._begin()

    def _begin(self) -> None:
        self._thread = OneByOne("kernelfit-write")
        self._writes: list[Call] = []
        self._synced: Call | None = None

    def write(self, j: int, rows: Span, block: NDArray[Any]) -> None:
        """Rows of panel j; `block` must stay as it is until `wait` returns."""
        if self._forked:
            raise StorageError(
                f"{self.file.path}: is written by the process that this one was forked from; solve again here"
            )
        self._writes.append(self._thread.call(self._guarded, self._write, j, rows, block))

    def finish(self, j: int, seconds: tuple[float, float]) -> None:
        """All rows of panel j have been handed over."""
        self._writes.append(self._thread.call(self._guarded, self._record, j, seconds))
        self._synced = self._thread.call(self._guarded, self._sync)

    def wait(self) -> None:
        """Return when the blocks handed over are no longer needed and finished panels are recorded."""
        while self._writes:
            self._writes.pop().result()
        self.raise_error()

    def flush(self) -> None:
        """Return when every finished panel is durable as well."""
        self.wait()
        if self._synced is not None:
            self._synced.result()
        self.raise_error()

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self._thread.close()
        self._writes.clear()
        self.file.close()

    def _guarded(self, task: Any, *arguments: Any) -> None:
        if self._error is None:
            try:
                task(*arguments)
            except BaseException as error:
                self._error = error

    def _write(self, j: int, rows: Span, block: NDArray[Any]) -> None:
        self.file.write(j, rows, block)
        if self.journal is not None:
            self._checksums.append((*rows, checksum(block)))

    def _record(self, j: int, seconds: tuple[float, float]) -> None:
        if self.journal is not None:
            self.journal.append(PanelRecord(j, tuple(sorted(self._checksums)), seconds).to_dict())
            self._checksums.clear()

    def _sync(self) -> None:
        if self.journal is not None:
            self.file.sync()
            self.journal.sync()


def checksum(block: NDArray[Any]) -> int:
    """CRC-32 of a contiguous block."""
    return zlib.crc32(memoryview(block.reshape(-1).data).cast("B"))
