"""What the user says of a file of his own: which column is the label, which are left out, and what labels mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from kernelfit.arguments import choice, mapping
from kernelfit.errors import InputError
from kernelfit.typing import Missing, TaskName

#: names that `keys` gives arrays
ROLES = ("X", "y", "X_train", "y_train", "X_test", "y_test")
_NAMED_BY_KEYS = "name its arrays with keys, as X=NAME,y=NAME"


@dataclass(frozen=True)
class FileOptions:
    """Of the user's own files.

    Attributes
    ----------
    target : of a table, the column of the labels, by name or index
    drop : of a table, columns that are left out, by name or index
    task : whether labels are classes or numbers; None guesses, with a note
    keys : of NPZ and HDF5 files, the arrays: {"X": ..., "y": ...}, or X_train, y_train, X_test, y_test
    missing : of a table, what is done with rows in which a number or the label is missing: they are refused, or left
        out, "rows"
    """

    target: str | None = None
    drop: tuple[str, ...] = ()
    task: TaskName | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    missing: Missing = "refuse"

    @classmethod
    def of(
        cls,
        target: str | int | None = None,
        drop: str | Sequence[str | int] | None = None,
        task: TaskName | None = None,
        keys: Mapping[str, str] | None = None,
        missing: Missing = "refuse",
    ) -> FileOptions:
        """The same as a user may write it. Raises `InputError`."""
        if task is not None:
            choice("task", task, get_args(TaskName))
        choice("missing", missing, get_args(Missing))
        names = (drop,) if isinstance(drop, str | int) else () if drop is None else drop
        if (
            not isinstance(target, str | int | None)
            or not isinstance(names, tuple | list)
            or any(
                isinstance(name, bool) or not isinstance(name, str | int) for name in (target or 0, *names)
            )
        ):
            raise InputError(f"target, drop: got {target!r}, {drop!r}, expected names or indices of columns")
        return cls(
            None if target is None else str(target),
            tuple(map(str, names)),
            task,
            _roles({} if keys is None else keys),
            missing,
        )

    def __bool__(self) -> bool:
        return self != FileOptions()

    def of_test(self) -> FileOptions:
        """What holds for a table of test rows, too, whose columns are those of the training rows."""
        return FileOptions(missing=self.missing)

    def _of_tables(self) -> dict[str, str | None]:
        """What is said of tables alone."""
        missing = None if self.missing == "refuse" else self.missing
        return {"target": self.target, "drop": ", ".join(self.drop), "missing": missing}

    def require_known(self, name: str) -> None:
        """Raise `InputError` where something is said of a data set that is known."""
        if self:
            raise InputError(
                f"target, drop, task, keys, missing: got some for {name}, whose rows are known; leave them out"
            )

    def require_table(self, path: Path) -> None:
        """Raise `InputError` where something is said that tables do not have."""
        if self.keys:
            raise InputError(
                f"keys: got {', '.join(self.keys)}, but {path.name} is a table, which has columns; name its label with "
                "target"
            )

    def require_arrays(self, path: Path) -> None:
        """Raise `InputError` where something is said that files of arrays do not have."""
        for name, value in self._of_tables().items():
            if value:
                remedy = "leave such rows out of its arrays" if name == "missing" else _NAMED_BY_KEYS
                raise InputError(f"{name}: got {value}, but {path.name} is no table; {remedy}")

    def require_images(self, path: Path) -> None:
        """Raise `InputError` where something is said that folders do not have."""
        for name, value in self._of_tables().items():
            if value:
                raise InputError(
                    f"{name}: got {value}, but {path.name} is a folder, whose sub-folders are the classes; leave it out"
                )
        if self.keys:
            raise InputError(f"keys: got {', '.join(self.keys)}, but {path.name} is a folder; leave keys out")


def _roles(keys: Mapping[str, str]) -> dict[str, str]:
    known = {role.lower(): role for role in ROLES}
    roles = {}
    for role, name in mapping("keys", keys).items():
        if str(role).lower() not in known or not isinstance(name, str) or not name:
            raise InputError(f"keys: got {role}={name}, expected X=NAME,y=NAME, or of {', '.join(ROLES)}")
        roles[known[role.lower()]] = name
    for part in ("", "_train", "_test"):
        if f"y{part}" in roles and f"X{part}" not in roles:
            raise InputError(f"keys: got y{part}={roles[f'y{part}']} without X{part}, expected both")
    if "X" in roles and "X_train" in roles:
        raise InputError("keys: got X and X_train, expected one of them")
    if "X_test" in roles and not {"X", "X_train"} & set(roles):
        raise InputError("keys: got X_test without X_train, expected both")
    return roles
