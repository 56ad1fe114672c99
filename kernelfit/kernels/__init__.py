"""Kernels k(x, x'), one family per file.

>>> from kernelfit.kernels import Gaussian, Linear
>>> Gaussian(gamma=0.5) + Linear()
Sum(Gaussian(gamma=0.5), Linear())
"""

from __future__ import annotations

import inspect
from typing import Any

from kernelfit.errors import InputError
from kernelfit.kernels.base import Kernel
from kernelfit.kernels.composite import Product, Sum
from kernelfit.kernels.gaussian import Gaussian
from kernelfit.kernels.infinite_width import ArcCosine, NeuralTangent
from kernelfit.kernels.inner_product import Cosine, Linear, Polynomial
from kernelfit.kernels.matern import Matern, RationalQuadratic
from kernelfit.kernels.pairwise import Laplacian, Pairwise

__all__ = [
    "KERNELS",
    "ArcCosine",
    "Cosine",
    "Gaussian",
    "Kernel",
    "Laplacian",
    "Linear",
    "Matern",
    "NeuralTangent",
    "Pairwise",
    "Polynomial",
    "Product",
    "RationalQuadratic",
    "Sum",
    "build",
    "from_description",
    "parameter_names",
]

#: name -> class, for every kernel that is built from numbers alone
KERNELS: dict[str, type[Kernel]] = {
    kernel.name: kernel
    for kernel in (
        Gaussian,
        Laplacian,
        Matern,
        RationalQuadratic,
        Polynomial,
        Linear,
        Cosine,
        ArcCosine,
        NeuralTangent,
    )
}


def parameter_names(name: str) -> tuple[str, ...]:
    """The names of a kernel's parameters."""
    if name not in KERNELS:
        raise InputError(f"kernel: got {name!r}, expected one of {', '.join(KERNELS)}")
    return tuple(inspect.signature(KERNELS[name]).parameters)


def build(name: str, **parameters: Any) -> Kernel:
    """The kernel of that name; parameters left out take their defaults."""
    known = parameter_names(name)
    for parameter in parameters:
        if parameter not in known:
            expected = f"one of {', '.join(known)}" if known else "no parameters"
            raise InputError(f"{parameter}: the {name} kernel does not have it, expected {expected}")
    for parameter, definition in inspect.signature(KERNELS[name]).parameters.items():
        if definition.default is inspect.Parameter.empty and parameter not in parameters:
            raise InputError(f"{parameter}: the {name} kernel needs it, got nothing; give a number")
    return KERNELS[name](**parameters)


def from_description(description: dict[str, Any], function: Any = None) -> Kernel:
    """The inverse of `Kernel.describe`.

    A `pairwise` kernel is code, which a description does not hold: give its `function` again.
    """
    parameters = dict(description)
    name = parameters.pop("name", None)
    if name in ("sum", "product"):
        terms = (from_description(parameters[side], function) for side in ("left", "right"))
        return Sum(*terms) if name == "sum" else Product(*terms)
    if name == "pairwise":
        if function is None:
            raise InputError(
                f"function: the saved kernel is the user's own function {parameters.get('function')!r}, whose code "
                "is not saved; give it again as function="
            )
        kernel = Pairwise(function)
        if kernel.parameters["source_sha256"] != parameters.get("source_sha256"):
            raise InputError(
                f"function: its source or the numbers around it differ from the saved kernel's "
                f"({parameters.get('function')!r}); "
                "give the function that the solution was computed with"
            )
        return kernel
    return build(str(name), **parameters)
