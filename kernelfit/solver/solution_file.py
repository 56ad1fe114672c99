"""Solutions as HDF5 files: plain arrays and JSON text, nothing that runs when it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import DataError
from kernelfit.gram.plan import Plan
from kernelfit.gram.points import Points
from kernelfit.solver.certificate import Certificate
from kernelfit.storage import hdf5

if TYPE_CHECKING:
    from kernelfit.solver.solution import Solution

FORMAT = "kernelfit solution"
VERSION = 1
_ARRAYS = ("alpha", "targets", "fitted", "kept")


def write(solution: Solution, path: Path, seal: Callable[[str], None] | None = None) -> None:
    """Write a solution without its factor; `seal` gets the file's digest before the file takes its name."""
    arrays = {name: getattr(solution, name) for name in _ARRAYS}
    if solution.points is not None:
        arrays["rows"] = solution.points.values
    if solution.weights is not None:
        arrays["weights"] = solution.weights
    hdf5.write(path, form=FORMAT, version=VERSION, meta=_meta(solution), arrays=arrays, seal=seal)


def _meta(solution: Solution) -> dict[str, Any]:
    return {
        "kernel": solution.kernel.describe() if solution.kernel is not None else None,
        "certificate": solution.certificate.as_dict(),
        "plan": solution.plan.as_dict(),
        "ridge": solution.ridge,
        "precision": solution.precision,
        "seconds": solution.seconds,
        "notes": solution.notes,
        "input_scale": solution.input_scale,
        "rows_scale": solution.points.scale if solution.points is not None else None,
        "single_target": solution.single_target,
        "gflops_factor": solution.gflops_factor,
        "rows_given": solution.rows_given,
        "duplicates": solution.duplicates,
        "traffic": solution.traffic,
    }


def read(path: str | Path, function: Any = None) -> Solution:
    """Read a solution that `Solution.save` or `solve --out` wrote; `function` is the user's own kernel, if it has one.

    Every array is checked against the file's size and the others' shapes. Raises `DataError`.
    """
    path = Path(path)
    return hdf5.read(
        path,
        partial(_build, path, function),
        form=FORMAT,
        version=VERSION,
        remedy="write it with Solution.save or solve --out, or use another copy",
    )


def _build(path: Path, function: Any, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Solution:
    from kernelfit.kernels import from_description
    from kernelfit.solver.solution import Solution

    n = len(arrays["kept"])
    columns: dict[str, Any] = {name: arrays[name] for name in _ARRAYS}
    for name in ("alpha", "targets", "fitted"):
        if columns[name].ndim != 2 or columns[name].shape != (n, columns["alpha"].shape[1]):
            raise DataError(
                f"{path}: {name} has shape {columns[name].shape}, expected {n} rows like the others"
            )
        columns[name] = np.ascontiguousarray(columns[name], np.float64)
    kernel = from_description(meta["kernel"], function) if meta["kernel"] is not None else None
    points = None
    if kernel is not None:
        rows = arrays["rows"]
        if rows.ndim != 2 or rows.shape[0] != n:
            raise DataError(f"{path}: rows have shape {rows.shape}, expected {n} rows like alpha")
        points = Points(rows, meta["rows_scale"])
    certificate = {key.name: meta["certificate"][key.name] for key in fields(Certificate)}
    certificate["rkhs_norm_per_column"] = tuple(certificate["rkhs_norm_per_column"])
    return Solution(
        **columns,
        certificate=Certificate(**certificate),
        plan=Plan(**{key.name: meta["plan"][key.name] for key in fields(Plan)}),
        kernel=kernel,
        points=points,
        weights=np.ascontiguousarray(arrays["weights"]) if "weights" in arrays else None,
        ridge=float(meta["ridge"]),
        precision=meta["precision"],
        seconds=dict(meta["seconds"]),
        notes=list(meta["notes"]),
        input_scale=meta["input_scale"],
        single_target=bool(meta["single_target"]),
        gflops_factor=meta["gflops_factor"],
        rows_given=meta["rows_given"],
        duplicates=tuple(tuple(int(row) for row in group) for group in meta["duplicates"]),
        traffic=dict(meta["traffic"]),
    )
