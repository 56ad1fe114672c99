"""How a run ended. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kernelfit.deep.recipe import Recipe

#: ends from which a ladder of rates goes to its next rung
FAILED = ("stuck", "diverged")


@dataclass
class Outcome:
    """`status`: "finished" (all epochs), "fitted", "plateau", "stuck", "diverged"; `history` has a record per epoch;
    `systems` has the settings of the machine in every stretch of training, the first one first; `data_digest`
    is that of the run's data set (`kernelfit.deep.data.reading`).
    """

    recipe: Recipe
    status: str
    rate: float
    n_classes: int
    history: list[dict[str, Any]] = field(repr=False)
    systems: list[dict[str, Any]] = field(default_factory=list, repr=False)
    data_digest: str | None = None

    @property
    def final(self) -> dict[str, Any]:
        """The last epoch's record."""
        return self.history[-1]

    @property
    def converged_step(self) -> int | None:
        """See `steps_to`, of the recipe's threshold."""
        return steps_to(self.recipe.threshold, self.history)


def steps_to(threshold: float, history: list[dict[str, Any]]) -> int | None:
    """Steps until the mean loss of a window first was at or below the threshold; None where it was not."""
    for record in history:
        for step, loss in zip(record["window_steps"], record["window_losses"], strict=True):
            if loss is not None and loss <= threshold:
                return int(step)
    return None
