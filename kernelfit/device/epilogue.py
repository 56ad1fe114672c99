"""A kernel as numbers: a sum of products of terms, as `cuda_kernels/epilogue.cuh` evaluates it.

The formula of a term is a C++ expression that its class carries. `formulas` makes them cases of one switch, which is
compiled in front of every CUDA source: `python -m kernelfit.device.epilogue` prints it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernelfit.device.protocol import Epilogue, Slab, Term
from kernelfit.errors import InputError
from kernelfit.kernels import FAMILIES, Kernel

#: numbers of one term in the table: family, opens, order, a, b
TABLE_ROW = 5
#: more terms than any kernel that a person writes
_MAX_TERMS = 64


def formulas() -> str:
    """The macro `KERNELFIT_FORMULAS(FORMULA)`: FORMULA(number, expression) for every family that has a formula."""
    cases = [
        f"FORMULA({number}, {family.device_formula})"
        for number, family in enumerate(FAMILIES)
        if family.device_formula
    ]
    return "#define KERNELFIT_FORMULAS(FORMULA) " + " \\\n    ".join(cases) + "\n"


def program(kernel: Kernel) -> tuple[Term, ...]:
    """k as a sum of products, each product opened by a term with `opens`."""
    products = kernel.products()
    terms = tuple(_term(factor, index == 0) for product in products for index, factor in enumerate(product))
    if len(terms) > _MAX_TERMS:
        raise InputError(
            f"kernel: got {len(terms)} terms after multiplying out, expected at most {_MAX_TERMS} on a device; "
            "write the kernel as one function of two rows, or use device='cpu'"
        )
    return terms


def take_epilogue(slab: Slab, kernel: Kernel) -> Epilogue:
    """k with room for its table on the device: who takes it puts `table` of its terms there."""
    terms = program(kernel)
    return Epilogue(kernel, terms, slab.take(len(terms), TABLE_ROW, np.float64))


def table(terms: tuple[Term, ...]) -> NDArray[np.float64]:
    """(terms, 5) float64, as the device reads it; integers this small are exact."""
    return np.array([[t.family, t.opens, t.order, t.a, t.b] for t in terms], np.float64)


def _term(kernel: Kernel, opens: bool) -> Term:
    family = type(kernel)
    # Of a function of the user's it depends on the function: not all that a CPU takes can be compiled for a device.
    if family not in FAMILIES or not kernel.device_formula:
        raise InputError(
            f"kernel: {kernel!r} has no formula for a device, expected a kernel of kernelfit.kernels, or a plain "
            "function that Numba compiles; use device='cpu'"
        )
    return Term(FAMILIES.index(family), opens, *kernel.constants)


if __name__ == "__main__":
    print(formulas(), end="")
