"""In what numbers K is factored, and what makes up for it: every precision there is, listed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kernelfit.arguments import choice, suggestion
from kernelfit.errors import InputError
from kernelfit.typing import PrecisionName


@dataclass(frozen=True)
class Precision:
    """How a system is factored and solved.

    Attributes
    ----------
    name : as the user gives it
    factor : dtype of L
    refined : whether the solution is refined against K in float64 until its backward error is that of float64
    tensor_cores : whether a device forms products from numbers rounded to TF32
    """

    name: PrecisionName
    factor: np.dtype[Any]
    refined: bool = False
    tensor_cores: bool = False

    @cached_property
    def unit_roundoff(self) -> float:
        """u of the factor: 1.1e-16 or 6.0e-8."""
        return 2.0**-53 if self.factor.itemsize == 8 else 2.0**-24

    @cached_property
    def factor_name(self) -> str:
        """`float64` or `float32`."""
        return "float64" if self.factor.itemsize == 8 else "float32"  # NumPy takes longer to name its types

    @cached_property
    def of_plan(self) -> PrecisionName:
        """The name without the device's way to form products, which changes neither bytes nor refinement."""
        return "mixed" if self.tensor_cores else self.name


_DOUBLE, _SINGLE = np.dtype(np.float64), np.dtype(np.float32)
#: every precision, by its name
PRECISIONS: dict[str, Precision] = {
    precision.name: precision
    for precision in (
        Precision("float64", _DOUBLE),
        Precision("float32", _SINGLE),
        Precision("mixed", _SINGLE, refined=True),
        Precision("tf32", _SINGLE, refined=True, tensor_cores=True),
    )
}
#: those that need no tensor cores
CPU_PRECISIONS = tuple(name for name, precision in PRECISIONS.items() if not precision.tensor_cores)


#: float64 until a solve knows better (`kernelfit.solver.precision`)
AUTO = "auto"
#: what may be asked for
PRECISION_NAMES = (*PRECISIONS, AUTO)


def before_choice(name: str) -> str:
    """The name of a precision that may be asked for; of `auto` that which it starts from. Raises `InputError`."""
    choice("precision", name, PRECISION_NAMES)
    return "float64" if name == AUTO else name


def precision_of(name: str) -> Precision:
    """The precision of that name, or `InputError` with those that there are."""
    if not isinstance(name, str) or name not in PRECISIONS:
        raise InputError(
            f"precision: got {name!r}, expected one of {', '.join(PRECISIONS)}{suggestion(str(name), PRECISIONS)}"
        )
    return PRECISIONS[name]
