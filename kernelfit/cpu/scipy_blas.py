"""The BLAS and LAPACK that SciPy brings, by address and without `scipy.linalg`, whose import takes 20 MB.

Its modules for Cython are linked against them: a symbol that is sought in such a module is sought in those as well.
"""

from __future__ import annotations

import ctypes
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec

_MODULES = {"blas": "cython_blas", "lapack": "cython_lapack"}
#: how a routine is called in SciPy's own OpenBLAS, and in other libraries
_SPELT = ("scipy_{}_", "{}_")


@cache
def library(name: str) -> ctypes.CDLL | None:
    """SciPy's module for "blas" or "lapack", loaded with what it is linked against; None where it is no such file."""
    parent = find_spec("scipy.linalg")
    folders = parent.submodule_search_locations if parent else None
    module = PathFinder.find_spec(_MODULES[name], folders)
    try:
        return ctypes.CDLL(module.origin) if module and module.origin else None
    except OSError:
        return None


def address(name: str, routine: str) -> int:
    """Where a routine of Fortran's interface is, which takes all arguments by address: `address("blas", "dgemm")`."""
    symbols = library(name)
    for spelt in _SPELT if symbols else ():
        symbol = getattr(symbols, spelt.format(routine), None)
        if symbol is not None:
            return ctypes.cast(symbol, ctypes.c_void_p).value or 0
    return _exported(name, routine)


def _exported(name: str, routine: str) -> int:
    """As SciPy tells it, where the library has other names for its routines."""
    capsule = import_module(f"scipy.linalg.{_MODULES[name]}").__pyx_capi__[routine]
    get_name = ctypes.pythonapi.PyCapsule_GetName
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    found: int = get_pointer(capsule, get_name(capsule))
    return found
