"""Whether and where a system is iterated: what goes with an iteration, its plan, and solver="auto"."""

from __future__ import annotations

from dataclasses import replace

from kernelfit.gram.costs import Costs
from kernelfit.gram.placement import Limits
from kernelfit.gram.plan import Plan
from kernelfit.iterative.plan import crossover, plan_either, plan_iterations
from kernelfit.runs.folder import free_for_factor
from kernelfit.solver.context import Context
from kernelfit.solver.device_ignored import OF_ITERATIONS, ignoring_device
from kernelfit.solver.iterative_system import IterativeSystem, is_generated, is_single
from kernelfit.solver.method import CHOLESKY, Method, require_iterable, require_tier
from kernelfit.solver.problem import Problem
from kernelfit.solver.resources import Resources


def refuse(problem: Problem, context: Context) -> None:
    """Raise `InputError` for what does not go with an iteration; a device is ignored, with a note."""
    solver, resources = problem.method.solver, context.resources
    require_iterable(solver, problem.jitter, problem.precision)
    resources.engine.require_factor(solver)
    require_tier(solver, resources.tier)
    ignoring_device(resources, problem.source, OF_ITERATIONS, context.notes)


def place_iterations(problem: Problem, context: Context) -> IterativeSystem:
    """A system that is not set up yet; raises `InputError` for what does not go with it, and `PlanError`."""
    refuse(problem, context)
    resources = context.resources
    generated = is_generated(problem) and resources.tier == "auto"
    plan = plan_iterations(costs_of(problem, context), resources.memory_limit, generated=generated)
    if plan.tier == "generated":
        context.notes.add(
            f"K does not fit into {plan.memory_limit:,} bytes of memory in float32: it is formed anew for every product"
        )
    return IterativeSystem(problem, plan, context.backend)


def decided(problem: Problem, context: Context) -> Problem:
    """The problem with solver "auto" made "cholesky" or, with a note, "pcg": where no factor fits into memory, or where
    that is faster to the tolerance that the user named. In a run the factor is stored in its folder."""
    resources, notes, run_dir = context.resources, context.notes, context.run_dir
    tolerance, seed = problem.method.tolerance, problem.method.seed
    if (asks := _asks_for_a_factor(problem, resources)) is not None:
        if tolerance is not None:
            notes.add(f"tolerance: ignored, as a factor is made: {asks} asks for one")
        return replace(problem, method=CHOLESKY)
    costs = costs_of(problem, context)
    limits = Limits(resources.memory_limit, lambda: free_for_factor(run_dir, resources.scratch))
    generated = is_generated(problem) and resources.tier == "auto"
    stored = run_dir is not None
    plan = plan_either(costs, limits, generated=generated, tolerance=tolerance, stored=stored, note=notes.add)
    if plan.has_factor:
        return replace(problem, method=CHOLESKY)
    if tolerance is not None and problem.n >= (rows := crossover(tolerance, plan.n_rhs)):
        notes.add(
            f"solver auto: conjugate gradients, which to a tolerance of {tolerance:.0e} take less time than a factor "
            f"from some {rows:,.0f} rows on; solver='cholesky' meets all targets"
        )
    elif Plan.in_memory(costs, limits.memory).bytes_memory <= limits.memory:
        notes.add(
            f"solver auto: a factor of {costs.bytes_factor:,} bytes does not fit into the {limits.disk:,} that are "
            f"free in {run_dir}; conjugate gradients store none"
        )
    else:
        notes.add(
            f"solver auto: a factor of {costs.bytes_factor:,} bytes does not fit into {limits.memory:,} bytes of "
            f"memory; conjugate gradients take {plan.bytes_memory:,}"
        )
    return replace(problem, method=Method("pcg", tolerance, seed))


def _asks_for_a_factor(problem: Problem, resources: Resources) -> str | None:
    """What conjugate gradients do not go with, or None."""
    if problem.precision != "float64" or problem.jitter != 0 or resources.tier == "disk":
        return "another precision than float64, a jitter or the disk"
    return None if is_single(problem.source.diagonal()) else "a K that single precision cannot hold"


def costs_of(problem: Problem, context: Context) -> Costs:
    layout, points = problem.source.layout, problem.points
    return Costs.of(
        n=problem.n,
        d=0 if points is None else points.width,
        n_rhs=problem.targets.shape[1],
        threads=context.backend.threads,
        bytes_points=problem.bytes_points,
        panel_width=context.resources.panel_width if layout is None else layout.width,
    )
