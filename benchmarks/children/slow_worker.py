"""`dask worker --preload`: products and triangular solves of this worker take three times as long, in CPU time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from kernelfit.cpu import blas

_TIMES = 3.0


def dask_setup(worker: Any) -> None:
    """Called by Dask when the worker starts."""
    for name in ("gemm", "solve_right_lower_transposed", "solve_left_lower"):
        setattr(blas, name, _slowed(getattr(blas, name)))


def _slowed(function: Callable[..., Any]) -> Callable[..., Any]:
    def slowed(*arguments: Any, **options: Any) -> Any:
        started = time.thread_time()
        result = function(*arguments, **options)
        ends = started + _TIMES * (time.thread_time() - started)
        spent = np.ones(2**16)
        while time.thread_time() < ends:
            np.sqrt(spent, out=spent)  # without Python's lock, as a product is
        return result

    return slowed
