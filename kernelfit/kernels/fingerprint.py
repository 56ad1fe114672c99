"""What tells one kernel of the user's from another: a digest of its code and of all that the code reads.

Equal kernels have the same digest in every process, so no address takes part, no line number, and no byte code where
there is a source. What is described:

functions : their source, defaults, closures and the globals that they read; functions among these in the same way
objects : their class, all whose methods count, and their state, as `pickle` would take it; of what `pickle` refuses the
    name, the attributes and the entries
partials, methods, functions compiled by Numba : what they are made of
installed packages : by name alone, but for the file that the kernel itself is in: a newer NumPy is no other kernel
"""

from __future__ import annotations

import ast
import copyreg
import dis
import functools
import gc
import hashlib
import inspect
import os
import sys
import sysconfig
import textwrap
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import InputError

#: the parameter of a kernel that a digest is stored as
DIGEST = "digest"
# Whose repr says all.
_PLAIN = (type(None), type(Ellipsis), bool, int, float, complex, str, bytes, range, slice)
# Options of Numba's that change what a function computes.
RULES = ("fastmath", "error_model")
_LOADS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF")
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")
_STANDARD = sysconfig.get_path("stdlib")
_INSTALLED = {"site-packages", "dist-packages"}
_BUILT_IN = "<frozen built-in>"
# Files that are younger may have been edited after Python read them.
_STARTED = time.time()


def fingerprint(*values: Any, home: str = "") -> str:
    """16 hexadecimal digits for a callable and what is settled beside its rows; code of the file `home` counts as the
    user's, wherever it lies."""
    return Descriptions(home).fingerprint(*values)


def require_digest(parameters: Mapping[str, Any], kernel: str) -> None:
    """Raise `InputError` where a kernel was stored without its digest, so that nothing tells it from another."""
    if DIGEST not in parameters:
        raise InputError(
            f"function: the saved kernel {kernel!r} has no digest of its code and the data that it reads, as where an "
            "earlier version stored it, expected one; solve again"
        )


def file_of(value: Any) -> str:
    """Where a callable, or its class, is written; empty where that is unknown, as at a prompt."""
    while isinstance(value, functools.partial):
        value = value.func
    value = getattr(value, "__func__", value)
    value = getattr(value, "py_func", value)
    if isinstance(value, FunctionType):
        return value.__code__.co_filename
    described = value if isinstance(value, type) else type(value)
    if described.__module__ in sys.builtin_module_names:
        return _BUILT_IN
    try:
        return inspect.getsourcefile(described) or ""
    except (TypeError, OSError):
        return ""


class Descriptions:
    """Values as text, of which each is described once, as it was then; `home` is a file that is the user's wherever it
    lies. `by_code`: of functions the byte code, whose text may not be at hand."""

    def __init__(self, home: str, *, by_code: bool = False) -> None:
        self._home, self._by_code = home, by_code
        self._open: set[int] = set()
        # With the value, whose id would be another's when it is gone.
        self._done: dict[int, tuple[Any, str]] = {}
        #: names of functions whose file has been edited since Python read it, and has other code
        self.edited: dict[str, None] = {}
        self._in_files: dict[str, list[CodeType]] = {}

    def fingerprint(self, *values: Any) -> str:
        """As the function of that name."""
        return _digest(" ".join(map(self.of, values)))[:16]

    def parts(self, value: Any) -> dict[str, str]:
        """Name -> digest of what a callable reads by name: the globals and closure of a function, and the attributes of
        an object. After `fingerprint`, whose digest does not depend on what was described before it."""
        return {name: self.of(each) for name, each in _named(value).items()}

    def data(self, value: Any) -> str:
        """The digest of that of it which is no code."""
        return self.fingerprint({name: each for name, each in _named(value).items() if not callable(each)})

    def of(self, value: Any) -> str:
        if type(value) in _PLAIN:
            return repr(value)
        if isinstance(value, np.generic):
            return repr(float(value)) if isinstance(value, float) else f"{value.dtype} {value.item()!r}"
        key = id(value)
        if key in self._open:
            return "itself"
        if key not in self._done:
            self._open.add(key)
            try:
                self._done[key] = value, _digest(self._parts(value))
            finally:
                self._open.discard(key)
        return self._done[key][1]

    def _parts(self, value: Any) -> str:
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, ModuleType):
            return f"module {value.__name__}"
        if type(value) in (tuple, list):
            return f"{type(value).__name__} {self._all(value)}"
        if type(value) in (set, frozenset):
            return f"set {sorted(map(self.of, value))}"
        if type(value) is dict:
            return f"dict {[(self.of(key), self.of(entry)) for key, entry in value.items()]}"
        if type(value) is np.ndarray and not value.dtype.hasobject:
            return f"{value.dtype} {value.shape} {hashlib.sha256(_bytes(value)).hexdigest()}"
        if isinstance(value, CodeType):
            return self._byte_code(value)
        if isinstance(value, functools.partial):
            named = sorted(value.keywords.items())
            return f"partial {self._all([value.func, value.args, named])}"
        if inspect.ismethod(value):
            return f"method {self._all([value.__func__, value.__self__])}"
        if isinstance(value, (staticmethod, classmethod)):
            return f"{type(value).__name__} {self.of(value.__func__)}"
        if isinstance(value, property):
            return f"property {self.of(value.fget)}"
        if isinstance(
            value, functools.cached_property
        ):  # which from Python 3.13 on knows the name of its module
            return f"cached property {self.of(value.func)}"
        if isinstance(
            value, np.ufunc
        ):  # those that `frompyfunc` makes hold their function, which nothing names
            return f"ufunc {value.__name__} {self._all(filter(callable, gc.get_referents(value)))}"
        if hasattr(value, "py_func"):
            rules = {rule: value.targetoptions.get(rule) for rule in RULES}
            return self._parts(value.py_func) + (f" by {self.of(rules)}" if any(rules.values()) else "")
        if hasattr(value, "_numba_type_"):  # whose state lies where pickle sees an address
            return self._by_entries(value)
        if hasattr(value, "__wrapped__"):  # in a cache, say
            return f"{type(value).__name__} {self.of(value.__wrapped__)}"
        return self._object(value)

    def _all(self, values: Any) -> list[str]:
        return [self.of(value) for value in values]

    def _function(self, function: FunctionType) -> str:
        code = function.__code__
        if self._is_installed(code.co_filename):
            return f"{function.__module__}.{function.__qualname__}"
        around = [(name, self.of(value)) for name, value in sorted(read_by(function).items())]
        defaults = self._all([function.__defaults__, sorted((function.__kwdefaults__ or {}).items())])
        filed = self._filed(code)
        if filed is None:
            self.edited[code.co_qualname] = None
        text = "" if filed is None or self._by_code else _source(filed)
        return f"{text or self._byte_code(code)}\n{defaults} {around}"

    def _filed(self, code: CodeType) -> CodeType | None:
        """The same code where its file has it now; None where that was edited after Python read it, and lacks it."""
        file = code.co_filename
        if not (os.path.isfile(file) and os.path.getmtime(file) >= _STARTED):
            return code
        described = self._byte_code(code)
        if file not in self._in_files:
            self._in_files[file] = _codes_of(file)
        return min(
            (
                other
                for other in self._in_files[file]
                if other.co_qualname == code.co_qualname and self._byte_code(other) == described
            ),
            key=lambda other: abs(other.co_firstlineno - code.co_firstlineno),
            default=None,
        )

    def _byte_code(self, code: CodeType) -> str:
        taken = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        names = (code.co_names, code.co_freevars, taken)
        return f"{code.co_code.hex()} {code.co_exceptiontable.hex()} {names} {self._all(code.co_consts)}"

    def _class(self, described: type) -> str:
        return "class " + " ".join(
            f"{base.__name__} {sorted((name, self.of(value)) for name, value in _members(base))}"
            if not self._is_installed(file_of(base))
            else f"{base.__module__}.{base.__qualname__}"
            for base in described.__mro__
        )

    def _object(self, value: Any) -> str:
        """An object of any class as pickle takes it."""
        try:
            registered = copyreg.dispatch_table.get(type(value))
            reduced = value.__reduce_ex__(4) if registered is None else registered(value)
        except Exception:  # whatever the class says
            return self._by_entries(value)
        if isinstance(reduced, str):
            return f"{getattr(value, '__module__', None)}.{reduced}"
        made, arguments, state, *entries = [*reduced, None][:5]
        if type(state) is dict:  # but for what it computes of itself when it is first asked
            state = {name: entry for name, entry in state.items() if not _is_computed(type(value), name)}
        listed = [list(part) for part in entries if part is not None]
        return f"{type(value).__name__} {self._all([made, arguments, state, listed])}"

    def _by_entries(self, value: Any) -> str:
        """What pickle does not take: a lock, a function of a C library, a view of a dictionary, Numba's own lists and
        instances of a class that it compiled."""
        fields = getattr(getattr(value, "_numba_type_", None), "struct", ())
        if isinstance(value, Mapping):
            held = list(value.items())
        elif isinstance(value, Collection):
            held = list(value)
        elif fields:
            held = [(name, getattr(value, name, None)) for name in fields]
        else:
            held = sorted(getattr(value, "__dict__", {}).items())
        return f"a {self.of(type(value))} {getattr(value, '__name__', '')} {self._all(held)}"

    def _is_installed(self, file: str) -> bool:
        return is_installed(file) and (file != self._home or file.startswith("<frozen "))


def is_installed(file: str) -> bool:
    """Whether a file of code belongs to Python or to an installed package."""
    return file.startswith(("<frozen ", _STANDARD)) or not _INSTALLED.isdisjoint(Path(file).parts)


def _named(value: Any) -> dict[str, Any]:
    """Name -> what a callable reads by name."""
    read: dict[str, Any] = {}
    if isinstance(value, functools.partial):
        read, value = dict(value.keywords), value.func
    value = getattr(value, "py_func", value)
    if not isinstance(value, FunctionType):
        owner = value.__self__ if inspect.ismethod(value) else value
        read |= getattr(owner, "__dict__", {})
        value = value.__func__ if inspect.ismethod(value) else type(value).__call__
    if isinstance(value, FunctionType):
        read |= read_by(value)
    return read


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _bytes(array: NDArray[Any]) -> memoryview | bytes:
    """The bytes of an array in C's order, which are copied only where they lie in another."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data if array.nbytes else b""


def _members(described: type) -> Iterator[tuple[str, Any]]:
    """Methods and data of a class itself, without what Python puts into every one."""
    for name, value in vars(described).items():
        if not (name.startswith("__") and name.endswith("__")) or isinstance(
            value, (FunctionType, staticmethod, classmethod, property)
        ):
            yield name, value


def _is_computed(described: type, name: str) -> bool:
    return isinstance(getattr(described, name, None), functools.cached_property)


def read_by(function: FunctionType) -> dict[str, Any]:
    """Name -> value of what a function and those within it read from around, also through modules: `settings.width`."""
    names = {name: value for name, value in function.__globals__.items() if not name.startswith("__")}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # nothing is in it yet
            names[name] = cell.cell_contents
    read: dict[str, Any] = {}
    for code in _codes(function.__code__):
        path, value = "", None
        for instruction in dis.get_instructions(code):
            name = instruction.argval
            if instruction.opname in _LOADS and name in names:
                path, value = name, names[name]
            elif path and instruction.opname in _ATTRIBUTES and isinstance(value, ModuleType):
                path, value = f"{path}.{name}", getattr(value, name, None)
            else:
                path = ""
                continue
            read[path] = value
    return {name: value for name, value in read.items() if not isinstance(value, ModuleType)}


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _codes_of(file: str) -> list[CodeType]:
    """The code of everything in a file as it is now; none where it is no Python."""
    try:
        return list(_codes(compile(Path(file).read_bytes(), file, "exec", dont_inherit=True)))
    except (OSError, SyntaxError, ValueError):
        return []


def _source(code: CodeType) -> str:
    """The text of a function, wherever it stands; empty where there is none."""
    # What `exec` makes of text is all called <string>, and from Python 3.13 on so is the text of `python -c`: its lines
    # would pass for those of the function.
    if code.co_filename == "<string>":
        return ""
    try:
        return _lambda(code) if code.co_name == "<lambda>" else textwrap.dedent(inspect.getsource(code))
    except (OSError, TypeError, SyntaxError):
        return ""


def _lambda(code: CodeType) -> str:
    """A lambda without the line around it; empty where columns are not known."""
    spans = [
        ((first, start), (last, end))
        for first, last, start, end in code.co_positions()
        if None not in (first, last, start, end) and (first, start) != (last, end)
    ]
    nodes = [
        node
        for node in ast.walk(ast.parse("".join(inspect.findsource(code)[0])))
        if isinstance(node, ast.Lambda)
        and node.lineno == code.co_firstlineno
        and all(_start(node.body) <= first and last <= _end(node.body) for first, last in spans)
    ]
    return ast.unparse(max(nodes, key=lambda node: _start(node.body))) if spans and nodes else ""


def _start(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _end(node: ast.expr) -> tuple[int, int]:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return node.end_lineno, node.end_col_offset
