"""The factorisation as tasks of a cluster: one finishes a block row, and for each share one receives it, one uses it.

    block-row j     on its owner; after row j - 1 has come and step j - 2 of the owner is done
    receive j, p    the row in the memory of worker p, from the owner or from a worker that has received it
    advance j, p    step j of share p; after receive j, p and advance j - 1, p
    take-gram j, p  blocks of panel j of a K that is stored, before whatever reads them

About nt (2 P + 1) tasks. Each worker receives every block row of L that it does not own once: n^2/2 numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from kernelfit.cluster import tasks
from kernelfit.cluster.crew import Crew
from kernelfit.cluster.deal import AT_ONCE
from kernelfit.cluster.share import Report
from kernelfit.progress import Advance

# Dask runs the larger first.
_RECEIVE, _BLOCK_ROW, _ADVANCE = 3, 2, 1


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
        rows: dict[int, Any] = {}
        received: dict[tuple[int, int], Any] = {}
        steps: dict[tuple[int, int], Any] = {}
        grams: dict[tuple[int, int], Any] = {}
        submitted = first
        try:
            for j in range(first, count):
                while submitted < min(count, j + AT_ONCE):
                    self._submit(submitted, rows, received, steps, grams)
                    submitted += 1
                self._take(j, steps)
                rows.pop(j - 1, None)
                for p in range(self._deal.shares):
                    received.pop((j - 1, p), None)
                    steps.pop((j - 2, p), None)
                    grams.pop((j - 2, p), None)
        finally:
            crew.forget([*rows.values(), *received.values(), *steps.values(), *grams.values()])

    def _submit(
        self,
        j: int,
        rows: dict[int, Any],
        received: dict[tuple[int, int], Any],
        steps: dict[tuple[int, int], Any],
        grams: dict[tuple[int, int], Any],
    ) -> None:
        """Row j, and step j of the shares that have not done it."""
        crew, owner = self._crew, self._deal.owner(j)
        above = received.get((j - 1, owner), rows.get(j - 1))
        following = self._deal.owner(j + 1) if j + 1 < self._deal.layout.count else owner
        behind = [p for p in range(self._deal.shares) if self._done[p] <= j]
        for p, taken in crew.send_gram(j, {owner, following, *behind}).items():
            grams[j, p] = taken
        before = [steps[j - 2, owner]] if (j - 2, owner) in steps else []
        before += [grams[k, owner] for k in (j - 1, j) if (k, owner) in grams]
        rows[j] = crew.on_share(tasks.block_row, owner, j, above, *before, priority=_BLOCK_ROW)
        wanting = {p for p in behind if self._last[p] > j} | {following}
        for sender, p in self._deal.receivers(j, wanting):
            row = received.get((j, sender), rows[j])
            received[j, p] = crew.on_share(tasks.receive, p, row, priority=_RECEIVE)
        for p in behind:
            if p in wanting or p == owner:
                before = [steps[j - 1, p]] if (j - 1, p) in steps else []
                before += [grams[j, p]] if (j, p) in grams else []
                row = received.get((j, p), rows[j])
                steps[j, p] = crew.on_share(tasks.advance, p, j, row, *before, priority=_ADVANCE)

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
            if self._crew.setup.factor is not None:
                self._crew.setup = replace(self._crew.setup, finished=self._recorded)
