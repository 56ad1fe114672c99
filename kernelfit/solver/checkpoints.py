"""Where an iteration is: stored in the folder of its run every so often, and shown as it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from kernelfit.errors import Interrupted
from kernelfit.iterative.stopping import Goal
from kernelfit.progress import Progress
from kernelfit.runs.folder import Run
from kernelfit.typing import Float

# Seconds between checkpoints, each of which takes a fraction of one.
_INTERVAL = 20.0


class Checkpoints:
    """States of an iteration in the folder of a run, where there is one: every so often, and when it is to stop."""

    def __init__(
        self,
        run: Run | None,
        targets: Float,
        goal: Goal,
        after: Callable[[int], None],
        to_data: Any,
        of_data: Any,
    ) -> None:
        # Later right-hand sides have no part in a run that has ended: its folder may be another process's by now.
        self._run = run if run is not None and run.is_written else None
        self._of, self._after = (targets, goal), after
        self._to_data, self._of_data = to_data, of_data
        self._last = time.monotonic()

    def stored(self, progress: Progress) -> Any:
        """The one to begin from."""
        data = None if self._run is None else self._run.stored_iteration(progress)
        if self._run is None or data is None:
            return None
        state = self._of_data(self._run.folder, *data, *self._of)
        if state is not None:
            progress.note(f"{self._run.folder}: resumed after iteration {state.iteration:,}")
        else:
            progress.note(
                f"{self._run.folder}: was iterating for other targets or to another goal; the iteration begins again"
            )
        return state

    def after(self, state: Any) -> None:
        if self._run is None:
            return
        try:
            self._after(state.iteration)
        except Interrupted:
            self._run.store_iteration(*self._to_data(state, *self._of))
            raise
        if _due(self._last, state):
            self._run.store_iteration(*self._to_data(state, *self._of))
            self._last = time.monotonic()


def _due(last: float, state: Any) -> bool:
    """Whether a checkpoint is to be written, the last of which was at the time `last`."""
    return time.monotonic() - last >= _INTERVAL


@contextmanager
def shown(goal: Goal, progress: Progress, measured: float) -> Iterator[Callable[[float], None]]:
    """Shows how many of the digits that the goal asks for are there, of what it measures, from what is `measured` of
    the state that is begun from."""
    end = -np.log10(goal.value)
    start = max(0.0, -np.log10(max(measured, goal.value)))
    with progress.phase("iterate", end - start, "digits") as advance:

        def observe(measured: float) -> None:
            nonlocal start
            reached = -np.log10(max(measured, goal.value))
            if reached > start:
                advance(reached - start)
                start = reached

        yield observe
