"""A network of one's own, named `package.module:function` or `package.module:Class`. No torch here, unless the module
imports it.

The function or class is called with those of `shape` (height, width, channels), `n_classes` and `dropout` that it
takes, and gives an `nn.Module` from images (B, channels, height, width) to logits (B, n_classes). Its weights are drawn
after `torch.manual_seed(seed)`; other sources of chance, and state outside parameters and buffers, would make a run
that no resume repeats.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kernelfit.errors import InputError

_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_own(name: str) -> bool:
    """Whether `name` has the form `module:attribute`."""
    return _NAME.fullmatch(name) is not None


def source_digest(name: str) -> str:
    """A hash of the file of the module: a run belongs to the network as its code was then."""
    module = name.partition(":")[0]
    try:
        spec = importlib.util.find_spec(module)
    except Exception as error:  # a parent package is imported on the way and may raise anything
        raise _not_found(name, error) from None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise InputError(
            f"model: got {name!r}, expected a module that Python finds; check sys.path or PYTHONPATH"
        )
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()[:16]


def make(name: str, **arguments: Any) -> Any:
    """What the function gives for those of `arguments` that it takes."""
    factory = _factory(name)
    parameters = inspect.signature(factory).parameters
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    if arguments.get("dropout") and not takes_all and "dropout" not in parameters:
        raise InputError(
            f"dropout: got {arguments['dropout']}, but {name} takes no argument dropout; leave it out"
        )
    taken = {key: value for key, value in arguments.items() if takes_all or key in parameters}
    try:
        return factory(**taken)
    except Exception as error:
        raise InputError(f"model: {name}({', '.join(taken)}) raised {in_one_line(error)}") from error


def _factory(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    try:
        factory = getattr(importlib.import_module(module), attribute)
        inspect.signature(factory)
    except Exception as error:  # the module's own code may raise anything
        raise _not_found(name, error) from error
    function: Callable[..., Any] = factory
    return function


def _not_found(name: str, error: Exception) -> InputError:
    return InputError(f"model: {name} cannot be imported ({in_one_line(error)})")


def in_one_line(error: Exception) -> str:
    """Its type and what it says."""
    return " ".join(f"{type(error).__name__}: {error}".split())
