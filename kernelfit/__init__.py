"""Exact kernel interpolation at scale, certified.

    >>> import kernelfit
    >>> solution = kernelfit.solve(X, Y, kernel="gaussian", gamma=0.02)  # doctest: +SKIP
    >>> solution.predict(X_test), solution.certificate.backward_error    # doctest: +SKIP

What is exported here is imported when it is first used, so that `import kernelfit` stays fast.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from kernelfit.estimators import KernelClassifier, KernelInterpolator
    from kernelfit.solver.certificate import Certificate
    from kernelfit.solver.check import check
    from kernelfit.solver.resume import resume
    from kernelfit.solver.solution import Solution
    from kernelfit.solver.solve import solve

__version__ = "0.1.0"

# A checkout holds the command beside this folder, not inside it: only an installation brings them together.
if find_spec("kernelfit.cli") is None:
    raise ImportError(
        "kernelfit is not installed: run `python -m pip install -e .` in the folder that holds pyproject.toml, "
        "or `make solve`, which does it in a virtual environment"
    )

__all__ = [
    "Certificate",
    "KernelClassifier",
    "KernelInterpolator",
    "Solution",
    "__version__",
    "check",
    "load",
    "open",
    "resume",
    "solve",
]

_HOMES = {
    "Certificate": "kernelfit.solver.certificate",
    "KernelClassifier": "kernelfit.estimators",
    "KernelInterpolator": "kernelfit.estimators",
    "Solution": "kernelfit.solver.solution",
    "check": "kernelfit.solver.check",
    "resume": "kernelfit.solver.resume",
    "solve": "kernelfit.solver.solve",
}


def load(path: str, function: Any = None) -> Solution:
    """Read a solution that `Solution.save` wrote."""
    from kernelfit.solver.solution import Solution

    return Solution.load(path, function)


def open(folder: str | Path, **given: Any) -> Solution:
    """The solution of a finished run in `folder`, with its factor; see `kernelfit.solver.resume.open_run`."""
    from kernelfit.solver.resume import open_run

    return open_run(folder, **given)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'kernelfit' has no attribute {name!r}")
