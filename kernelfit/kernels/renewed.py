"""A function of the user's with the functions that it calls, to be compiled for what they read now.

Of a function that Numba has compiled, or stored on the disk, compiled code keeps the globals that it read then, also
within whatever calls it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CellType, FunctionType, ModuleType
from typing import Any

from numba.core.dispatcher import Dispatcher

from kernelfit.kernels.fingerprint import is_installed, read_by


def renewed(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function where it reads no compiled one from around, else a copy that reads them not compiled yet: from
    globals, closures and modules, and these in the same way. Those of installed packages stay."""
    if not isinstance(function, FunctionType):
        return function
    copy = _copied(function)
    return copy if _renew_around(copy, {}) else function


def _renew_around(function: FunctionType, known: dict[int, Any]) -> bool:
    """Have a copy read functions that are not compiled yet; whether it reads any. `known`: by what they stand for."""
    home = function.__code__.co_filename
    read = {
        path: value
        for path, value in read_by(function).items()
        if isinstance(value, Dispatcher) and _is_own(value.py_func.__code__.co_filename, home)
    }
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    copies: set[int] = set()
    for path, value in read.items():
        name, *attributes = path.split(".")
        fresh = _uncompiled(value, known)
        if attributes:
            module = cells[name].cell_contents if name in cells else function.__globals__[name]
            fresh = _with_attribute(module, attributes, fresh, copies)
        if name in cells:
            cells[name].cell_contents = fresh
        else:
            function.__globals__[name] = fresh
    return bool(read)


def _is_own(file: str, home: str) -> bool:
    return file == home or not is_installed(file)


def _uncompiled(compiled: Any, known: dict[int, Any]) -> Any:
    """With the same options, and the same signatures where no others are taken."""
    if id(compiled) not in known:
        function = _copied(compiled.py_func)
        options = dict(compiled.targetoptions)
        fresh = type(compiled)(function, compiled.locals, options, compiled._compiler.pipeline_class)
        known[id(compiled)] = fresh  # before what it reads: it may call itself
        _renew_around(function, known)
        if not compiled._can_compile:
            for signature in compiled.nopython_signatures:
                fresh.compile(signature.args)
            fresh.disable_compile()
    return known[id(compiled)]


def _copied(function: FunctionType) -> FunctionType:
    """With globals and cells of its own."""
    cells = tuple(_cell(cell) for cell in function.__closure__ or ())
    copy = FunctionType(
        function.__code__, dict(function.__globals__), function.__name__, function.__defaults__, cells
    )
    copy.__kwdefaults__, copy.__qualname__ = function.__kwdefaults__, function.__qualname__
    return copy


def _cell(cell: CellType) -> CellType:
    try:
        return CellType(cell.cell_contents)
    except ValueError:  # nothing is in it yet
        return CellType()


def _with_attribute(module: ModuleType, path: list[str], value: Any, copies: set[int]) -> ModuleType:
    """A copy of the module, itself where it is one of `copies`, whose attribute at the end of `path` is `value`."""
    copy = module
    if id(module) not in copies:
        copy = ModuleType(module.__name__)
        vars(copy).update(vars(module))
        copies.add(id(copy))
    name, *rest = path
    vars(copy)[name] = _with_attribute(vars(copy)[name], rest, value, copies) if rest else value
    return copy
