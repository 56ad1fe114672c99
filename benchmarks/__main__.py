"""`python -m benchmarks list` and `python -m benchmarks run NAME OPTIONS`."""

from __future__ import annotations

import ast
import importlib
import sys
from importlib.util import find_spec
from pathlib import Path

#: name on the command line -> module with `main(words)`
BENCHMARKS = {
    "solve": "benchmarks.solve",
    "disk": "benchmarks.disk",
    "scikit-learn": "benchmarks.peers.scikit_learn",
    "random-conv": "benchmarks.random_conv",
    "learning-curve": "benchmarks.learning_curve",
    "draws": "benchmarks.draws",
    "expressivity": "benchmarks.expressivity",
    "corruptions": "benchmarks.corruptions",
    "grid-search": "benchmarks.grid_search",
    "kills": "benchmarks.fuzz.kills",
    "full-disk": "benchmarks.fuzz.full_disk",
    "fuzz": "benchmarks.fuzz.fuzz",
    "problems": "benchmarks.fuzz.problems",
    "gpu": "benchmarks.gpu.acceptance",
}


def about(module: str) -> str:
    """The first line of a module's docstring; the module is not imported."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    doc = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8")))
    return (doc or "").splitlines()[0]


def main(words: list[str]) -> None:
    match words:
        case ["list"]:
            for name, module in BENCHMARKS.items():
                print(f"{name:>14}  {about(module)}")
        case ["run", name, *options] if name in BENCHMARKS:
            sys.argv[0] = f"python -m benchmarks run {name}"
            importlib.import_module(BENCHMARKS[name]).main(options)
        case _:
            names = ", ".join(BENCHMARKS)
            sys.exit(f"benchmarks: got {' '.join(words)!r}, expected `list` or `run NAME`; names: {names}")


if __name__ == "__main__":
    main(sys.argv[1:])
