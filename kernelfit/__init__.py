"""Exact kernel interpolation at scale, certified.

    >>> import kernelfit
    >>> solution = kernelfit.solve(X, Y, kernel="gaussian", gamma=0.02)  # doctest: +SKIP
    >>> solution.predict(X_test), solution.certificate.backward_error    # doctest: +SKIP

What is exported here is imported when it is first used, so that `import kernelfit` stays fast.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kernelfit import datasets, deep, errors, expressivity, features, kernels, metrics, progress
    from kernelfit.estimators import KernelClassifier, KernelInterpolator
    from kernelfit.experiments.experiment import Experiment
    from kernelfit.experiments.leaderboard import leaderboard
    from kernelfit.solver.certificate import Certificate
    from kernelfit.solver.check import check
    from kernelfit.solver.resume import open_run as open
    from kernelfit.solver.resume import resume
    from kernelfit.solver.solution import Solution, load
    from kernelfit.solver.solve import solve
    from kernelfit.streaming.gram import feature_gram

    __version__: str

if sys.platform == "win32":
    raise ImportError("kernelfit runs on Linux and macOS; on Windows use it in WSL, the subsystem for Linux")
# A checkout holds the command beside this folder, not inside it: only an installation brings them together.
if find_spec("kernelfit.cli") is None:
    raise ImportError(
        "kernelfit is not installed: run `python -m pip install -e .` in the folder that holds pyproject.toml, "
        "or `make solve`, which does it in a virtual environment"
    )

__all__ = [
    "Certificate",
    "Experiment",
    "KernelClassifier",
    "KernelInterpolator",
    "Solution",
    "__version__",
    "check",
    "datasets",
    "deep",
    "errors",
    "expressivity",
    "feature_gram",
    "features",
    "kernels",
    "leaderboard",
    "load",
    "metrics",
    "open",
    "progress",
    "resume",
    "solve",
]

#: where a public name is defined, and as what
_HOMES = {
    "Certificate": ("kernelfit.solver.certificate", "Certificate"),
    "Experiment": ("kernelfit.experiments.experiment", "Experiment"),
    "KernelClassifier": ("kernelfit.estimators", "KernelClassifier"),
    "KernelInterpolator": ("kernelfit.estimators", "KernelInterpolator"),
    "Solution": ("kernelfit.solver.solution", "Solution"),
    "check": ("kernelfit.solver.check", "check"),
    "feature_gram": ("kernelfit.streaming.gram", "feature_gram"),
    "leaderboard": ("kernelfit.experiments.leaderboard", "leaderboard"),
    "load": ("kernelfit.solver.solution", "load"),
    "open": ("kernelfit.solver.resume", "open_run"),
    "resume": ("kernelfit.solver.resume", "resume"),
    "solve": ("kernelfit.solver.solve", "solve"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        near = difflib.get_close_matches(name, __all__, 1)
        remedy = f"; did you mean {near[0]!r}?" if near else ""
        raise AttributeError(f"module 'kernelfit' has no attribute {name!r}{remedy}")
    if name == "__version__":
        value: Any = importlib.import_module("importlib.metadata").version("kernelfit")
    elif name in _HOMES:
        module, attribute = _HOMES[name]
        value = getattr(importlib.import_module(module), attribute)
    else:
        value = importlib.import_module(f"kernelfit.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
