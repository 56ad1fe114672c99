"""The folder that a run is stored in: whether it may be used, found out before any work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kernelfit.errors import InputError
from kernelfit.experiments.specs import MACHINE
from kernelfit.runs import asked_file
from kernelfit.runs import folder as run_folder
from kernelfit.runs.folder import GRAM, RUN
from kernelfit.storage import atomic
from kernelfit.storage.folders import require_writable

# Arguments of an experiment that leave its answer as it is.
_ANYWHERE = (*MACHINE, "data_dir")
# Arguments that a message lists.
_LISTED = 4


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
    if not (run_dir / GRAM).exists():
        asked_file.remove(run_dir)  # of a start that left nothing else
    return run_dir


def require_same_experiment(run_dir: Path, remembered: Mapping[str, Any]) -> None:
    """Raise `InputError` where a folder has sums of features for a run of another experiment, not given up."""
    asked = asked_file.read(run_dir) if (run_dir / GRAM).exists() else None
    if asked is None or asked_file.is_given_up(asked):
        return
    different = difference(remembered["experiment"], asked["experiment"])
    if different:
        raise InputError(
            f"run_dir: {run_dir} holds sums of a run whose {different}; continue it with kernelfit resume {run_dir}, "
            f"or name a new folder, which may take {run_dir / GRAM} as its sums"
        )


def difference(here: Mapping[str, Any], there: Mapping[str, Any], besides: tuple[str, ...] = ()) -> str:
    """The first arguments by which the experiment of a folder is another one than that of `here`, in words; those of
    the machine do not count, nor those `besides`."""
    different = [
        f"{name} is {there.get(name)!r}, here {value!r}"
        for name, value in here.items()
        if name not in (*_ANYWHERE, *besides) and there.get(name) != value
    ]
    more = f" and {len(different) - _LISTED} more" if len(different) > _LISTED else ""
    return ", ".join(different[:_LISTED]) + more


def require_sums(sums: Path, run_dir: Path) -> None:
    """Raise `InputError` where there are no such sums for a run to take, or it has others of which nobody knows what
    they are for."""
    own = run_dir / GRAM
    if own.exists() and asked_file.read(run_dir) is None and not (sums.exists() and sums.samefile(own)):
        raise InputError(f"checkpoint: got {sums}, but {run_dir} has sums of its own; leave it out")
    if not own.exists() and not sums.is_file():
        raise InputError(
            f"checkpoint: got {sums}, which is not there, expected sums that are complete; a run stores its own in "
            f"{own}, leave it out"
        )


def take_sums(
    sums: Path | None, run_dir: Path, remembered: Mapping[str, Any], note: Callable[[str], None]
) -> None:
    """Sums of features as the run's own file, a link, or a copy where there can be none; before it, what they are for.

    Neither file is ever changed in place. Those that the run has already stay: they are of the same experiment.
    """
    own = run_dir / GRAM
    if not own.exists() or asked_file.read(run_dir) is not None:
        asked_file.write(run_dir, remembered)
    if sums is None:
        return
    if own.exists():
        if not (sums.exists() and sums.samefile(own)):
            note(f"{sums}: not read, as {own} holds sums for the same run")
        return
    try:
        os.link(sums.resolve(), own)
    except OSError:
        with atomic.replacing(own) as draft, sums.open("rb") as file:
            shutil.copyfileobj(file, draft)


def not_writable(argument: str, target: Path, error: OSError) -> InputError:
    """The error for a folder that cannot be made or written."""
    reason = error.strerror or error
    return InputError(
        f"{argument}: {target} cannot be written ({reason}); name a folder that you may write to"
    )
