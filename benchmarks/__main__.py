"""`python -m benchmarks list`, `run NAME OPTIONS`, `table FILE`, and `plot FILE PICTURE` of a record."""

from __future__ import annotations

import ast
import importlib
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kernelfit.cli.signals import ended_by_signals

#: name on the command line -> module with `main(words)`, and where there is more to show than rows of numbers
#: `table(record)`, the text of a table, and `plot(record)`, a figure
BENCHMARKS = {
    "solve": "benchmarks.solve",
    "disk": "benchmarks.disk",
    "shifted-mnist": "benchmarks.shifted_mnist",
    "cluster": "benchmarks.cluster",
    "cluster-uneven": "benchmarks.cluster_uneven",
    "cluster-kills": "benchmarks.cluster_kills",
    "guard": "benchmarks.guard",
    "solve-time": "benchmarks.solve_time",
    "small": "benchmarks.small",
    "factors": "benchmarks.factors",
    "products": "benchmarks.products",
    "peers-cpu": "benchmarks.peers.compare",
    "approximate": "benchmarks.peers.approximate",
    "random-conv": "benchmarks.random_conv",
    "learning-curve": "benchmarks.learning_curve",
    "draws": "benchmarks.draws",
    "feature-kernels": "benchmarks.feature_kernels",
    "random-conv-levers": "benchmarks.random_conv_levers",
    "expressivity": "benchmarks.expressivity",
    "corruptions": "benchmarks.corruptions",
    "grid-search": "benchmarks.grid_search",
    "kills": "benchmarks.fuzz.kills",
    "full-disk": "benchmarks.fuzz.full_disk",
    "fuzz": "benchmarks.fuzz.fuzz",
    "problems": "benchmarks.fuzz.problems",
    "gpu": "benchmarks.gpu.acceptance",
}
_WORDS = "`list`, `run NAME`, `table FILE` or `plot FILE PICTURE`"


def about(module: str) -> str:
    """The first line of a module's docstring; the module is not imported."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    doc = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8")))
    return (doc or "").splitlines()[0]


def read(file: str) -> tuple[dict[str, Any], Any]:
    """A record, and the module that wrote it; None where that is no longer one of the benchmarks."""
    try:
        record: Any = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"benchmarks: {file} cannot be read ({error})")
    if not isinstance(record, dict) or "benchmark" not in record:
        sys.exit(f"benchmarks: {file} is no record of a benchmark")
    ends = {module.rpartition(".")[2]: module for module in BENCHMARKS.values()}
    module = ends.get(record["benchmark"])
    return record, None if module is None else importlib.import_module(module)


def table(record: dict[str, Any]) -> str:
    """Numbers and short texts of the record, and of each of its rows."""
    plain = [f"{name}: {value}" for name, value in record.items() if isinstance(value, (int, float, str))]
    rows = [row for row in record.get("rows", []) if isinstance(row, dict)]
    names = list(dict.fromkeys(name for row in rows for name, value in row.items() if _short(value)))
    lines = ["\t".join(names)] if rows else []
    lines += ["\t".join(_cell(row.get(name)) for name in names) for row in rows]
    return "\n".join([*plain, *lines]).expandtabs(16)


def _short(value: Any) -> bool:
    return isinstance(value, (int, float)) or (isinstance(value, str) and len(value) < 40)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value) if _short(value) else "-"


def plot(record: dict[str, Any], module: Any, picture: Path) -> None:
    """The benchmark's own figure; exits with one line where it has none."""
    from kernelfit.report import figures

    draw = getattr(module, "plot", None)
    if draw is None:
        sys.exit(f"benchmarks: {record['benchmark']} has no figure; `table` shows its rows")
    figures.save(draw(record), picture)


def main(words: list[str]) -> None:
    match words:
        case ["list"]:
            for name, module in BENCHMARKS.items():
                print(f"{name:>14}  {about(module)}")
        case ["run", name, *options] if name in BENCHMARKS:
            sys.argv[0] = f"python -m benchmarks run {name}"
            with ended_by_signals():  # a process that it started ends with it
                importlib.import_module(BENCHMARKS[name]).main(options)
        case ["table", file]:
            record, module = read(file)
            print(getattr(module, "table", table)(record))
        case ["plot", file, picture]:
            plot(*read(file), Path(picture))
        case _:
            names = ", ".join(BENCHMARKS)
            sys.exit(f"benchmarks: got {' '.join(words)!r}, expected {_WORDS}; names: {names}")


if __name__ == "__main__":
    main(sys.argv[1:])
