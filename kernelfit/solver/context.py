"""What a solve works with beside its problem."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kernelfit.cpu.pool import CpuBackend
from kernelfit.frozen import frozen
from kernelfit.gram.plan import Plan
from kernelfit.progress import Notes
from kernelfit.runs.folder import Run, open_run_folder
from kernelfit.solver.problem import Problem
from kernelfit.solver.problem_record import record_of
from kernelfit.solver.resources import Resources


@frozen
class Context:
    """The machine, the threads and the notes of a solve, and where its run is stored.

    Attributes
    ----------
    resources : what may be used of the machine
    backend : the pool of threads, which is open
    notes : what the user should know
    run_dir : the folder of the run; None where none is stored
    resume : whether the run that is in this folder is continued
    """

    resources: Resources
    backend: CpuBackend
    notes: Notes
    run_dir: Path | None = None
    resume: bool = False

    @property
    def folder(self) -> Path | None:
        """Where panels go that do not stay in memory; None: the system's."""
        return self.run_dir or self.resources.scratch

    def with_notes(self, notes: Notes) -> Context:
        """The same with other notes: those of one attempt, or of the targets of one ridge."""
        return self if notes is self.notes else replace(self, notes=notes)

    def open_run(self, problem: Problem, plan: Plan) -> Run | None:
        """The run of this plan, new or resumed; None where none is stored."""
        if self.run_dir is None:
            return None
        record = record_of(problem, plan, self.notes.lines)
        return open_run_folder(self.run_dir, record, self.resume, self.notes.progress)
