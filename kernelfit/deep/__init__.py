"""The paper's randomization tests of networks.

    options     the words that options take (no torch)
    recipe      everything that decides a run's numbers (no torch)
    models      the networks
    data        batches of images
    training    the loop, checkpoints, sweeps
    analysis    past the paper: norms, kernels, Rademacher complexity
    paper       the tables and figures

Imports go paper, analysis -> training -> data, models -> recipe -> options.

The names of `__all__` are here too. They load when they are named, and torch with them: it takes seconds, and the
command line shows its help where torch is not installed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kernelfit.errors import InputError

if TYPE_CHECKING:
    from kernelfit.deep.analysis.analyse import analyse, check_analyses
    from kernelfit.deep.paper.plan import plan
    from kernelfit.deep.paper.reproduce import Request, reproduce
    from kernelfit.deep.training.hardware import Hardware
    from kernelfit.deep.training.sweep import network, train
    from kernelfit.deep.training.sweep import run as sweep

__all__ = [
    "Hardware",
    "Request",
    "analyse",
    "check_analyses",
    "network",
    "plan",
    "reproduce",
    "sweep",
    "train",
]

_HOMES = {
    "Hardware": ("training.hardware", "Hardware"),
    "Request": ("paper.reproduce", "Request"),
    "analyse": ("analysis.analyse", "analyse"),
    "check_analyses": ("analysis.analyse", "check_analyses"),
    "network": ("training.sweep", "network"),
    "plan": ("paper.plan", "plan"),
    "reproduce": ("paper.reproduce", "reproduce"),
    "sweep": ("training.sweep", "run"),
    "train": ("training.sweep", "train"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    try:
        return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise InputError("deep: torch is missing; pip install 'kernelfit[deep]'") from None
