"""Targets brought to unit size by powers of two: exact, so that the largest and the smallest Y keep every digit.

Squares of 1e155 overflow and those of 1e-170 vanish; in float32 1e-60 itself does. A power of two changes no digit of
a solution, which is linear in Y.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernelfit.typing import Float

Exponents = NDArray[np.int32]


def exponents(values: Float) -> Exponents:
    """e (c,) with max_i |v_ic| in [2^(e-1), 2^e) for values (n, c); 0 for a column of zeros."""
    _, powers = np.frexp(np.abs(values).max(axis=0, initial=0.0))
    return np.asarray(powers, dtype=np.int32)


def scaled(values: Float | float, powers: Exponents | int) -> Float:
    """2^p_c v_ic; beyond the largest float64 it is infinite."""
    with np.errstate(over="ignore", under="ignore"):
        result: Float = np.ldexp(values, powers)
    return result


def common_exponent(values: Float) -> int:
    """The largest of `exponents`: one power for all columns, whose sizes are compared with each other."""
    return int(exponents(values.reshape(-1, 1))[0])
