"""The folder that a run is stored in: whether it may be used, found out before any work."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from kernelfit.errors import InputError
from kernelfit.runs import folder as run_folder
from kernelfit.runs.folder import GRAM, RUN, make_folder
from kernelfit.storage import atomic


def unfinished(run_dir: Path) -> str | None:
    """What an unfinished run in this folder has so far, in words; None where there is none."""
    if not (run_dir / RUN).is_file() or run_folder.is_finished(run_dir):
        return None
    return run_folder.state(run_dir)


def claim(run_dir: Path, *, resume: bool = False, streams: bool = False) -> Path:
    """The absolute path of a folder that a new run may be stored in, or with `resume` an unfinished one continued.

    Sums of `streams` features that a killed run left are continued without being asked to. Raises `InputError` where
    the folder holds something else or cannot be written.
    """
    run_dir = run_dir.absolute()
    try:
        if (run_dir / RUN).is_file():
            state = run_folder.state(run_dir)
            if run_folder.is_finished(run_dir):
                raise InputError(f"run_dir: {run_dir} holds {state}; name a new folder")
            if not resume:
                raise InputError(
                    f"run_dir: {run_dir} holds {state}; continue it with kernelfit resume {run_dir}, or name a new "
                    "folder"
                )
        elif run_dir.exists() and not (run_dir.is_dir() and run_folder.is_vacant(run_dir)):
            raise InputError(f"run_dir: {run_dir} exists and is not an empty folder; name a new one")
        else:
            require_writable(run_dir)
    except InputError:
        raise
    except OSError as error:
        raise not_writable("run_dir", run_dir, error) from None
    if (run_dir / GRAM).exists() and not streams:
        raise InputError(f"run_dir: {run_dir} holds {GRAM} of features that stream; name a new folder")
    return run_dir


def take_sums(sums: Path, run_dir: Path) -> Path:
    """Sums of features as the run's own file, which is returned: a link, or a copy where there can be none.

    Neither file is ever changed in place. Raises `InputError` where there are no such sums, or the run has its own.
    """
    own = run_dir / GRAM
    if own.exists():
        raise InputError(f"checkpoint: got {sums}, but {run_dir} has sums of its own; leave it out")
    if not sums.is_file():
        raise InputError(
            f"checkpoint: got {sums}, which is not there, expected sums that are complete; a run stores its own in "
            f"{own}, leave it out"
        )
    make_folder(run_dir)
    try:
        os.link(sums, own)
    except OSError:
        with atomic.replacing(own) as draft, sums.open("rb") as file:
            shutil.copyfileobj(file, draft)
    return own


def require_writable(target: Path) -> None:
    """Make and remove a folder in the nearest parent of `target` that exists. Raises `OSError`."""
    parent = target
    while not parent.exists():
        parent = parent.parent
    os.rmdir(tempfile.mkdtemp(dir=parent, prefix=".kernelfit-"))


def not_writable(argument: str, target: Path, error: OSError) -> InputError:
    """The error for a folder that cannot be made or written."""
    reason = error.strerror or error
    return InputError(
        f"{argument}: {target} cannot be written ({reason}); name a folder that you may write to"
    )
