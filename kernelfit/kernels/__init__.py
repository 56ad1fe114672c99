"""Kernels k(x, x'), one family per file.

>>> from kernelfit.kernels import Gaussian, Linear
>>> Gaussian(gamma=0.5) + Linear()
Sum(Gaussian(gamma=0.5), Linear())
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from kernelfit.arguments import mapping, suggestion
from kernelfit.errors import InputError, shown
from kernelfit.kernels.arc_cosine import ArcCosine
from kernelfit.kernels.base import Kernel, Needs, Product, Sum
from kernelfit.kernels.cosine import Cosine
from kernelfit.kernels.from_sklearn import FromSklearn, is_sklearn_kernel
from kernelfit.kernels.gaussian import Gaussian
from kernelfit.kernels.laplacian import Laplacian
from kernelfit.kernels.linear import Linear
from kernelfit.kernels.matern import Matern
from kernelfit.kernels.neural_tangent import NeuralTangent
from kernelfit.kernels.pairwise import Pairwise
from kernelfit.kernels.polynomial import Polynomial
from kernelfit.kernels.rational_quadratic import RationalQuadratic

__all__ = [
    "FAMILIES",
    "KERNELS",
    "ArcCosine",
    "Cosine",
    "FromSklearn",
    "Gaussian",
    "Kernel",
    "Laplacian",
    "Linear",
    "Matern",
    "Needs",
    "NeuralTangent",
    "Pairwise",
    "Polynomial",
    "Product",
    "RationalQuadratic",
    "Sum",
    "build",
    "from_description",
    "named",
    "own_kernel",
    "parameter_names",
]

#: the registry: a kernel is one file of this folder and one line here
FAMILIES: tuple[type[Kernel], ...] = (
    Gaussian,
    Laplacian,
    Matern,
    RationalQuadratic,
    Polynomial,
    Linear,
    Cosine,
    ArcCosine,
    NeuralTangent,
    Pairwise,
    FromSklearn,
    Sum,
    Product,
)

#: name -> class, for every kernel that is built from numbers alone
KERNELS: dict[str, type[Kernel]] = {family.name: family for family in FAMILIES if family.of_numbers}


def named(name: str) -> type[Kernel]:
    """The class of that name, or of that alias; `InputError` for others suggests the nearest."""
    if not isinstance(name, str):
        raise InputError(
            f"kernel: got {shown(name)}, expected the name of a kernel, one of {', '.join(KERNELS)}"
        )
    if name in KERNELS:
        return KERNELS[name]
    aliases = {alias: family for family in KERNELS.values() for alias in family.aliases}
    if name in aliases:
        return aliases[name]
    remedy = suggestion(name, [*KERNELS, *aliases])
    raise InputError(f"kernel: got {name!r}, expected one of {', '.join(KERNELS)}{remedy}")


def own_kernel(kernel: Any, parameters: Mapping[str, Any] | None = None) -> Kernel:
    """The kernel that a callable of the user's stands for: one of scikit-learn's objects, or k(x, y, **parameters).

    Raises `InputError` for parameters beside an object that has its own.
    """
    if is_sklearn_kernel(kernel):
        if parameters:
            raise InputError(
                f"kernel_params: {kernel!r} is an object that has its parameters already; give them there"
            )
        return FromSklearn(kernel)
    return Pairwise(kernel, parameters)


def parameter_names(name: str) -> tuple[str, ...]:
    """The names of a kernel's parameters."""
    return _parameter_names(named(name).name)


@cache
def _parameter_names(name: str) -> tuple[str, ...]:
    return tuple(_parameters(name))


@cache
def _parameters(name: str) -> dict[str, Any]:
    """Name -> default of a kernel's parameters; `inspect.Parameter.empty` where one has none."""
    return {key: parameter.default for key, parameter in inspect.signature(named(name)).parameters.items()}


def build(name: str, **parameters: Any) -> Kernel:
    """The kernel of that name; parameters left out take their defaults.

    Raises `InputError` for an unknown name or parameter, and where one without a default is left out.
    """
    family = named(name)
    known = _parameters(family.name)
    for parameter in parameters:
        if parameter not in known:
            expected = f"one of {', '.join(known)}" if known else "no parameters"
            raise InputError(
                f"{parameter}: the {name} kernel does not have it, expected {expected}{suggestion(parameter, known)}"
            )
    for parameter, default in known.items():
        if default is inspect.Parameter.empty and parameter not in parameters:
            raise InputError(f"{parameter}: the {name} kernel needs it, got nothing; give a number")
    return family(**parameters)


def from_description(description: dict[str, Any], function: Any = None) -> Kernel:
    """The inverse of `Kernel.describe`.

    A `pairwise` kernel is code, which a description does not hold: give its `function` again, or a list of them where
    sums and products have several.
    """
    parameters = mapping("kernel", description)
    name = str(parameters.pop("name", None))
    for family in FAMILIES:
        if family.name == name and not family.of_numbers:
            if isinstance(function, (list, tuple)) and family.of_code:
                return _of_one_of(family, parameters, function)
            return family.from_parameters(parameters, from_description, function)
    return build(name, **parameters)


def _of_one_of(family: type[Kernel], parameters: dict[str, Any], functions: Sequence[Any]) -> Kernel:
    """The kernel of that one of several functions whose digest is that of the description."""
    errors = [InputError("function: got an empty list, expected the functions of the saved kernel")]
    for function in functions:
        try:
            return family.from_parameters(parameters, from_description, function)
        except InputError as error:
            errors.append(error)
    raise InputError(str(errors[-1]))
