"""A solution as a file holds it: plain data, and back with every value checked against the others."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kernelfit.errors import DataError
from kernelfit.frozen import frozen_of_arrays
from kernelfit.gram.plan import Plan
from kernelfit.iterative.convergence import Convergence
from kernelfit.runs import solution_file
from kernelfit.runs.folder import SOLUTION
from kernelfit.runs.run_file import plan_of
from kernelfit.solver.certificate import Certificate
from kernelfit.solver.consistency import require_consistent
from kernelfit.solver.interpolant import Interpolant
from kernelfit.solver.predict import Prepared
from kernelfit.solver.problem import AbsentGram, Problem, has_weights
from kernelfit.solver.problem_record import arrays_of, meta_of, problem_of
from kernelfit.storage import schema
from kernelfit.typing import Array, Float

#: what a stored solution holds beside its problem, its plan and its certificate
META = {
    "seconds": schema.mapping(schema.number()),  # clocks may go backwards
    "traffic": schema.mapping(schema.integer()),
    "notes": schema.sequence(schema.TEXT),
    "remarks": schema.sequence(schema.TEXT),
    "gflops_factor": schema.optional(schema.number()),
    "certificate": schema.OBJECT,
}


@frozen_of_arrays
class StoredSolution:
    """What a file holds of a solution: its attributes of the same names, without the factor."""

    problem: Problem
    alpha: Float
    fitted: Float
    certificate: Certificate
    plan: Plan
    seconds: dict[str, float]
    traffic: dict[str, int]
    notes: list[str]
    remarks: tuple[str, ...]
    weights: Float | None
    gflops_factor: float | None
    convergence: Convergence | None

    def to_data(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """JSON and arrays; see `read`."""
        meta = {
            **meta_of(self.problem),
            "certificate": self.certificate.to_dict(),
            "plan": self.plan.to_dict(),
            "seconds": self.seconds,
            "traffic": self.traffic,
            "notes": self.notes,
            "remarks": self.remarks,
            "gflops_factor": self.gflops_factor,
            **({} if self.convergence is None else {"convergence": self.convergence.to_dict()}),
        }
        arrays = {**arrays_of(self.problem), "alpha": self.alpha, "fitted": self.fitted}
        return meta, arrays if self.weights is None else {**arrays, "weights": self.weights}


def read(path: Path, function: Any = None) -> StoredSolution:
    """What a file of `StoredSolution.to_data` holds; `function` is the user's own kernel, if it has one.

    Every array is checked against the file's size and the others' shapes. Raises `DataError`.
    """
    if path.is_dir():
        inside = path / SOLUTION
        raise DataError(
            f"path: got {path}, which is a folder, expected a solution file; "
            f"use kernelfit.open({str(path)!r}) or load({str(inside)!r}), where it is that of a run"
        )
    return solution_file.read(path, partial(_of_data, path, function))


def _of_data(path: Path, function: Any, meta: dict[str, Any], arrays: dict[str, Array]) -> StoredSolution:
    """The inverse of `StoredSolution.to_data`; every shape is checked against the others."""
    schema.require_array(path, arrays, "kept", "iu", (None,))
    problem = problem_of(path, meta, arrays, function, AbsentGram(len(arrays["kept"])))
    schema.require(path, meta, META)
    for name in ("alpha", "fitted"):
        schema.require_array(path, arrays, name, "f", problem.targets.shape)
    alpha, fitted = (np.ascontiguousarray(arrays[name], np.float64) for name in ("alpha", "fitted"))
    weights = None
    if "weights" in arrays:
        if not has_weights(problem):
            raise DataError(
                f"{path}: holds weights, which its kernel and ridge have not; it is damaged or forged"
            )
        schema.require_array(path, arrays, "weights", "f", (problem.n_features, problem.targets.shape[1]))
        weights = np.ascontiguousarray(arrays["weights"], np.float64)
    certificate = Certificate.of_dict(path, meta["certificate"])
    interpolant = Interpolant(problem, alpha, weights, None, None, Prepared())
    stored = StoredSolution(
        problem=problem,
        alpha=alpha,
        fitted=fitted,
        certificate=certificate,
        plan=plan_of(meta, path),
        seconds=dict(meta["seconds"]),
        traffic=dict(meta["traffic"]),
        notes=list(meta["notes"]),
        remarks=tuple(meta["remarks"]),
        weights=weights,
        gflops_factor=meta["gflops_factor"],
        convergence=Convergence.of_dict(path, meta["convergence"]) if "convergence" in meta else None,
    )
    require_consistent(path, problem, certificate, alpha, fitted, weights, interpolant.at_rows)
    return stored
