"""Checkpoints that survive a kill at any moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from kernelfit.errors import DataError
from kernelfit.storage import atomic

FORMAT = 1


def save(state: dict[str, Any], path: Path) -> None:
    """Write `state` (tensors, numbers, strings, lists, dicts) so that `path` holds the old or the new state always."""
    with atomic.replacing(path) as draft:
        torch.save({"format": FORMAT, **state}, draft)


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
