"""Folders for results: one that a run is kept in, and one that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from kernelfit.errors import InputError
from kernelfit.runs import folder as run_folder

SOLUTION = run_folder.SOLUTION
RESULT = "result.json"


def claim(target: Path | None) -> bool:
    """Find out before any work whether a run can be kept in `target`; True: an unfinished one is to be continued.

    On a terminal the user is asked whether to continue it, elsewhere told how. Raises `InputError` where `target`
    holds something else or cannot be written.
    """
    if target is None:
        return False
    target = target.absolute()
    try:
        if (target / run_folder.RUN).is_file():
            return _continue(target)
        if target.exists() and not (target.is_dir() and run_folder.is_vacant(target)):
            raise InputError(f"--out: {target} exists and is not an empty folder; name a new one")
        _require_writable(target)
    except OSError as error:
        if isinstance(error, InputError):
            raise
        reason = error.strerror or error
        raise InputError(
            f"--out: {target} cannot be written ({reason}); name a folder that you may write to"
        ) from None
    return False


@contextmanager
def staged(target: Path | None) -> Iterator[Path | None]:
    """A temporary folder beside `target` that takes its name when the block ends without an error.

    It is made before the block runs, so that a place that cannot be written is found before any work; with None
    nothing is made. Raises `InputError` where `target` holds something already or cannot be made.
    """
    if target is None:
        yield None
        return
    target = target.absolute()
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InputError(f"--out: {target} exists and is not an empty folder; name a new one")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        if target.exists():
            # Moving a folder onto an empty one needs the right to change both.
            _require_writable(target)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(
            f"--out: {target} cannot be written ({reason}); name a folder that you may write to"
        ) from None
    try:
        yield temporary
        temporary.chmod(0o755)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _continue(target: Path) -> bool:
    found = run_folder.state(target)
    if run_folder.is_finished(target):
        raise InputError(f"--out: {target} holds {found}; name a new folder")
    if is_terminal() and click.confirm(f"{target} holds {found}. Continue it?", err=True):
        return True
    raise InputError(
        f"--out: {target} holds {found}; continue it with kernelfit resume {target}, or name a new folder"
    )


def is_terminal() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _require_writable(target: Path) -> None:
    """Make and remove a folder where the run's folder will be, in the nearest place that exists."""
    place = target
    while not place.exists():
        place = place.parent
    os.rmdir(tempfile.mkdtemp(dir=place, prefix=".kernelfit-"))
