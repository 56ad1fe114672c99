"""Factor, solve, certify: from a system that is placed to its solution."""

from __future__ import annotations

from kernelfit.errors import NotPositiveDefiniteError, RefinementError
from kernelfit.gram.precision import precision_of
from kernelfit.progress import Notes
from kernelfit.runs.interruption import Interruption
from kernelfit.solver.answer import Answer, answer
from kernelfit.solver.remarks import remark
from kernelfit.solver.solution import Solution
from kernelfit.solver.system import System


def complete(system: System, notes: Notes) -> Solution:
    """Factor, solve, certify. With a run, panels that it has are not made again and the solution is written to it.

    A refined precision that fails is followed by float64, with a note. The system, whose backend is open, is closed
    where this fails.
    """
    run = system.run
    if run is None:
        return _completed(system, None, notes)
    step = "panel" if system.plan.has_factor else "iteration"
    with run, Interruption(run.folder, notes.progress, step=step) as interruption:
        return _completed(system, interruption, notes)


def _completed(system: System, interruption: Interruption | None, notes: Notes) -> Solution:
    run, problem = system.run, system.problem
    try:
        try:
            answered = _factor_and_answer(system, interruption, notes)
        except (NotPositiveDefiniteError, RefinementError) as error:
            if not precision_of(system.plan.precision).refined:
                raise
            notes.add(f"{problem.precision} precision fell back to float64: {error}")
            system = system.fall_back(notes)
            answered = _factor_and_answer(system, interruption, notes)
        remarks = remark(problem, answered, notes)
        solution = _solution(system, answered, notes, remarks)
        if run is not None:
            run.finish(*solution.as_data())
    except BaseException as error:
        system.close()
        if run is not None and isinstance(error, NotPositiveDefiniteError):
            run.discard()  # nothing in it would serve a run with another shift or kernel
        raise
    return solution


def _factor_and_answer(system: System, interruption: Interruption | None, notes: Notes) -> Answer:
    if interruption is None:
        system.factorise(notes.progress)
    else:
        plan = system.plan
        with interruption.step_by_step():
            if plan.has_factor:
                system.factorise(notes.progress, lambda j: interruption.after(j + 1, plan.panels))
            else:  # what can be resumed is the solve
                system.factorise(notes.progress, interruption.after)
                return answer(system, system.problem.targets, notes.progress)
        interruption.after(plan.panels, plan.panels)  # a signal that came once the last one was recorded
    return answer(system, system.problem.targets, notes.progress)


def _solution(system: System, answered: Answer, notes: Notes, remarks: tuple[str, ...]) -> Solution:
    plan = system.plan
    return Solution(
        problem=system.problem,
        alpha=answered.alpha,
        fitted=answered.fitted,
        certificate=answered.certificate,
        plan=plan,
        seconds=system.seconds | answered.seconds,
        traffic=system.traffic | answered.traffic,
        notes=notes.lines,
        remarks=remarks,
        gflops_factor=plan.flops_factor / max(system.seconds["factor"], 1e-9) / 1e9
        if system.pivots
        else None,
        threads=system.backend.known_threads,
        device=system.name,
        factor=system,
        convergence=answered.convergence,
    )
