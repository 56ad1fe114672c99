"""A result folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kernelfit.errors import InputError

SOLUTION = "solution.h5"
RESULT = "result.json"


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


def _require_writable(folder: Path) -> None:
    handle, name = tempfile.mkstemp(dir=folder)
    os.close(handle)
    os.unlink(name)
