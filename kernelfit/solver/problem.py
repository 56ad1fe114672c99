"""A solve with every choice made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.gram.points import Points
from kernelfit.gram.protocol import GramSource
from kernelfit.kernels.base import Kernel
from kernelfit.typing import Float


@dataclass(frozen=True)
class Problem:
    """(K + ridge I) alpha = Y with the kernel's parameters known and equal rows left out.

    Attributes
    ----------
    source : K (n, n)
    points : the n rows, or None for a precomputed Gram
    kernel : k, or None for a precomputed Gram
    targets : (n, c) Y
    ridge, jitter, precision : as given to `kernelfit.solve`
    kept : (n,) indices of the rows of X that were kept, out of `rows_given`
    duplicates : groups of equal rows of X, of which the first was kept
    input_scale : the factor that was given for X
    single_target : whether Y was given as (n,)
    condition : whether the condition number is to be estimated
    remembered : JSON that a kept run carries for whoever goes on with it
    """

    source: GramSource
    points: Points | None
    kernel: Kernel | None
    targets: Float
    ridge: float
    jitter: float
    precision: str
    kept: NDArray[np.int64]
    rows_given: int
    duplicates: tuple[tuple[int, ...], ...] = ()
    input_scale: float | None = None
    single_target: bool = False
    condition: bool = True
    remembered: dict[str, Any] = field(default_factory=dict)
