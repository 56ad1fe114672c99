"""A network of one's own, named `package.module:function` or `package.module:Class`. No torch here, unless the module
imports it.

The function or class is called with those of `shape` (height, width, channels), `n_classes` and `dropout` that it
takes, and gives an `nn.Module` from images (B, channels, height, width) to logits (B, n_classes). Its weights are drawn
after `torch.manual_seed(seed)`; other sources of chance, and state outside parameters and persistent buffers, would
make a run that no resume repeats.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from kernelfit.errors import InputError

_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_own(name: str) -> bool:
    """Whether `name` has the form `module:attribute`."""
    return _NAME.fullmatch(name) is not None


def source_digest(name: str) -> str:
    """A hash of the module's file, or of all Python files of the package in which it lies: a run belongs to the network
    as its code was then.
    """
    module = name.partition(":")[0]
    spec = _spec(name, module)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise InputError(
            f"model: got {name!r}, expected a module that Python finds; check sys.path or PYTHONPATH"
        )
    package = _spec(name, spec.parent) if spec.parent else None
    if package is None or package.origin is None:  # a folder without __init__.py may hold anything
        return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()[:16]
    digest = hashlib.sha256()
    for folder in map(Path, package.submodule_search_locations or ()):
        for path in sorted(folder.rglob("*.py")):
            name_inside = path.relative_to(folder)
            if path.is_file() and not any(
                part.startswith(".") for part in name_inside.parts
            ):  # editors' copies
                own = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"{name_inside.as_posix()} {own}\n".encode())
    return digest.hexdigest()[:16]


def _spec(name: str, module: str) -> ModuleSpec | None:
    """Where Python finds a module; InputError where a package on the way to it cannot be imported."""
    try:
        return importlib.util.find_spec(module)
    except (Exception, SystemExit) as error:  # which may raise anything
        raise _not_found(name, error) from None


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
    source = source_digest(name)
    try:
        imported = importlib.import_module(module)
        factory = getattr(imported, attribute)
        inspect.signature(factory)
    except (Exception, SystemExit) as error:  # the module's own code may raise anything, and end a script
        raise _not_found(name, error) from error
    # Python imports a module once. The note goes with its spec, of which `importlib.reload` makes a new one.
    noted = vars(imported.__spec__).setdefault("kernelfit_source", source)
    if noted != source:
        raise InputError(
            f"model: the code of {module} has changed since Python imported it; restart Python, or reload the module"
        )
    function: Callable[..., Any] = factory
    return function


def _not_found(name: str, error: BaseException) -> InputError:
    return InputError(f"model: {name} cannot be imported ({in_one_line(error)})")


def in_one_line(error: BaseException) -> str:
    """Its type and what it says."""
    return " ".join(f"{type(error).__name__}: {error}".split())
