"""The measures of the house: sizes of functions, files at the top, and which way imports run.

`python tests/packaging/test_house.py` prints them with every offender.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: import name -> folder
PACKAGES = {"kernelfit": "kernelfit", "kernelfit.cli": "cli", "kernelfit.cuda_kernels": "cuda_kernels"}

MAX_LINES = 80
MAX_PARAMETERS = 8
MAX_FILES_AT_TOP = 9
#: public functions that take every option of a solve, or of a data set, by name; constructors of estimators and
#: feature maps, and click's callbacks, are recognised by their bases and decorators
WIDE = {"leaderboard", "solve", "resume", "open", "feature_gram", "load"}
#: module -> own modules it may import inside a function, with the reason
LATE: dict[str, dict[str, str]] = {
    "kernelfit.experiments.reproduction": {
        "kernelfit.estimators": "they load scikit-learn, which only who asks for an estimator wants"
    }
}
#: a room imports from itself and from rows below, as `docs/architecture.md` has it; the last row also from itself
ROWS = (
    ("cli",),
    ("deep", "study"),
    ("report",),
    ("experiments",),
    ("estimators",),
    ("solver",),
    ("streaming",),
    ("runs", "cluster", "iterative"),
    ("device",),
    ("linalg",),
    ("storage",),
    ("gram",),
    ("kernels", "features", "datasets", "expressivity"),
    ("cpu", "cuda_kernels"),
    ("typing", "frozen", "errors", "arguments", "progress", "metrics", "summary"),
)
LEVEL = {room: level for level, row in enumerate(ROWS) for room in row}


@dataclass
class Module:
    """One file and what it imports of ours: at once, and inside functions."""

    name: str
    path: Path
    tree: ast.Module
    early: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)

    @property
    def room(self) -> str:
        return self.name.split(".")[1] if "." in self.name else ""


def modules() -> dict[str, Module]:
    """Every module of the package by its import name, with its imports."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join((package, *(part for part in parts if part != "__init__")))
            found[name] = Module(name, path, ast.parse(path.read_text(encoding="utf-8")))
    for module in found.values():
        _collect(module, module.tree, found, inside=False)
    return found


def _collect(module: Module, node: ast.AST, known: dict[str, Module], inside: bool) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            (module.late if inside else module.early).update(_targets(module, child, known))
        inner = inside or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        _collect(module, child, known, inner)


def _targets(module: Module, node: ast.Import | ast.ImportFrom, known: dict[str, Module]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in known)
        return
    base = node.module or ""
    if node.level:
        package = module.name.split(".")
        drop = node.level - (module.path.name == "__init__.py")
        base = ".".join([*package[: len(package) - drop], *([base] if base else [])])
    if base not in known:
        return
    for alias in node.names:
        inner = f"{base}.{alias.name}"
        yield inner if inner in known else base


def functions(module: Module) -> Iterator[tuple[str, ast.FunctionDef, ast.ClassDef | None]]:
    """Qualified name, definition and class of every function."""

    def within(
        node: ast.AST, prefix: str, owner: ast.ClassDef | None
    ) -> Iterator[tuple[str, ast.FunctionDef, ast.ClassDef | None]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef):
                yield prefix + child.name, child, owner
                yield from within(child, f"{prefix}{child.name}.", None)
            elif isinstance(child, ast.ClassDef):
                yield from within(child, f"{prefix}{child.name}.", child)
            else:
                yield from within(child, prefix, owner)

    return within(module.tree, f"{module.name}:", None)


def length(function: ast.FunctionDef) -> int:
    """Lines from `def` to the end without the docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def parameters(function: ast.FunctionDef) -> int:
    """How many arguments it takes, `self` aside."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return (
        len(named)
        - (bool(named) and named[0].arg in ("self", "cls"))
        + bool(given.vararg)
        + bool(given.kwarg)
    )


def is_wide_by_rule(function: ast.FunctionDef, owner: ast.ClassDef | None) -> bool:
    """The public API and its constructors, and what click calls with one argument an option."""
    decorators = " ".join(ast.unparse(decorator) for decorator in function.decorator_list)
    if owner is None:
        return function.name in WIDE or ".command(" in decorators or "click." in decorators
    bases = " ".join(ast.unparse(base) for base in owner.bases)
    return function.name == "__init__" and (
        owner.name == "Experiment" or "ImageFeatures" in bases or "Estimator" in bases or "_Kernel" in bases
    )


def long_functions(found: dict[str, Module]) -> list[str]:
    sizes = [(length(f), name) for module in found.values() for name, f, _ in functions(module)]
    return [f"{size} lines: {name}" for size, name in sorted(sizes, reverse=True) if size > MAX_LINES]


def wide_functions(found: dict[str, Module]) -> list[str]:
    counts = [
        (parameters(f), name)
        for module in found.values()
        for name, f, owner in functions(module)
        if not is_wide_by_rule(f, owner)
    ]
    return [
        f"{count} parameters: {name}"
        for count, name in sorted(counts, reverse=True)
        if count > MAX_PARAMETERS
    ]


def files_at_top() -> list[str]:
    return sorted(path.name for path in (ROOT / "kernelfit").iterdir() if path.is_file())


def circles(found: dict[str, Module]) -> list[str]:
    """Strongly connected components of more than one module, late imports counted."""
    graph = {name: (module.early | module.late) - {name} for name, module in found.items()}
    reach: dict[str, set[str]] = {}
    for name in graph:
        seen: set[str] = set()
        todo = [name]
        while todo:
            for target in graph[todo.pop()] - seen:
                seen.add(target)
                todo.append(target)
        reach[name] = seen
    components = {
        tuple(sorted({name, *(other for other in reach[name] if name in reach[other])}))
        for name in graph
        if name in reach[name]
    }
    return [" <-> ".join(component) for component in sorted(components)]


def late_imports(found: dict[str, Module]) -> list[str]:
    return [
        f"{name} imports {target} inside a function"
        for name, module in sorted(found.items())
        for target in sorted(module.late)
        if target not in LATE.get(name, {})
    ]


def upward_imports(found: dict[str, Module]) -> list[str]:
    return [
        f"{name} imports {target}"
        for name, module in sorted(found.items())
        for target in sorted(module.early | module.late)
        if module.room in LEVEL and not _is_below(found[target].room, module.room)
    ]


def _is_below(target: str, room: str) -> bool:
    # The face and `__main__` stand above everything.
    level = LEVEL.get(target, -1)
    return level > LEVEL[room] or target == room or level == len(ROWS) - 1


def homeless_rooms(found: dict[str, Module]) -> list[str]:
    return sorted({module.room for module in found.values()} - {"", "__main__", *LEVEL})


MEASURES = {
    f"functions longer than {MAX_LINES} lines": long_functions,
    f"functions of more than {MAX_PARAMETERS} parameters": wide_functions,
    "circles of imports": circles,
    "late imports of our own modules": late_imports,
    "imports upwards": upward_imports,
    "rooms without a row": homeless_rooms,
}


@pytest.fixture(scope="module")
def found() -> dict[str, Module]:
    return modules()


@pytest.mark.parametrize("measure", MEASURES)
def test_the_house_keeps_its_measures(found: dict[str, Module], measure: str) -> None:
    assert MEASURES[measure](found) == []


def test_files_at_the_top() -> None:
    assert len(files_at_top()) <= MAX_FILES_AT_TOP, files_at_top()


def test_the_architecture_draws_the_same_rows() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    picture = page.partition("## Directions")[2].split("```")[1]
    drawn, above = set[str](), -1
    for line in picture.strip().splitlines():
        levels = [LEVEL[room] for room in re.findall(r"\w+", line)]
        assert min(levels) > above, line
        drawn, above = drawn | set(re.findall(r"\w+", line)), max(levels)
    assert drawn == LEVEL.keys() - {"cuda_kernels"}


def main() -> None:
    found = modules()
    for name, measure in MEASURES.items():
        offenders = measure(found)
        print(f"{name}: {len(offenders)}")
        for offender in offenders:
            print(f"    {offender}")
    print(f"files at the top of kernelfit/: {len(files_at_top())}")


if __name__ == "__main__":
    main()
