"""Compiled functions that a kernel of the user's calls are those of what they read when the kernel is made."""

from __future__ import annotations

import math
import types

import numpy as np
import pytest
from numba import njit

import kernelfit
from kernelfit.kernels import Pairwise
from kernelfit.kernels.renewed import renewed

WIDTH = 1.0


@njit
def over_width(distance):
    return distance / WIDTH


@njit("float64(float64)")
def of_signature(distance):
    return math.exp(-over_width(distance))


@njit
def counting_down(distance, times):
    return over_width(distance) if times == 0 else counting_down(distance, times - 1)


helpers = types.ModuleType("helpers")
helpers.over_width = over_width
inner = types.ModuleType("inner")
inner.helpers = helpers


def by_name(x, y):
    return math.exp(-over_width(abs(x[0] - y[0])))


def by_modules(x, y):
    return math.exp(-inner.helpers.over_width(abs(x[0] - y[0])))


def by_signature(x, y):
    return of_signature(abs(x[0] - y[0]))


def by_itself(x, y):
    return math.exp(-counting_down(abs(x[0] - y[0]), 2))


def by_closure():
    helper = over_width

    def kernel(x, y):
        return math.exp(-helper(abs(x[0] - y[0])))

    return kernel


@njit
def compiled(x, y):
    return math.exp(-over_width(abs(x[0] - y[0])))


@pytest.mark.parametrize(
    "function",
    [by_name, by_modules, by_signature, by_itself, by_closure(), compiled],
    ids=lambda f: f.__name__,
)
def test_a_kernel_made_anew_calls_what_its_functions_are_now(monkeypatch, rng, function):
    """It had the digest of the width there is now, and the entries of the one that was compiled first."""
    x = rng.standard_normal((5, 1))
    assert over_width(3.0) == 3.0  # compiled with this width
    assert counting_down(3.0, 1) == 3.0
    assert compiled(x[0], x[0]) == 1.0
    monkeypatch.setitem(globals(), "WIDTH", 4.0)
    solution = kernelfit.solve(x, np.ones(5), kernel=Pairwise(function))
    assert not any("Python" in note or "changed" in note for note in solution.notes)
    new = rng.standard_normal((3, 1))
    expected = np.exp(-np.abs(new - x.T) / 4.0) @ solution.alpha
    np.testing.assert_allclose(solution.predict(new), expected[:, 0], rtol=1e-12)
    assert over_width(3.0) == 3.0  # the user's own stays as it is


def test_a_function_that_calls_no_compiled_one_is_not_copied():
    def plain(x, y):
        return math.exp(-abs(x[0] - y[0]))

    assert renewed(plain) is plain
    assert renewed(math.exp) is math.exp
