"""Folders for results: whether a run there is to be resumed, and one that appears whole or not at all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from kernelfit.errors import InputError
from kernelfit.experiments.run_dir import not_writable, unfinished
from kernelfit.storage import atomic
from kernelfit.storage.folders import require_writable


def offer_to_resume(run_dir: Path | None) -> bool:
    """Whether an unfinished run in this folder is to be continued; asked where somebody is there to answer."""
    state = None if run_dir is None else unfinished(run_dir)
    if state is None or not is_terminal():
        return False
    return click.confirm(f"{run_dir} holds {state}. Continue it?", err=True)


@contextmanager
def staged(target: Path | None, argument: str = "--out") -> Iterator[Path | None]:
    """A temporary folder beside `target` that takes its name when the block ends without an error.

    It is made before the block runs, so that a place that cannot be written is found before any work; with None
    nothing is made. Raises `InputError` where `target` holds something already or cannot be made; it names `argument`.
    """
    if target is None:
        yield None
        return
    target = target.absolute()
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InputError(f"{argument}: {target} exists and is not an empty folder; name a new one")
        target.parent.mkdir(parents=True, exist_ok=True)
        # Moving a folder onto an empty one needs the right to change both.
        require_writable(target if target.exists() else target.parent)
    except InputError:
        raise
    except OSError as error:
        raise not_writable(argument, target, error) from None
    with atomic.replacing_folder(target) as temporary:
        yield temporary


def is_terminal() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()
