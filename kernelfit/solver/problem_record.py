"""A problem as plain data, and back: what run.h5 and solution.h5 hold of it, spelt out once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import DataError, InputError
from kernelfit.gram.plan import Plan
from kernelfit.gram.points import Points
from kernelfit.gram.pointwise import require_products
from kernelfit.gram.precision import PRECISIONS, precision_of
from kernelfit.gram.protocol import GramSource
from kernelfit.gram.source import KernelGram, Source
from kernelfit.gram.sparse import SparsePoints
from kernelfit.kernels import Kernel, from_description
from kernelfit.runs import run_file
from kernelfit.runs.identity import identity
from kernelfit.runs.run_file import Record
from kernelfit.solver import choice_record
from kernelfit.solver.choice_record import Choice
from kernelfit.solver.method import ITERATIVE, Method
from kernelfit.solver.problem import Problem, of_products
from kernelfit.solver.ridge import RidgeChoice
from kernelfit.solver.search import GammaChoice
from kernelfit.storage import schema
from kernelfit.typing import Array

#: what JSON holds of a problem
META = {
    "kernel": schema.optional(schema.OBJECT),
    "rows_scale": schema.optional(schema.number(above=0.0)),
    "ridge": schema.number(0.0),
    "jitter": schema.number(0.0),
    "precision": schema.one_of(PRECISIONS),
    "rows_given": schema.integer(1),
    "duplicates": schema.sequence(schema.sequence(schema.integer(), 2)),
    "input_scale": schema.optional(schema.number(above=0.0)),
    "single_target": schema.BOOLEAN,
    "condition": schema.BOOLEAN,
    "column_names": schema.optional(schema.sequence(schema.TEXT, 1)),
    "remembered": schema.OBJECT,
}
# Arrays of a solution that depend on its targets.
_OF_TARGETS = ("targets", "alpha", "fitted", "weights")
# Of these, what `kernelfit.runs.identity` does not compare.
_BESIDE_IDENTITY = ("rows_given", "duplicates", "input_scale", "single_target", "column_names", "remembered")


def meta_of(problem: Problem) -> dict[str, Any]:
    """What JSON holds of a problem."""
    return {
        "kernel": problem.kernel.describe() if problem.kernel is not None else None,
        "rows_scale": problem.points.scale if problem.points is not None else None,
        "ridge": problem.ridge,
        **({} if problem.source.formula is None else {"formula": problem.source.formula.describe()}),
        **({} if problem.ridge_per_target is None else {"ridge_per_target": problem.ridge_per_target}),
        "jitter": problem.jitter,
        **(asdict(problem.method) if problem.method.iterates else {}),
        "precision": problem.precision,
        "rows_given": problem.rows_given,
        "duplicates": problem.duplicates,
        "input_scale": problem.input_scale,
        "single_target": problem.single_target,
        "condition": problem.condition,
        "column_names": None if problem.column_names is None else list(problem.column_names),
        "remembered": problem.remembered,
        **{name: choice_record.to_data(choice) for name, choice in _choices(problem)},
        **(
            {"sparse_columns": problem.n_features}
            if problem.points is not None and problem.points.sparse
            else {}
        ),
    }


def _choices(problem: Problem) -> Iterator[tuple[str, RidgeChoice | GammaChoice]]:
    if problem.ridge_choice is not None:
        yield "ridge_choice", problem.ridge_choice
    if problem.gamma_choice is not None:
        yield "gamma_choice", problem.gamma_choice


def _choice(path: Path, meta: dict[str, Any], made: type[Choice], name: str) -> Choice | None:
    return choice_record.of_data(path, made, meta[name], name) if name in meta else None


def arrays_of(problem: Problem) -> dict[str, Array]:
    """The arrays of a problem; a precomputed Gram is not stored."""
    arrays: dict[str, Array] = {"targets": problem.targets, "kept": problem.kept}
    if problem.points is not None:
        arrays |= {f"rows{end}": part for end, part in problem.points.arrays().items()}
    if problem.weights is not None:
        arrays["weights_of_rows"] = problem.weights
    if problem.unweighted is not None:
        arrays |= {f"unweighted{end}": part for end, part in problem.unweighted.arrays().items()}
    if problem.unweighted_rows.size:
        arrays["unweighted_rows"] = problem.unweighted_rows
    return arrays


def problem_of(
    path: Path, meta: dict[str, Any], arrays: dict[str, Array], function: Any, gram: Source | None
) -> Problem:
    """The problem that `meta_of` and `arrays_of` describe; a user's function, or a precomputed Gram, is given again.

    Raises `DataError` where a value breaks its rule or contradicts another.
    """
    schema.require(path, meta, META)
    schema.require_array(path, arrays, "targets", "f", (None, None))
    n, columns = arrays["targets"].shape
    schema.require_array(path, arrays, "kept", "iu", (n,))
    kept = arrays["kept"].astype(np.int64, copy=False)
    groups = tuple(tuple(group) for group in meta["duplicates"])
    unweighted = arrays.get("unweighted_rows", np.zeros(0)).astype(np.int64)
    _require_partition(path, kept, groups, unweighted, meta["rows_given"])
    source: GramSource | None = None
    if gram is not None:
        source = of_kept(of_products(gram, _formula(path, meta)), kept, meta["rows_given"])
    if meta["kernel"] is not None:
        points = _points(path, meta, arrays, "rows", n)
        _require_scale(path, meta["rows_scale"], meta["input_scale"], points.values)
        try:
            kernel = from_description(meta["kernel"], function).settled()
        except InputError as error:
            if str(error).startswith("function:"):  # which is not in the file
                raise
            raise DataError(f"{path}: kernel: {error}; it is damaged or forged") from None
        source = KernelGram(kernel, points)
    if source is None:
        raise InputError(
            f"gram: {path} belongs to a precomputed Gram matrix, which is not stored; give it again"
        )
    if source.n != n:
        raise DataError(f"{path}: has {n} targets for {source.n} rows; start again in another folder")
    if columns == 0 or (meta["single_target"] and columns > 1):
        raise DataError(f"{path}: has {columns} columns of targets, expected one; it is damaged or forged")
    per_target = meta.get("ridge_per_target")
    if per_target is not None:
        schema.require(path, meta, {"ridge_per_target": schema.sequence(schema.number(0.0), columns)})
        if len(per_target) != columns or max(per_target) != meta["ridge"]:
            raise DataError(
                f"{path}: ridge_per_target does not fit its {columns} targets; it is damaged or forged"
            )
    _require_weights(path, arrays, source)
    weights = arrays.get("weights_of_rows")
    return Problem(
        source=source,
        targets=np.ascontiguousarray(arrays["targets"], np.float64),
        ridge=float(meta["ridge"]),
        jitter=float(meta["jitter"]),
        precision=meta["precision"],
        kept=kept,
        rows_given=meta["rows_given"],
        duplicates=groups,
        input_scale=meta["input_scale"],
        single_target=meta["single_target"],
        condition=meta["condition"],
        column_names=_column_names(path, meta["column_names"], source),
        remembered=dict(meta["remembered"]),
        ridge_choice=_choice(path, meta, RidgeChoice, "ridge_choice"),
        gamma_choice=_choice(path, meta, GammaChoice, "gamma_choice"),
        ridge_per_target=None if per_target is None else tuple(float(each) for each in per_target),
        weights=None if weights is None else np.ascontiguousarray(weights, np.float64),
        method=_method(path, meta),
        unweighted=_points(path, meta, arrays, "unweighted", len(unweighted))
        if _has_unweighted(arrays)
        else None,
        unweighted_rows=unweighted,
    )


def of_kept(source: Source, kept: Array, rows_given: int) -> GramSource:
    """K of the rows that took part, where that of all rows was given and some weigh nothing: a copy."""
    if source.n == len(kept) or source.n != rows_given:
        return source
    with CpuBackend() as backend:
        return source.subset(kept.astype(np.int64), backend)


def _method(path: Path, meta: dict[str, Any]) -> Method:
    if "solver" not in meta:
        return Method()
    rules = {"tolerance": schema.optional(schema.number(above=0.0)), "seed": schema.integer()}
    schema.require(path, meta, {"solver": schema.one_of(ITERATIVE), **rules})
    return Method(meta["solver"], meta["tolerance"], meta["seed"])


def _formula(path: Path, meta: dict[str, Any]) -> Kernel | None:
    """The kernel that K was formed by from inner products; None where it was not."""
    if "formula" not in meta:
        return None
    schema.require(path, meta, {"formula": schema.OBJECT})
    try:
        formula = from_description(meta["formula"])
        require_products(formula)
    except InputError as error:
        raise DataError(f"{path}: formula: {error}; it is damaged or forged") from None
    return formula


def _column_names(path: Path, names: list[str] | None, source: GramSource) -> tuple[str, ...] | None:
    """Raise where columns are named that X does not have."""
    if names is None:
        return None
    if source.points is None or len(names) != source.points.shape[1]:
        raise DataError(f"{path}: names {len(names)} columns, expected one name for each column of X")
    return tuple(names)


def _has_unweighted(arrays: dict[str, Array]) -> bool:
    return "unweighted" in arrays or "unweighted_data" in arrays


def _points(path: Path, meta: dict[str, Any], arrays: dict[str, Array], name: str, n: int) -> Points:
    """The n rows of that name: an array, or the three of CSR."""
    if f"{name}_data" not in arrays:
        schema.require_array(path, arrays, name, "iuf", (n, None))
        return Points(arrays[name], meta["rows_scale"])
    from scipy.sparse import csr_array

    schema.require(path, meta, {"sparse_columns": schema.integer(1)})
    schema.require_array(path, arrays, f"{name}_data", "f", (None,))
    data, columns = arrays[f"{name}_data"], meta["sparse_columns"]
    schema.require_array(path, arrays, f"{name}_indices", "iu", (len(data),))
    schema.require_array(path, arrays, f"{name}_indptr", "iu", (n + 1,))
    indices, ends = (arrays[f"{name}_{part}"].astype(np.int64) for part in ("indices", "indptr"))
    ordered = ends[0] == 0 and ends[-1] == len(data) and bool((np.diff(ends) >= 0).all())
    if not ordered or (len(indices) and not 0 <= indices.min() <= indices.max() < columns):
        raise DataError(f"{path}: {name} are no sparse rows of {columns} columns; it is damaged or forged")
    return SparsePoints(csr_array((data, indices, ends), shape=(n, columns)), meta["rows_scale"])


def _require_weights(path: Path, arrays: dict[str, Array], source: GramSource) -> None:
    """Raise where weights are not numbers > 0, one for each row, or rows of weight 0 are not like the others."""
    if "weights_of_rows" in arrays:
        schema.require_array(path, arrays, "weights_of_rows", "f", (source.n,))
        if not (arrays["weights_of_rows"] > 0).all():
            raise DataError(f"{path}: weights_of_rows hold a number <= 0; it is damaged or forged")
    if "unweighted_rows" in arrays:
        schema.require_array(path, arrays, "unweighted_rows", "iu", (None,))
    if _has_unweighted(arrays):
        if source.points is None or "unweighted_rows" not in arrays:
            raise DataError(f"{path}: holds rows of weight 0 without their indices; it is damaged or forged")
        if "unweighted" in arrays:
            shape = (len(arrays["unweighted_rows"]), source.points.shape[1])
            schema.require_array(path, arrays, "unweighted", "iuf", shape)


def _require_scale(path: Path, scale: float | None, given: float | None, rows: Array) -> None:
    """Raise where rows have another scale than the one that was given; bytes that were recognised have their own."""
    recognised = given is None and scale is not None and (scale == 1 or rows.dtype.kind != "f")
    if scale is None or not (scale == given or recognised):
        raise DataError(
            f"{path}: rows_scale is {scale} where input_scale is {given}, expected the same; it is damaged or forged"
        )


def _require_partition(
    path: Path, kept: Array, duplicates: tuple[tuple[int, ...], ...], unweighted: Array, rows_given: int
) -> None:
    """Raise where the rows that were kept are not all but those of weight 0 and the later ones of each group of equal
    rows."""
    dropped = sorted([*unweighted.tolist(), *(row for group in duplicates for row in group[1:])])
    ordered = all(a < b for group in duplicates for a, b in pairwise(group)) and all(
        a < b for a, b in pairwise(dropped)
    )
    if (
        not ordered
        or len(kept) + len(dropped) != rows_given
        or (dropped and not 0 <= dropped[0] <= dropped[-1] < rows_given)
        or not np.array_equal(kept, np.setdiff1d(np.arange(rows_given), dropped))
        or not np.isin([group[0] for group in duplicates], kept).all()
    ):
        raise DataError(
            f"{path}: kept, duplicates and rows_given do not belong together; it is damaged or forged"
        )


def of_another(problem: Problem, meta: dict[str, Any], arrays: dict[str, Array]) -> str | None:
    """What a record has otherwise than `problem` though its identity is the same; None where nothing is."""
    ours = arrays_of(problem)
    for name in ("targets", "kept"):
        if name not in arrays or not np.array_equal(ours[name], arrays[name]):
            return name
    same, theirs = (json.loads(json.dumps(record)) for record in (meta_of(problem), meta))
    return next((name for name in _BESIDE_IDENTITY if same[name] != theirs.get(name)), None)


def of_another_system(problem: Problem, meta: dict[str, Any], arrays: dict[str, Array]) -> str | None:
    """What a stored solution has otherwise than `problem`, but for its targets; None where nothing is."""
    same = json.loads(json.dumps(meta_of(problem)))
    ours = {name: array for name, array in arrays_of(problem).items() if name != "targets"}
    theirs = {name: array for name, array in arrays.items() if name not in _OF_TARGETS}
    for name in ("kernel", "rows_scale", "ridge", "jitter"):
        if same[name] != meta.get(name):
            return name
    for name in sorted({*ours, *theirs}):
        if name not in ours or name not in theirs or not np.array_equal(ours[name], theirs[name]):
            return name
    return None


def record_of(problem: Problem, plan: Plan, notes: Sequence[str]) -> Record:
    """What a run of `problem` stores before its first panel."""
    return Record(
        plan=plan,
        identity=identity(problem.source, plan, problem.ridge, problem.jitter, problem.weights),
        meta={**meta_of(problem), **_after_failure(problem), "notes": list(notes)},
        arrays=arrays_of(problem),
    )


def _after_failure(problem: Problem) -> dict[str, Any]:
    """What a run without a factor goes on with; a solution has no use for it."""
    if not problem.further_ridges:
        return {}
    return {"further_ridges": problem.further_ridges, "conflict": problem.conflict}


def _with_further_ridges(path: Path, problem: Problem, meta: dict[str, Any]) -> Problem:
    if "further_ridges" not in meta:
        return problem
    rules = {"further_ridges": schema.sequence(schema.number(above=0.0)), "conflict": schema.TEXT}
    schema.require(path, meta, rules)
    return replace(problem, further_ridges=tuple(meta["further_ridges"]), conflict=meta["conflict"])


def begun_with(path: Path) -> float | None:
    """The ridge of the run of `path`, a run.h5; None where there is no such file, or where it is damaged."""
    return (run_file.read_entry(path, "identity") or {}).get("ridge")


def fallen_back(path: Path) -> Plan | None:
    """The plan of the run of `path`, a run.h5, where its refined precision fell back to float64; else None, as where
    there is no such file."""

    def plan_of_it(record: Record) -> Plan | None:
        asked = record.meta.get("precision")
        refined = asked in PRECISIONS and precision_of(asked).refined
        return record.plan if refined and record.plan.precision == "float64" else None

    try:
        return run_file.read(path, plan_of_it)
    except DataError:
        return None


def read_run(path: Path, function: Any = None, gram: Source | None = None) -> tuple[Problem, Plan, list[str]]:
    """Problem, plan and notes of run.h5; raises `DataError`, and `InputError` where `function` or `gram` is missing."""

    def build(record: Record) -> tuple[Problem, Plan, list[str]]:
        problem = problem_of(path, record.meta, record.arrays, function, gram)
        if problem.n != record.plan.n:
            raise DataError(f"{path}: rows and plan do not belong together; start again in another folder")
        problem = _with_further_ridges(path, problem, record.meta)
        return problem, record.plan, list(record.meta["notes"])

    return run_file.read(path, build)
