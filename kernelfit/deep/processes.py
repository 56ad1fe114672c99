"""Which of torchrun's processes this is, from the environment variables that it sets. No torch here."""

from __future__ import annotations

import os


def processes() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def leads() -> bool:
    """Whether this process reports and writes: the first one."""
    return os.environ.get("RANK", "0") == "0"
