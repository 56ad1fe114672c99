"""The width of a kernel given by name: its gamma, or its length scale; the median rule for both."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelfit.errors import InputError
from kernelfit.gram.points import Points
from kernelfit.kernels import KERNELS, Kernel, build, named, parameter_names
from kernelfit.typing import Float

#: rows whose distances the median rule looks at
MEDIAN_ROWS = 1_000


def gamma_kernels() -> tuple[str, ...]:
    """The names of the kernels that have a gamma."""
    return tuple(name for name in KERNELS if "gamma" in parameter_names(name))


def median_distance(points: Points, kernel: str = "gaussian") -> float:
    """The median of what the kernel's width parameter meets, for the first 1,000 rows: of what gamma multiplies
    (`Kernel.gamma_multiplies`), or of what length_scale divides (`Kernel.length_scale_divides`). Where most are 0 it is
    the median of the others."""
    parameter = named(kernel).width_parameter or "gamma"
    compared = _compared(points, kernel)
    if compared.size == 0:
        raise InputError(f"{parameter}: 'median' needs at least 2 different rows, got 1; give a number")
    positive = compared[compared > 0]
    if positive.size == 0:
        rows = min(MEDIAN_ROWS, points.shape[0])
        raise InputError(
            f"{parameter}: the first {rows} rows are equal, or at distances that float64 does not hold, expected some "
            f"that differ; check the columns of X, rescale it, as by scale, or give {parameter} a number"
        )
    return float(np.median(compared)) or float(np.median(positive))


def median_gamma(points: Points, kernel: str = "gaussian", factor: float = 1.0) -> float:
    """factor / median of what gamma multiplies: |x - x'|^2 (gaussian), |x - x'|_1 (laplacian), |x|^2 (polynomial)."""
    median = median_distance(points, kernel)
    if not np.isfinite(gamma := factor / median):
        raise InputError(
            f"gamma: got 'median' of {median:.3g}, whose inverse float64 does not hold; rescale X, as by scale"
        )
    return gamma


class Widths:
    """The values that a kernel's width parameter may take: 2^k from the median rule's, the kernel narrower with k.

    gamma = 2^k / median, or length_scale = 2^-k median; where most distances are 0 the median is of the others. Rounded
    to six digits, so that what is printed is what was used.
    """

    def __init__(self, points: Points, kernel: str) -> None:
        self.parameter = named(kernel).width_parameter
        compared = _compared(points, kernel)
        positive = compared[compared > 0]
        if positive.size == 0:
            raise InputError(
                f"{self.parameter}: 'auto' needs at least 2 distinct rows, at a distance that float64 holds; give a "
                "number"
            )
        self._median = float(np.median(compared)) or float(np.median(positive))

    def at(self, exponent: float) -> float:
        """The value 2^exponent from the median rule's."""
        ratio = 2.0**exponent
        return float(f"{ratio / self._median if self.parameter == 'gamma' else self._median / ratio:.6g}")


def build_with_gamma(name: str, gamma: float, parameters: dict[str, Any]) -> Kernel:
    """The kernel of that name with that gamma and the other parameters."""
    if "gamma" not in parameter_names(name):
        raise InputError(f"gamma: the {name} kernel has none, expected one of {', '.join(gamma_kernels())}")
    if "gamma" in parameters:
        raise InputError("kernel_params: got gamma there, expected it as the argument gamma; move it")
    return build(name, gamma=gamma, **parameters)


def _compared(points: Points, kernel: str) -> Float:
    rows = points.compact(MEDIAN_ROWS)
    family = named(kernel)
    return (
        family.length_scale_divides(rows)
        if family.width_parameter == "length_scale"
        else family.gamma_multiplies(rows)
    )
