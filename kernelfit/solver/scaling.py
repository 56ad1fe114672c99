"""Targets brought to unit size by powers of two: exact, so that the largest and the smallest Y keep every digit.

Squares of 1e155 overflow and those of 1e-170 vanish; in float32 1e-60 itself does. A power of two changes no digit of
a solution, which is linear in Y.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.jit import njit
from kernelfit.typing import Float

Exponents = NDArray[np.int32]
# 2^p is a number of full precision up to here.
_IN_RANGE = 1_000


def exponents(values: Float) -> Exponents:
    """e (c,) with max_i |v_ic| in [2^(e-1), 2^e) for values (n, c); 0 for a column of zeros."""
    powers = np.zeros(values.shape[1], np.int32)
    _exponents(np.ascontiguousarray(values), powers)
    return powers


def unit_sized(values: Float) -> tuple[Float, Exponents]:
    """2^-e_c v_ic and the `exponents` e (c,), for values (n, c)."""
    unit, powers = np.empty(values.shape), np.zeros(values.shape[1], np.int32)
    _unit_sized(np.ascontiguousarray(values), powers, unit)
    return unit, powers


def scaled(values: Float | float, powers: Exponents | int) -> Float:
    """2^p_c v_ic; beyond the largest float64 it is infinite."""
    if (
        isinstance(values, np.ndarray)
        and values.ndim == 2
        and values.shape[1:] == getattr(powers, "shape", None)
    ):
        made = np.empty(values.shape)
        _scale(np.ascontiguousarray(values), powers, made)
        return made
    with np.errstate(over="ignore", under="ignore"):
        result: Float = np.ldexp(values, powers)
    return result


def both_scaled(first: Float, second: Float, powers: Exponents) -> tuple[Float, Float]:
    """`scaled` of two arrays (n, c)."""
    made = np.empty(first.shape), np.empty(second.shape)
    _both_scaled(np.ascontiguousarray(first), np.ascontiguousarray(second), powers, *made)
    return made


@njit(cache=True, nogil=True, error_model="numpy")
def _both_scaled(first: Any, second: Any, powers: Any, made: Any, also: Any) -> None:
    _scale(first, powers, made)
    _scale(second, powers, also)


@njit(cache=True, nogil=True, error_model="numpy")
def _exponents(values: Any, powers: Any) -> None:
    for c in range(values.shape[1]):
        largest = 0.0
        for i in range(values.shape[0]):
            size = abs(values[i, c])
            largest = size if size > largest or size != size else largest
        powers[c] = math.frexp(largest)[1] if largest < np.inf else 0


@njit(cache=True, nogil=True, error_model="numpy")
def _unit_sized(values: Any, powers: Any, unit: Any) -> None:
    _exponents(values, powers)
    _scale(values, -powers, unit)


@njit(cache=True, nogil=True, error_model="numpy")
def _scale(values: Any, powers: Any, made: Any) -> None:
    factors = np.empty(len(powers))
    for c in range(len(powers)):
        factors[c] = math.ldexp(1.0, powers[c])
    for i in range(values.shape[0]):
        for c in range(values.shape[1]):
            made[i, c] = values[i, c] * factors[c]
    for c in range(len(powers)):
        if abs(powers[c]) > _IN_RANGE:
            for i in range(values.shape[0]):
                made[i, c] = times_power(values[i, c], factors[c], powers[c])


@njit(cache=True, nogil=True, error_model="numpy")
def times_power(value: float, factor: float, power: int) -> float:
    """2^power times a value; `factor` is 2^power, a product with which is rounded once where that is in range."""
    return value * factor if abs(power) <= _IN_RANGE else math.ldexp(value, power)


def common_exponent(values: Float) -> int:
    """The largest of `exponents`: one power for all columns, whose sizes are compared with each other."""
    return int(exponents(values.reshape(-1, 1))[0])
