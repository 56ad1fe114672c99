"""What a kernel is: a formula of two rows, for one tile of K at a time; sums and products of kernels.

A kernel asks its `Tile` for what its formula reads of every pair of rows (`Needs`) and writes k(x_i, x_j) into a
float64 block. It never sees the whole of K. How distances and inner products are formed, and what is done for pairs
that are close together, is the tile's business alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from enum import Flag, auto
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from kernelfit.arguments import suggests_names
from kernelfit.errors import InputError, shown
from kernelfit.typing import Float


class Needs(Flag):
    """What a kernel reads of a pair of rows."""

    #: <x, x'>, |x| and |x'|
    INNER_PRODUCTS = auto()
    #: |x - x'|^2, formed from inner products
    DISTANCES = auto()
    #: |x - x'|_1
    L1_DISTANCES = auto()
    #: the value of the user's own function of x and x'
    FUNCTION = auto()


#: what is formed by a matrix product
PRODUCTS = Needs.INNER_PRODUCTS | Needs.DISTANCES
#: what is formed from the coordinates of the rows
COORDINATES = Needs.L1_DISTANCES | Needs.FUNCTION


class Tile(Protocol):
    """Pairs of rows x_i (i < h) and columns x_j (j < w) in the kernel's domain; every `out` is (h, w) float64."""

    def sq_distances(self, out: Float) -> float:
        """out_ij <- |x_i - x_j|^2 / s^2, never below zero; returns the length s.

        s is 1 unless rows are so small that squares would underflow: give it to the constant that distances meet.
        """
        ...

    def inner_products(self, out: Float, factor: float = 1.0) -> None:
        """out_ij <- factor <x_i, x_j>."""
        ...

    def cosines(self, out: Float) -> None:
        """out_ij <- <x_i, x_j> / (|x_i| |x_j|), within [-1, 1]; 0 where a row is zero."""
        ...

    def half_tangents(self, out: Float) -> None:
        """out_ij <- tan^2(theta / 2), theta the angle between x_i and x_j: 0 where they are parallel, inf where they
        are opposite, 1 where a row is zero. It has all digits at both ends, which a cosine has not."""
        ...

    def lengths(self) -> tuple[Float, Float]:
        """|x_i| (h,) and |x_j| (w,)."""
        ...

    def l1_distances(self, out: Float) -> None:
        """out_ij <- |x_i - x_j|_1."""
        ...

    def coordinates(self) -> tuple[Float, Float]:
        """The rows (h, d) and columns (w, d) themselves, float64."""
        ...

    def scratch(self, name: str) -> Float:
        """An uninitialised float64 (h, w) block of the calling thread."""
        ...


class Rows(Protocol):
    """n rows of d features in the kernel's domain."""

    domain_sq_norms: Float
    lengths: Float

    @property
    def shape(self) -> tuple[int, int]: ...

    def scaled(self, start: int, stop: int) -> Float:
        """Rows start:stop, float64."""
        ...


class Constants(NamedTuple):
    """The numbers of a formula, computed once: the CPU and a device read the same."""

    order: int = 0
    a: float = 0.0
    b: float = 0.0


class Kernel:
    """Base of all kernels.

    A subclass gives `name`, `needs`, `parameters`, `evaluate`, `diagonal` (unless `stationary`) and, to run on a
    device, `device_formula` and `constants`. A line in `kernelfit.kernels.FAMILIES` does the rest.
    """

    name: ClassVar[str] = ""
    #: other names that `kernel=` takes for it
    aliases: ClassVar[tuple[str, ...]] = ()
    #: k depends on x, x' through x - x' only, and k(x, x) = 1
    stationary: ClassVar[bool] = False
    #: whether k(x, x') >= 0 whatever x and x'
    positive: ClassVar[bool] = False
    #: k(x, x') = <x, x'>: what K solves, weights of the features solve too
    linear: ClassVar[bool] = False
    #: whether `evaluate_single` forms k from squared distances
    single: ClassVar[bool] = False
    #: whether numbers alone define it, so that a name and parameters can stand for it
    of_numbers: ClassVar[bool] = True
    #: whether it is code or an object that a description does not hold
    of_code: ClassVar[bool] = False
    #: k as a C++ expression of `pair` and of the constants `order`, `a`, `b`; see `cuda_kernels/epilogue.cuh`
    device_formula: ClassVar[str] = ""
    #: the parameter that sets how wide k is: "gamma", "length_scale", or none
    width_parameter: ClassVar[str] = ""
    #: what `evaluate` asks its tile for
    needs: Needs
    #: blocks of scratch that a tile of this kernel takes beside its own
    nesting: int = 0

    def __init_subclass__(cls) -> None:
        if "__init__" in cls.__dict__:
            cls.__init__ = suggests_names({})(cls.__init__)  # type: ignore[method-assign]

    @property
    def parameters(self) -> dict[str, Any]:
        """The kernel's parameters by name, as plain numbers and strings."""
        raise NotImplementedError(f"{type(self).__name__} does not define its parameters")

    @property
    def constants(self) -> Constants:
        """The numbers that `device_formula` reads."""
        return Constants()

    def evaluate(self, tile: Tile, out: Float) -> None:
        """out_ij <- k(x_i, x_j). Shape (h, w), float64."""
        raise NotImplementedError(f"{type(self).__name__} does not define evaluate")

    def evaluate_single(self, sq_distances: NDArray[np.float32], unit: float) -> None:
        """k in place of |x_i - x_j|^2 / unit (h, w), in single precision to an error of its last digits."""
        raise NotImplementedError(f"{type(self).__name__} does not define evaluate_single")

    def diagonal(self, points: Rows) -> Float:
        """k(x_i, x_i), shape (n,), exactly."""
        if self.stationary:
            ones = np.empty(points.shape[0])
            ones.fill(1.0)
            return ones
        raise NotImplementedError(f"{type(self).__name__} does not define its diagonal")

    @classmethod
    def gamma_multiplies(cls, rows: Float) -> Float:
        """What gamma multiplies in k, for the pairs of some rows (h, d) or for each; their median gives gamma."""
        raise InputError(f"gamma: the {cls.name} kernel has no median rule, got none; give a number")

    @classmethod
    def length_scale_divides(cls, rows: Float) -> Float:
        """What length_scale divides in k, for the pairs of some rows (h, d); their median gives length_scale."""
        raise InputError(f"length_scale: the {cls.name} kernel has no median rule, got none; give a number")

    def feature_count(self, d: int) -> int | None:
        """How many features z there are with k(x, x') = <z(x), z(x')>; None where there is no finite number of them."""
        return None

    def features(self, rows: Float) -> Float:
        """z of rows (h, d) in the kernel's domain: (h, `feature_count(d)`)."""
        raise NotImplementedError(f"{type(self).__name__} has no features")

    def compile(self) -> None:
        """Compile what the kernel needs before threads ask for it."""

    def settled(self) -> Kernel:
        """The kernel as it is now, whatever the user does to this object later; code of the user's is itself."""
        return self if self.of_code else copy.copy(self)

    def products(self) -> list[list[Kernel]]:
        """k as a sum of products of kernels that are no sums or products themselves."""
        return [[self]]

    def functions(self) -> tuple[Callable[..., float], ...]:
        """The user's own Python functions in it."""
        return ()

    def has_noise(self, points: Rows) -> bool:
        """Whether k(x_i, x_i) has something that k(x_i, x_j) of an equal row has not: such rows may be there twice."""
        return False

    def remarks(self) -> Iterator[str]:
        """What the user should know of how it is formed, once it is compiled."""
        yield from ()

    def is_another(self) -> bool:
        """Whether code of the user's is known to be other than where the kernel was pickled."""
        return False

    def reads(self) -> str:
        """The digest of the data that a function of the user's reads now; empty where it keeps what it read."""
        return ""

    def describe(self) -> dict[str, Any]:
        """The kernel as JSON: its name and parameters; `kernelfit.kernels.from_description` is the inverse."""
        return {"name": self.name, **self.parameters}

    @classmethod
    def from_parameters(
        cls, parameters: dict[str, Any], build: Callable[..., Kernel], function: Any
    ) -> Kernel:
        """The kernel whose `parameters` these are; `build(description, function)` makes the kernels inside it."""
        return cls(**parameters)

    def __add__(self, other: Kernel) -> Kernel:
        return Sum(self, other)

    def __mul__(self, other: Kernel) -> Kernel:
        return Product(self, other)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Kernel) and type(self) is type(other) and self.describe() == other.describe()

    def __hash__(self) -> int:
        return hash((type(self), repr(self.describe())))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.parameters.items())
        return f"{type(self).__name__}({inside})"


class _Composite(Kernel):
    """Of two terms; positive semi-definite when both are."""

    of_numbers = False

    def __init__(self, left: Kernel, right: Kernel) -> None:
        for name, term in (("left", left), ("right", right)):
            if not isinstance(term, Kernel):
                raise InputError(f"{name}: got {shown(term)}, expected a kernel")
        self.left = left
        self.right = right
        self.needs = left.needs | right.needs
        self.nesting = 1 + max(left.nesting, right.nesting)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"left": self.left.describe(), "right": self.right.describe()}

    @classmethod
    def from_parameters(
        cls, parameters: dict[str, Any], build: Callable[..., Kernel], function: Any
    ) -> Kernel:
        return cls(build(parameters["left"], function), build(parameters["right"], function))

    def compile(self) -> None:
        self.left.compile()
        self.right.compile()

    def settled(self) -> Kernel:
        return type(self)(self.left.settled(), self.right.settled())

    def functions(self) -> tuple[Callable[..., float], ...]:
        return self.left.functions() + self.right.functions()

    def has_noise(self, points: Rows) -> bool:
        return self.left.has_noise(points) or self.right.has_noise(points)

    def remarks(self) -> Iterator[str]:
        yield from dict.fromkeys([*self.left.remarks(), *self.right.remarks()])

    def is_another(self) -> bool:
        return self.left.is_another() or self.right.is_another()

    def reads(self) -> str:
        return self.left.reads() + self.right.reads()

    def _evaluate_right(self, tile: Tile) -> Float:
        # Each level of nesting on the right needs a block of its own.
        block = tile.scratch(f"right-{self.nesting}")
        self.right.evaluate(tile, block)
        return block

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.left!r}, {self.right!r})"


class Sum(_Composite):
    """k(x, x') = k_1(x, x') + k_2(x, x')."""

    name = "sum"

    def evaluate(self, tile: Tile, out: Float) -> None:
        self.left.evaluate(tile, out)
        out += self._evaluate_right(tile)

    def diagonal(self, points: Rows) -> Float:
        total: Float = self.left.diagonal(points) + self.right.diagonal(points)
        return total

    def feature_count(self, d: int) -> int | None:
        left, right = self.left.feature_count(d), self.right.feature_count(d)
        return None if left is None or right is None else left + right

    def features(self, rows: Float) -> Float:
        return np.hstack([self.left.features(rows), self.right.features(rows)])

    def products(self) -> list[list[Kernel]]:
        return self.left.products() + self.right.products()


class Product(_Composite):
    """k(x, x') = k_1(x, x') k_2(x, x')."""

    name = "product"

    def evaluate(self, tile: Tile, out: Float) -> None:
        self.left.evaluate(tile, out)
        out *= self._evaluate_right(tile)

    def diagonal(self, points: Rows) -> Float:
        total: Float = self.left.diagonal(points) * self.right.diagonal(points)
        return total

    def feature_count(self, d: int) -> int | None:
        left, right = self.left.feature_count(d), self.right.feature_count(d)
        return None if left is None or right is None else left * right

    def features(self, rows: Float) -> Float:
        left, right = self.left.features(rows), self.right.features(rows)
        products: Float = left[:, :, None] * right[:, None, :]
        return products.reshape(len(rows), left.shape[1] * right.shape[1])

    def products(self) -> list[list[Kernel]]:
        """Sums inside are multiplied out: (a + b) c = a c + b c."""
        right = self.right.products()
        return [[*a, *b] for a in self.left.products() for b in right]
