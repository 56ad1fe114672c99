"""Checkpoints that survive a kill at any moment."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from kernelfit.errors import DataError
from kernelfit.storage import atomic
from kernelfit.storage.regular import open_regular

FORMAT = 1


class CheckpointError(DataError):
    """A checkpoint is damaged, of another recipe or of another version: its runs cannot resume, others can."""


def save(state: dict[str, Any], path: Path) -> None:
    """Write `state` (tensors, numbers, strings, lists, dicts) so that `path` holds the old or the new state always."""
    with atomic.replacing(path) as draft:
        torch.save({"format": FORMAT, **state}, draft)


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint onto `device`; CheckpointError where it is not one, or is damaged."""
    descriptor = open_regular(path, os.O_RDONLY, "read")
    try:
        with os.fdopen(descriptor, "rb") as file:
            _check_sums(file)
            state: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
    except (MemoryError, torch.cuda.OutOfMemoryError):
        raise  # the file may be as it was written, and must not be deleted
    except Exception as error:  # damaged bytes have torch raise anything
        raise CheckpointError(
            f"checkpoint: {path} cannot be read ({type(error).__name__}); delete it to start over"
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"checkpoint: {path} has another format than {FORMAT}; delete it to start over")
    return state


def recipes(path: Path) -> list[dict[str, Any]]:
    """The recipes of the runs whose state a checkpoint holds, as JSON; CheckpointError as `load` raises it."""
    state = load(path, torch.device("cpu"))
    if not isinstance(state.get("recipes"), list):
        raise CheckpointError(f"checkpoint: {path} names no recipes; delete it to start over")
    return list(state["recipes"])


def _check_sums(file: BinaryIO) -> None:
    """Raise BadZipFile where a member has not its CRC-32: torch writes these sums and never reads them."""
    with zipfile.ZipFile(file) as members:
        damaged = members.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(damaged)
    file.seek(0)
