"""Any kernel that the user writes as a function of two rows."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from numba import types

from kernelfit.cpu.jit import njit
from kernelfit.errors import InputError, shown
from kernelfit.kernels.base import Kernel, Needs, Rows, Tile
from kernelfit.kernels.bound import bound
from kernelfit.kernels.fingerprint import DIGEST, RULES, Descriptions, file_of, require_digest
from kernelfit.kernels.renewed import renewed
from kernelfit.typing import Float

_WRITES = "it writes into a row, which is read-only"


class Pairwise(Kernel):
    """The user's own kernel: `function(x, y, **parameters) -> float` on two 1-d float64 arrays, compiled by Numba.

    A function, a `functools.partial`, a method or an object that is called; what Numba cannot compile, as the last two,
    runs in Python, pair by pair, with a line in the notes of a solution. The function must be symmetric and positive
    semi-definite; neither is proved here, but a pivot that is not positive stops the factorisation. Numba compiles
    loops, `math` and NumPy on 1-d arrays.

    >>> import math
    >>> def triangular(x, y):
    ...     return math.exp(-abs(x[0] - y[0]))
    >>> Pairwise(triangular).name
    'pairwise'
    """

    name = "pairwise"
    of_numbers = False
    of_code = True
    needs = Needs.FUNCTION
    device_formula = "pair.user"
    #: where it comes with a pickle, the digest of its byte code and what that reads
    _code = ""

    def __init__(self, function: Callable[..., float], parameters: Mapping[str, Any] | None = None) -> None:
        self._bound = bound(function, parameters or {})
        self.function = function
        self._label = self._bound.label
        #: of what it reads, and of each by its name: as it was when it was compiled, or before that first asked for
        self._digest, self._parts = "", dict[str, str]()
        self._compiled: Any = None
        #: why it runs in Python, where it does
        self._interpreted = ""
        self._copies = False
        if not (self._bound.is_plain and self._bound.compilable):
            self.device_formula = ""  # type: ignore[misc]

    def _described(self) -> tuple[str, Descriptions]:
        """The digest of the kernel as it is now, and what was described for it."""
        code = self._bound.function
        described = Descriptions(file_of(code))
        return described.fingerprint(code, self._bound.first, self._bound.last), described

    def _settle(self) -> None:
        """Take it for the kernel that it is now."""
        self._digest, described = self._described()
        self._parts = described.parts(self._bound.function)

    @property
    def parameters(self) -> dict[str, Any]:
        if not self._digest:
            self._settle()
        return {"function": self._label, DIGEST: self._digest}

    @classmethod
    def from_parameters(
        cls, parameters: dict[str, Any], build: Callable[..., Kernel], function: Any
    ) -> Kernel:
        if function is None:
            raise InputError(
                f"function: the saved kernel is the user's own function {parameters.get('function')!r}, whose code "
                "is not saved; give it again as function="
            )
        kernel = cls(function)
        require_digest(parameters, str(parameters.get("function")))
        if kernel.parameters[DIGEST] != parameters[DIGEST]:
            raise InputError(
                f"function: its code or the data that it reads differ from the saved kernel's "
                f"({parameters.get('function')!r}); "
                "give the function that the solution was computed with, as it is before it is called"
            )
        return kernel

    def is_another(self) -> bool:
        """Whether it came with a pickle and its code, or what that reads, is other than where it was compiled."""
        if self._compiled is not None or self._interpreted or not self._digest:
            return False
        # Where its file is not at hand, as on a worker of a cluster, its text is not, either.
        return self._described()[0] != self._digest and self._by_code() != self._code

    def _by_code(self) -> str:
        """The digest without the text of functions, by their byte code alone."""
        code = self._bound.function
        described = Descriptions(file_of(code), by_code=True)
        return described.fingerprint(code, self._bound.first, self._bound.last)

    def reads(self) -> str:
        if not self._interpreted:
            return ""
        described = Descriptions(file_of(self._bound.function))
        settled = described.fingerprint(self._bound.first, self._bound.last)
        return settled + described.data(self._bound.function)

    def functions(self) -> tuple[Callable[..., float], ...]:
        return (self._bound.of(getattr(self._bound.function, "py_func", self._bound.function)),)

    def __getstate__(self) -> dict[str, Any]:
        """What pickle takes: the function, which is compiled again where it is used."""
        unchanged = self._digest != "" and self._described()[0] == self._digest
        return {**self.__dict__, "_compiled": None, "_code": self._by_code() if unchanged else ""}

    def __deepcopy__(self, memo: dict[int, Any]) -> Pairwise:
        """Itself where it is compiled: compiled again, it would be the kernel of what the function reads by then."""
        if self._compiled is not None and not self._interpreted:
            return self
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__.update(copy.deepcopy(self.__getstate__(), memo))
        return twin

    def remarks(self) -> Iterator[str]:
        if self._interpreted:
            yield (
                f"kernel: {self._label} runs in Python, pair by pair, as Numba cannot compile it "
                f"({self._interpreted}); loops, math and NumPy on 1-d arrays would make it some hundred times as fast"
            )
        digest, described = self._described()
        if described.edited:
            yield (
                f"kernel: {', '.join(described.edited)} of {self._label} was edited in its file after Python read it, "
                "and runs as it was read; load, open and resume want it as it was: restart Python, or reload the module"
            )
            return
        if digest == self._digest:
            return
        now = described.parts(self._bound.function)
        changed = [name for name in {**self._parts, **now} if now.get(name) != self._parts.get(name)]
        names = ", ".join(changed) or "what it reads"
        if self._interpreted:
            yield (
                f"kernel: a call of {self._label} changes {names}, and is another "
                "kernel from then on, which load, open and resume refuse; keep a memo by functools.cache, and what "
                "else does not count out of its __getstate__"
            )
        else:
            yield (
                f"kernel: {names} of {self._label} changed after it was compiled, and compiled code keeps what it "
                "read then; make the kernel anew for what it reads now"
            )

    def compile(self) -> None:
        if self._compiled is not None:
            return
        # Compiled code keeps what it reads now. What runs in Python is settled before its first call, not by a copy.
        if not self._interpreted:
            self._settle()
        if not self._bound.compilable:
            self._interpret(f"a {type(self._bound.function).__name__} is no plain function")
            return
        # Read-only, as some rows are the user's own array. Of a function compiled already the types are settled.
        compiled = hasattr(self._bound.function, "py_func")

        @njit(nogil=True, error_model="numpy")
        def fill(rows: Any, columns: Any, out: Any) -> None:
            for i in range(out.shape[0]):
                for j in range(out.shape[1]):
                    out[i, j] = scalar(rows[i], columns[j])

        try:
            scalar = _checked(self._bound.function)
            if not self._bound.is_plain:
                scalar = njit(nogil=True)(renewed(self._bound.of(scalar)))
            # Compiled for its types without being called: the user's function may want more than one feature.
            out = types.float64[:, ::1]
            rows = out if compiled else types.Array(types.float64, 2, "C", readonly=True)
            fill.compile((rows, rows, out))
        except Exception as error:
            reason = _reason(error)
            if reason == _WRITES:
                raise InputError(
                    f"function: Numba cannot compile {self._label}: {reason}; copy it first"
                ) from None
            self._interpret(reason)
            return
        self._compiled = fill
        self._copies = compiled

    def _interpret(self, reason: str) -> None:
        """Take the function as it is, for the reason that is given."""
        (function,), label = self.functions(), self._label

        def fill(rows: Float, columns: Float, out: Float) -> None:
            for i, row in enumerate(rows):
                for j, column in enumerate(columns):
                    value = function(row, column)
                    out[i, j] = value if isinstance(value, float) else _real(value, label)

        self._compiled, self._interpreted = fill, reason
        self.device_formula = ""  # type: ignore[misc]

    def _given(self, rows: Float) -> Float:
        """Rows as the function may have them: it cannot write into those that others read."""
        if self._copies:
            return rows.copy()
        given = rows.view()
        given.flags.writeable = False
        return given

    def evaluate(self, tile: Tile, out: Float) -> None:
        self.compile()
        rows, columns = tile.coordinates()
        self._fill(self._given(rows), self._given(columns), out)

    def diagonal(self, points: Rows) -> Float:
        self.compile()
        n = points.shape[0]
        out = np.empty(n)
        one = np.empty((1, 1))
        for start in range(0, n, 1024):
            block = self._given(points.scaled(start, min(start + 1024, n)))
            for i in range(block.shape[0]):
                self._fill(block[i : i + 1], block[i : i + 1], one)
                out[start + i] = one[0, 0]
        return out

    def _fill(self, rows: Float, columns: Float, out: Float) -> None:
        try:
            self._compiled(rows, columns, out)
        except InputError:
            raise
        except IndexError:
            raise InputError(
                f"function: {self._label} reads what rows of {rows.shape[1]} features do not have; give X the columns "
                "it expects"
            ) from None
        except (
            ArithmeticError,
            AttributeError,
            ValueError,
            AssertionError,
            KeyError,
            NameError,
            TypeError,
        ) as error:
            first_line = str(error).partition("\n")[0]
            raise InputError(
                f"function: {self._label} raises {type(error).__name__} ({first_line}), expected a number for every "
                "pair of rows"
            ) from None


def _real(value: Any, label: str) -> float:
    """What a function gives as a float: NumPy would take the real part of a complex number, and read text."""
    array = np.asarray(value)
    if array.size == 1 and array.dtype.kind in "buifO":
        with suppress(TypeError, ValueError):  # of an object that is no number, as None
            return float(array.item())
    raise InputError(f"function: {label} gives {shown(value)}, expected a real number for every pair of rows")


def _checked(function: Any) -> Any:
    """The function compiled so that it raises IndexError where it reads beyond a row.

    Numba checks no bounds of its own accord: K would be what lies in memory. The check costs nothing that can be
    measured from 30 features on, and up to a tenth below. Of a function that was compiled already its signatures and
    its rules of arithmetic stay.
    """
    if not hasattr(function, "py_func"):
        return njit(nogil=True, boundscheck=True)(renewed(function))
    options = {name: function.targetoptions[name] for name in RULES if name in function.targetoptions}
    if not getattr(function, "_can_compile", True):
        options["signature_or_function"] = list(function.nopython_signatures)
    return njit(nogil=True, boundscheck=True, **options)(renewed(function.py_func))


def _reason(error: Exception) -> str:
    """The line of Numba's message that tells what is wrong, without its colours and its trail of passes."""
    lines = [re.sub("\x1b\\[[0-9;]*m", "", line).strip() for line in str(error).splitlines()]
    # A row that is stored elsewhere, or given as the value, is read-only as well.
    if any("setitem(readonly" in line for line in lines):
        return _WRITES
    telling = [line for line in lines if line and not line.startswith("Failed in nopython mode")]
    return telling[0] if telling else type(error).__name__
