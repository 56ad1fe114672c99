"""What an iteration did, as plain data: how far it came, by what, and why it ended."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from kernelfit.iterative.stopping import INDEFINITE, Goal, Verified, relative_residual
from kernelfit.storage import schema
from kernelfit.typing import Float

# A relative residual up to which targets count as met.
_MET = 1e-6


#: methods
CONJUGATE, SKETCH = "conjugate gradients", "sketch-and-project"


class _Iterated(Protocol):
    iteration: int
    history: list[float]
    verified: list[Verified]


class Ended(Protocol):
    """Why an iteration ended, and where it was."""

    @property
    def reason(self) -> str: ...

    @property
    def detail(self) -> str: ...

    @property
    def state(self) -> _Iterated: ...


@dataclass(frozen=True)
class Convergence:
    """How a system was solved by iteration.

    Attributes
    ----------
    measure, target : what was to come down to which value: `backward error` or `relative residual`, the largest
        |y_c - A alpha_c| / |y_c| of the columns in the Euclidean norm
    method : `conjugate gradients` or `sketch-and-project`
    stopped : `converged`, `stagnated`, `diverged` or `iteration limit`, with `detail` where there is more to say: why,
        and that K in float32 led nowhere
    iterations : products with K as the iteration forms it, or blocks of its rows
    relative_residual : of the solution, with K formed anew in float64
    history : relative residual after each iteration, as the recurrence has it, or after each epoch as blocks show it
    verified : iteration, relative residual, backward error and measure of each residual that was formed anew
    preconditioner, rank : what it is and how many columns of K it holds, or rows a block has
    entries : where K is for the iteration: `float32 in memory`, `float64 in memory`, `formed anew in float32` or
        `formed anew in float64`
    seconds : `gram`, `precondition`, `iterate` and `verify`
    bytes_gram, bytes_preconditioner : of K and of the preconditioner in memory
    """

    measure: str
    target: float
    stopped: str
    detail: str
    iterations: int
    relative_residual: float
    history: tuple[float, ...]
    verified: tuple[tuple[float, ...], ...]
    preconditioner: str
    rank: int
    entries: str
    seconds: dict[str, float] = field(hash=False)
    bytes_gram: int
    bytes_preconditioner: int
    method: str = CONJUGATE

    @classmethod
    def of(
        cls, goal: Goal, outcome: Ended, targets: Float, residual: Float, *, fallback: str = "", **about: Any
    ) -> Convergence:
        """From an outcome for targets (n, c) and its true residual (n, c); `fallback`: what was in vain."""
        state = outcome.state
        return cls(
            measure=goal.measure,
            target=goal.value,
            stopped=outcome.reason,
            detail="; ".join(filter(None, (outcome.detail, fallback))),
            iterations=state.iteration,
            relative_residual=relative_residual(residual, targets),
            history=tuple(state.history),
            verified=tuple(
                (float(each.iteration), each.relative_residual, each.backward_error, each.measured)
                for each in state.verified
            ),
            **about,
        )

    @property
    def converged(self) -> bool:
        return self.stopped == "converged"

    @property
    def is_cut_short(self) -> bool:
        """Whether more than rounding may be left: it was to reach a tolerance and no more."""
        return self.measure == "relative residual"

    def remark(self, backward_error: float) -> str:
        """One line for the user; empty where the answer is what a factor gives."""
        met = f"relative residual {self.relative_residual:.1e}, backward error {backward_error:.1e}"
        if not self.converged:
            remedy = (
                "take a kernel that is positive definite, or a ridge larger by more than that"
                if self.detail.startswith(INDEFINITE)
                else "give a larger ridge or a narrower kernel, or take solver='cholesky'"
            )
            return (
                f"{self.method}: {self.stopped} after {self.iterations:,} iterations ({self.detail}), at {met}, "
                f"expected a {self.measure} of {self.target:.1e}; targets are met to that and no better: {remedy}"
            )
        detail = f" ({self.detail})" if self.detail else ""
        if self.measure == "relative residual":
            return (
                f"{self.method} stopped at the tolerance of {self.target:.1e} after {self.iterations:,} "
                f"iterations{detail}: {met}; targets are met to that"
            )
        if self.relative_residual > _MET:
            return (
                f"{self.method}: backward error {backward_error:.1e} after {self.iterations:,} iterations{detail}, as "
                f"small as a float64 factor's, but a relative residual of {self.relative_residual:.1e}, as alpha is "
                "large: targets are met to that; give a larger ridge"
            )
        return f"{self.method}: {self.detail}" if self.detail else ""

    def summary(self) -> str:
        """One line: how many iterations, how far, with what."""
        return (
            f"{self.iterations:,} iterations, relative residual {self.relative_residual:.2g}, {self.stopped}; "
            + (
                f"{self.preconditioner} of rank {self.rank:,}, K {self.entries}"
                if self.method == CONJUGATE
                else f"{self.method} by blocks of {self.rank:,} rows"
            )
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_dict(cls, path: Path, record: Any) -> Convergence:
        """The inverse of `to_dict`, of JSON in the file `path`; raises `DataError` where a field breaks its rule."""
        schema.require(path, record, _RULES, "convergence")
        values = {key.name: record[key.name] for key in fields(cls)}
        values["history"] = tuple(values["history"])
        values["verified"] = tuple(tuple(each) for each in values["verified"])
        return cls(**values)


_SIZE = schema.number(0.0, finite=False)
_RULES = {
    "measure": schema.one_of(("backward error", "relative residual")),
    "target": schema.number(0.0),
    "method": schema.one_of((CONJUGATE, SKETCH)),
    "stopped": schema.one_of(("converged", "stagnated", "diverged", "iteration limit")),
    "detail": schema.TEXT,
    "iterations": schema.integer(),
    "relative_residual": _SIZE,
    "history": schema.sequence(_SIZE),
    "verified": schema.sequence(schema.sequence(_SIZE, 4)),
    "preconditioner": schema.TEXT,
    "rank": schema.integer(),
    "entries": schema.TEXT,
    "seconds": schema.mapping(schema.number()),
    "bytes_gram": schema.integer(),
    "bytes_preconditioner": schema.integer(),
}
