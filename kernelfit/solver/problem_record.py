"""A problem as plain data, and back: what run.h5 and solution.h5 hold of it, spelt out once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kernelfit.errors import DataError, InputError
from kernelfit.gram.plan import Plan
from kernelfit.gram.points import Points
from kernelfit.gram.precision import precision_of
from kernelfit.gram.protocol import GramSource
from kernelfit.gram.source import KernelGram
from kernelfit.kernels import from_description
from kernelfit.runs import run_file
from kernelfit.runs.identity import identity
from kernelfit.runs.run_file import Record
from kernelfit.solver.problem import Problem
from kernelfit.typing import Array


def meta_of(problem: Problem) -> dict[str, Any]:
    """What JSON holds of a problem."""
    return {
        "kernel": problem.kernel.describe() if problem.kernel is not None else None,
        "rows_scale": problem.points.scale if problem.points is not None else None,
        "ridge": problem.ridge,
        "jitter": problem.jitter,
        "precision": problem.precision,
        "rows_given": problem.rows_given,
        "duplicates": problem.duplicates,
        "input_scale": problem.input_scale,
        "single_target": problem.single_target,
        "condition": problem.condition,
        "remembered": problem.remembered,
    }


def arrays_of(problem: Problem) -> dict[str, Array]:
    """The arrays of a problem; a precomputed Gram is not stored."""
    arrays: dict[str, Array] = {"targets": problem.targets, "kept": problem.kept}
    if problem.points is not None:
        arrays["rows"] = problem.points.values
    return arrays


def problem_of(
    path: Path, meta: dict[str, Any], arrays: dict[str, Array], function: Any, gram: GramSource | None
) -> Problem:
    """The problem that `meta_of` and `arrays_of` describe; a user's function, or a precomputed Gram, is given again."""
    require_finite(path, arrays)
    source = gram
    if meta["kernel"] is not None:
        kernel = from_description(meta["kernel"], function)
        rows = arrays["rows"]
        if rows.ndim != 2:
            raise DataError(f"{path}: rows have shape {rows.shape}, expected two dimensions; it is damaged")
        source = KernelGram(kernel, Points(rows, meta["rows_scale"]))
    if source is None:
        raise InputError(
            f"gram: {path} belongs to a precomputed Gram matrix, which is not stored; give it again"
        )
    targets = np.ascontiguousarray(arrays["targets"], np.float64)
    if not (source.n == len(arrays["kept"]) == len(targets)) or targets.ndim != 2:
        raise DataError(f"{path}: rows and targets do not belong together; start again in another folder")
    return Problem(
        source=source,
        targets=targets,
        ridge=float(meta["ridge"]),
        jitter=float(meta["jitter"]),
        precision=precision_of(meta["precision"]).name,
        kept=arrays["kept"].astype(np.int64, copy=False),
        rows_given=int(meta["rows_given"]),
        duplicates=tuple(tuple(int(row) for row in group) for group in meta["duplicates"]),
        input_scale=meta["input_scale"],
        single_target=bool(meta["single_target"]),
        condition=bool(meta["condition"]),
        remembered=dict(meta["remembered"]),
    )


def require_finite(path: Path, arrays: Mapping[str, Array]) -> None:
    """Raise `DataError` where an array holds a NaN or an infinity, which none that was written does."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise DataError(f"{path}: {name} holds values that are not finite, it is damaged or forged")


def record_of(problem: Problem, plan: Plan, notes: Sequence[str]) -> Record:
    """What a run of `problem` stores before its first panel."""
    return Record(
        plan=plan,
        identity=identity(problem.source, plan, problem.ridge, problem.jitter),
        meta={**meta_of(problem), "notes": list(notes)},
        arrays=arrays_of(problem),
    )


def read_run(
    path: Path, function: Any = None, gram: GramSource | None = None
) -> tuple[Problem, Plan, list[str]]:
    """Problem, plan and notes of run.h5; raises `DataError`, and `InputError` where `function` or `gram` is missing."""

    def build(record: Record) -> tuple[Problem, Plan, list[str]]:
        problem = problem_of(path, record.meta, record.arrays, function, gram)
        if problem.n != record.plan.n:
            raise DataError(f"{path}: rows and plan do not belong together; start again in another folder")
        return problem, record.plan, [str(note) for note in record.meta["notes"]]

    return run_file.read(path, build)
