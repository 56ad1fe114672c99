"""Arrays of other libraries: taken as NumPy's, and given back as they came where scikit-learn dispatches on arrays.

scikit-learn's rule (its user guide, Array API support): with `set_config(array_api_dispatch=True)` an estimator returns
arrays of the namespace and on the device of X; without it NumPy's. The arithmetic is ours either way.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from sklearn import get_config

from kernelfit.gram.arrays import refuse_foreign, refuse_masked


def on_host(values: Any, name: str) -> Any:
    """A torch, CuPy or other array of the array API as NumPy's; anything else as it is. Raises `InputError`."""
    if not _is_foreign(values):
        refuse_foreign(values, name)
        refuse_masked(values, name)
        return values
    if _library(values) == "torch":
        if _dispatches():
            values = values.detach().cpu()
        refuse_foreign(values, name)
        return values.numpy()
    if _dispatches() and hasattr(values, "get"):  # CuPy's way to the host
        return values.get()
    return np.asarray(values)


def as_given(values: Any, like: Any) -> Any:
    """NumPy's values in the namespace and on the device of `like`, where scikit-learn dispatches on arrays."""
    if isinstance(values, tuple):
        return tuple(as_given(each, like) for each in values)
    if not (_dispatches() and _is_foreign(like)) or values.dtype.kind not in "buif":
        return values
    if _library(like) == "torch":
        return sys.modules["torch"].asarray(values, device=like.device)
    namespace = like.__array_namespace__()
    return namespace.asarray(values, device=getattr(like, "device", None))


def _dispatches() -> bool:
    return bool(get_config().get("array_api_dispatch"))


def _library(values: Any) -> str:
    return type(values).__module__.partition(".")[0]


def _is_foreign(values: Any) -> bool:
    return not isinstance(values, (np.ndarray, np.generic)) and (
        _library(values) == "torch" or hasattr(values, "__array_namespace__")
    )
