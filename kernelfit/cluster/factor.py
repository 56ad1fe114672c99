"""The factorisation as tasks of a cluster: those that finish a block row, and for each share those that use it.

    early-blocks j  on the owner of row j; after step j - `AHEAD` - 1 of the owner is done
    update j, p     panel j of share p is begun; after the early blocks of row j have come, and step j - `AHEAD` - 1
    block-row j     on the owner: the late blocks; after those of row j - 1 have come, and update j
    advance j, p    step j of share p; after the late blocks of row j have come, update j, p and advance j - 1, p
    receive         early or late blocks in the memory of worker p, from the owner or a worker that has received them
    take-gram j, p  blocks of panel j of a K that is stored, before update j, p

About nt (4 P + 2) tasks. Each worker receives every block row of L that it does not own once: n^2/2 numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from kernelfit.cluster import tasks
from kernelfit.cluster.crew import Crew
from kernelfit.cluster.deal import AHEAD, AT_ONCE
from kernelfit.cluster.share import Report
from kernelfit.progress import Advance

# Dask runs the larger first.
_RECEIVE, _ROW, _ADVANCE, _UPDATE = 4, 3, 2, 1


class _Waiting:
    """Futures of what is under way, by row and share, and the late blocks of the last row that was submitted."""

    def __init__(self) -> None:
        self.updates: dict[tuple[int, int], Any] = {}
        self.steps: dict[tuple[int, int], Any] = {}
        self.late: dict[int, Any] = {}

    def forget(self, j: int) -> None:
        """Step j of all shares is done."""
        for futures, past in ((self.updates, j), (self.steps, j - AHEAD - 1)):
            for key in [key for key in futures if key[0] <= past]:
                del futures[key]

    @property
    def futures(self) -> list[Any]:
        return [*self.updates.values(), *self.steps.values(), *self.late.values()]


def _there(*futures: Any) -> list[Any]:
    return [future for future in futures if future is not None]


class Factorisation:
    """Steps of all shares.

    `panel(j, reports)` is called when all of panel j is done, in order, with the reports of the steps in which its
    blocks were made: j, and for those of row j and row j + 1 the ones beside it.
    """

    def __init__(self, crew: Crew, advance: Advance, panel: Callable[[int, list[Report]], None]) -> None:
        self._crew, self._advance, self._panel = crew, advance, panel
        self._deal = crew.setup.deal
        self._last = [max(self._deal.rows(p), default=-1) for p in range(self._deal.shares)]
        self._done = [crew.setup.finished] * self._deal.shares
        #: panels that `panel` was called for
        self._recorded = crew.setup.finished
        self._reports: dict[int, dict[int, Report]] = {}

    def run(self) -> None:
        """All steps that are not done; may be called again, after a loss."""
        crew = self._crew
        for p in crew.reopened:
            self._done[p] = crew.setup.finished
        crew.reopened.clear()
        count = self._deal.layout.count
        # The row before the first step is asked for again: row j is finished with it.
        first = max(0, min(self._done) - 1)
        waiting = _Waiting()
        submitted = first
        try:
            for j in range(first, count):
                while submitted < min(count, j + AT_ONCE):
                    self._submit(submitted, waiting)
                    submitted += 1
                self._take(j, waiting.steps)
                waiting.forget(j)
        finally:
            crew.forget(waiting.futures)

    def _submit(self, j: int, waiting: _Waiting) -> None:
        """Row j, and step j of the shares that have not done it.

        Blocks are forgotten by Dask when the tasks are done that they were for: nothing here holds them.
        """
        crew, deal, owner = self._crew, self._deal, self._deal.owner(j)
        steps, updates, before = waiting.steps, waiting.updates, j - AHEAD - 1
        behind = [p for p in range(deal.shares) if self._done[p] <= j]
        wanting = {p for p in behind if self._last[p] > j}
        grams = crew.send_gram(j, behind)
        early: dict[int, Any] = {}
        if deal.first_late(j):
            after = _there(steps.get((before, owner)))
            row = crew.on_share(tasks.early_blocks, owner, j, *after, priority=_ROW)
            early = self._sent(row, j, wanting)
        for p in behind:
            if p in wanting or p == owner:
                after = _there(steps.get((before, p)), grams.get(p))
                updates[j, p] = crew.on_share(tasks.update, p, j, early.get(p), *after, priority=_UPDATE)
        after = _there(updates.get((j - 1, owner)), updates.get((j, owner)), steps.get((j - 2, owner)))
        row = crew.on_share(tasks.block_row, owner, j, waiting.late.get(owner), *after, priority=_ROW)
        following = deal.owner(j + 1) if j + 1 < deal.layout.count else owner
        waiting.late = self._sent(row, j, wanting | {following})
        for p in behind:
            if p in waiting.late:
                after = _there(updates.get((j, p)), steps.get((j - 1, p)))
                steps[j, p] = crew.on_share(tasks.advance, p, j, waiting.late[p], *after, priority=_ADVANCE)

    def _sent(self, row: Any, j: int, wanting: set[int]) -> dict[int, Any]:
        """Blocks of row j by the shares that get them, which pass them on, and by their owner."""
        there = {self._deal.owner(j): row}
        for sender, p in self._deal.receivers(j, wanting):
            there[p] = self._crew.on_share(tasks.receive, p, there[sender], priority=_RECEIVE)
        return there

    def _take(self, j: int, steps: dict[tuple[int, int], Any]) -> None:
        """Wait for step j of all shares, and tell what they did."""
        waiting = {steps[j, p]: p for p in range(self._deal.shares) if (j, p) in steps}
        while waiting:
            for future in self._crew.settle(waiting):
                p = waiting.pop(future)
                (report,) = self._crew.results([future])
                if p not in self._reports.setdefault(j, {}):
                    self._advance(report.flops)
                self._reports[j][p] = report
        self._done = [max(done, j + 1) for done in self._done]
        last = j == self._deal.layout.count - 1
        while self._recorded < j or (last and self._recorded == j):
            panel = self._recorded
            near = (self._reports.get(j, {}) for j in (panel - 1, panel, panel + 1))
            self._panel(panel, [report for reports in near for report in reports.values()])
            self._recorded += 1
            self._crew.finished_some()
            if self._crew.setup.factor is not None:
                self._crew.setup = replace(self._crew.setup, finished=self._recorded)
