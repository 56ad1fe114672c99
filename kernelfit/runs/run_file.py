"""run.h5: everything a run needs to be continued, written before its first panel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import DataError, InputError
from kernelfit.gram.costs import PRECISIONS
from kernelfit.gram.placement import TIERS
from kernelfit.gram.plan import Plan
from kernelfit.gram.points import Points
from kernelfit.gram.protocol import GramSource
from kernelfit.gram.source import KernelGram
from kernelfit.kernels import from_description
from kernelfit.solver.problem import Problem
from kernelfit.storage import hdf5

FORMAT = "kernelfit run"
VERSION = 1
#: annotation of a field of a plan -> what JSON gives for it
_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "float | None": (int, float, type(None)),
}


def write(path: Path, problem: Problem, plan: Plan, identity: Mapping[str, Any], notes: list[str]) -> None:
    """Write rows, targets and every choice made; a precomputed Gram is not stored."""
    arrays: dict[str, NDArray[Any]] = {"targets": problem.targets, "kept": problem.kept}
    if problem.points is not None:
        arrays["rows"] = problem.points.values
    meta = {
        "identity": identity,
        "plan": plan.as_dict(),
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
        "notes": notes,
        "remembered": problem.remembered,
    }
    hdf5.write(path, form=FORMAT, version=VERSION, meta=meta, arrays=arrays)


def read(
    path: Path, function: Any = None, gram: GramSource | None = None
) -> tuple[Problem, Plan, dict[str, Any], list[str]]:
    """Problem, plan, identity at the start and notes. A user's own function, or a precomputed Gram, is given again."""
    return hdf5.read(
        path,
        partial(_build, path, function, gram),
        form=FORMAT,
        version=VERSION,
        remedy="solve again with the same rows and this folder, or start in another one",
    )


def require_sound(path: Path, plan: Plan) -> None:
    """Raise where a plan that was read is none that a planner makes."""
    typed = all(isinstance(getattr(plan, key.name), _KINDS[str(key.type)]) for key in fields(Plan))
    if (
        not typed
        or not 1 <= plan.panel_width <= plan.n
        or plan.panels != plan.layout.count
        or plan.rows_at_once < 1
        or plan.tier not in (*TIERS, "device")
        or plan.precision not in PRECISIONS
    ):
        raise DataError(f"{path}: its plan makes no sense, it is damaged; start again in another folder")


def read_entry(path: Path, name: str) -> dict[str, Any] | None:
    """`identity` or `remembered` alone; None where the file is damaged."""
    try:
        return hdf5.read(path, lambda meta, arrays: dict(meta[name]), form=FORMAT, version=VERSION, remedy="")
    except DataError:
        return None


def _build(
    path: Path, function: Any, gram: GramSource | None, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]
) -> tuple[Problem, Plan, dict[str, Any], list[str]]:
    plan = Plan(**{key.name: meta["plan"][key.name] for key in fields(Plan)})
    require_sound(path, plan)
    kernel = points = None
    source: GramSource
    if meta["kernel"] is not None:
        kernel = from_description(meta["kernel"], function)
        points = Points(arrays["rows"], meta["rows_scale"])
        source = KernelGram(kernel, points)
    elif gram is not None:
        source = gram
    else:
        raise InputError(
            f"gram: {path} belongs to a precomputed Gram matrix, which is not stored; give it again"
        )
    targets = np.ascontiguousarray(arrays["targets"], np.float64)
    if not (source.n == plan.n == len(arrays["kept"]) == len(targets)) or targets.ndim != 2:
        raise DataError(
            f"{path}: rows, targets and plan do not belong together; start again in another folder"
        )
    problem = Problem(
        source=source,
        points=points,
        kernel=kernel,
        targets=targets,
        ridge=float(meta["ridge"]),
        jitter=float(meta["jitter"]),
        precision=str(meta["precision"]),
        kept=arrays["kept"].astype(np.int64, copy=False),
        rows_given=int(meta["rows_given"]),
        duplicates=tuple(tuple(int(row) for row in group) for group in meta["duplicates"]),
        input_scale=meta["input_scale"],
        single_target=bool(meta["single_target"]),
        condition=bool(meta["condition"]),
        remembered=dict(meta["remembered"]),
    )
    return problem, plan, dict(meta["identity"]), [str(note) for note in meta["notes"]]
