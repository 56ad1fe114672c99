"""The errors that kernelfit raises on purpose.

Every message is one line: the argument, what came, what was expected, the remedy. The command line prints that
line on standard error and exits with `exit_code`.
"""

from __future__ import annotations

from typing import Any

# Characters of a value in a message.
_SHOWN = 60


def shown(value: Any) -> str:
    """A value in one short line."""
    written = " ".join(repr(value).split())
    return written if len(written) <= _SHOWN else f"{written[:_SHOWN]}..."


class KernelfitError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 2


class InputError(KernelfitError, ValueError):
    """An argument has the wrong type, shape, range or content."""


class DataError(KernelfitError, ValueError):
    """A data file is missing, truncated, corrupt, or of another layout than it claims."""


class DuplicateRowsError(InputError):
    """Equal rows carry different targets, so no function interpolates them.

    `groups` holds the global row indices, one tuple for each set of equal rows with conflicting targets.
    """

    def __init__(self, message: str, groups: tuple[tuple[int, ...], ...] = ()) -> None:
        super().__init__(message)
        self.groups = groups


class NotPositiveDefiniteError(KernelfitError, ArithmeticError):
    """A pivot of the Cholesky factorisation is not positive.

    `row` is the global row of the pivot, `pivot` its value before the square root, `neighbour` the nearest
    other training row, `mean_diagonal` that of |K|, in units of which a ridge is best given.
    """

    def __init__(
        self,
        message: str,
        row: int = -1,
        pivot: float = float("nan"),
        neighbour: int = -1,
        mean_diagonal: float = 1.0,
    ) -> None:
        super().__init__(message)
        self.mean_diagonal = mean_diagonal
        self.row = row
        self.pivot = pivot
        self.neighbour = neighbour


class RefinementError(KernelfitError, ArithmeticError):
    """A solution did not reach the backward error that its precision promises."""


class PlanError(KernelfitError):
    """No tier can hold the problem within the memory and disk that were given."""


class StorageError(KernelfitError, OSError):
    """Panels or a solution could not be written, read or verified."""


class DeviceError(KernelfitError, RuntimeError):
    """The device that was asked for is missing, lost or out of memory."""


class DeviceFullError(DeviceError):
    """The device has less memory than the work takes."""


class ClusterError(KernelfitError, RuntimeError):
    """The cluster that was asked for cannot be reached, does not fit the work, or was lost."""


class Interrupted(KernelfitError):
    """The run was asked to stop; what it finished is kept. The exit code is 128 plus the number of the signal."""

    exit_code = 130

    def __init__(self, message: str = "interrupted", exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code
