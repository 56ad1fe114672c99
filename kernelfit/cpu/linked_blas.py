"""The BLAS that NumPy and SciPy call: a process may hold others, which packages beside them bring and which multiply
nothing of ours."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Collection, Iterator
from typing import Any

from kernelfit.cpu import scipy_blas

# NumPy's module that is linked against BLAS, before and since 2.0, and what its library may call the product.
_NUMPY = ("numpy._core._multiarray_umath", "numpy.core._multiarray_umath")
_SPELT = ("cblas_dgemm", "scipy_cblas_dgemm64_", "cblas_dgemm64_", "scipy_cblas_dgemm")
# Hands calls on to a library that is loaded beside it.
_HANDS_ON = "flexiblas"


class _Place(ctypes.Structure):
    """`Dl_info`, see dladdr(3)."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


def linked_libraries() -> list[Any]:
    """What threadpoolctl has of them; of all libraries that are loaded, where no one can tell which are theirs.

    Empty on macOS where they call Apple's Accelerate, of which threadpoolctl knows nothing.
    """
    import numpy as np
    from threadpoolctl import ThreadpoolController

    assert np is not None  # loaded, as SciPy's is, so that it is seen
    files = {os.path.realpath(file) for file in map(_file_of, _products()) if file}
    loaded = [each for each in ThreadpoolController().lib_controllers if each.user_api == "blas"]
    linked = [each for each in loaded if os.path.realpath(each.filepath) in files]
    if any(each.internal_api == _HANDS_ON for each in linked):
        return loaded
    return linked if linked or sys.platform == "darwin" else loaded


def accelerate_version(linked: Collection[Any]) -> str | None:
    """The version of Apple's Accelerate, which comes with the system, where none of the `linked` libraries computes."""
    return f"of macOS {platform.mac_ver()[0]}" if sys.platform == "darwin" and not linked else None


def _products() -> Iterator[int]:
    """Where the products are that SciPy and NumPy call."""
    yield scipy_blas.address("blas", "dgemm")
    for name in _NUMPY:
        file = getattr(sys.modules.get(name), "__file__", None) or ""
        try:
            symbols = None if file.endswith(".py") or not file else ctypes.CDLL(file)
        except OSError:
            continue
        for spelt in _SPELT:
            symbol = getattr(symbols, spelt, None)
            if symbol is not None:
                yield ctypes.cast(symbol, ctypes.c_void_p).value or 0


def _file_of(address: int) -> str | None:
    """The library that an address lies in, where the system tells."""
    try:
        ask = ctypes.CDLL(None).dladdr
    except (AttributeError, OSError, TypeError):
        return None
    ask.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Place)]
    place = _Place()
    return os.fsdecode(place.file) if ask(address, ctypes.byref(place)) and place.file else None
