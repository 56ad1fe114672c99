"""Checkpoints that survive a kill at any moment: written to a temporary name, synced, then renamed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from kernelfit.errors import DataError, StorageError

FORMAT = 1


def save(state: dict[str, Any], path: Path) -> None:
    """Write `state` (tensors, numbers, strings, lists, dicts) so that `path` is at any time old or new, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            torch.save({"format": FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(
            f"checkpoint: {path} cannot be written ({error.strerror}); free space or use another --out"
        ) from error


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint onto `device`; DataError where it is not one."""
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise DataError(
            f"checkpoint: {path} cannot be read ({type(error).__name__}); delete it to start over"
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise DataError(f"checkpoint: {path} has another format than {FORMAT}; delete it to start over")
    return state
