"""Which worker holds which rows of L: pure arithmetic.

L is cut into square blocks as `kernelfit.gram.layout` cuts it into panels. Block rows are dealt out from the last to
the first, each to the share that has least of its part so far: below every row each share then has about its part of
what is left, which is what a step of the factorisation works on. Of 60,000 rows on 4 workers of 1 TFLOP/s and links of
25 Gbit/s such a deal leaves, by `kernelfit.cluster.model`, 0.92 of their speed, one in turn from the first row on
0.87.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from kernelfit.gram.layout import PanelLayout
from kernelfit.typing import Span

#: block rows that are on their way or in use at a time: one that is used, one that has come, one that is being finished
AT_ONCE = 3
#: blocks of a row that are finished late: those before them are sent, and multiplied with, so many steps earlier
AHEAD = 2


@dataclass(frozen=True)
class Deal:
    """Block rows of `layout` in `shares` shares, of which a worker holds one or more.

    `parts`: in which proportion, one positive number a share; empty where all get the same.
    """

    layout: PanelLayout
    shares: int
    parts: tuple[float, ...] = ()

    def owner(self, i: int) -> int:
        """The share that block row i belongs to."""
        return self._owners[i]

    @cached_property
    def _owners(self) -> list[int]:
        shares, parts = range(self.shares), self.parts or (1.0,) * self.shares
        owners, dealt = [0] * self.layout.count, [0] * self.shares
        for i in reversed(range(self.layout.count)):
            size = self.row_elements(i)
            owners[i] = min(shares, key=lambda p: ((dealt[p] + size) / parts[p], p))
            dealt[owners[i]] += size
        return owners

    def rows(self, share: int) -> list[int]:
        """Block rows of a share, ascending."""
        return [i for i in range(self.layout.count) if self.owner(i) == share]

    def span(self, i: int) -> Span:
        """First and one past the last row of block row i."""
        return self.layout.start(i), self.layout.stop(i)

    def height(self, i: int) -> int:
        return self.layout.stop(i) - self.layout.start(i)

    def first_late(self, j: int) -> int:
        """The first of the late blocks of row j."""
        return max(0, j - AHEAD)

    def row_elements(self, i: int) -> int:
        """Numbers of block row i, its square included."""
        return self.height(i) * self.layout.stop(i)

    def receivers(self, j: int, wanting: Collection[int]) -> list[tuple[int, int]]:
        """(from, to) of the messages that bring block row j from its owner to the shares `wanting`, in their order.

        A binary tree, so that no link carries the row more than twice out and once in; whoever is to finish the next
        rows comes first.
        """
        reached = [self.owner(j)]
        following = dict.fromkeys(
            self.owner(i) for i in range(j + 1, min(self.layout.count, j + 2 * self.shares))
        )
        ordered = [p for p in following if p in wanting]
        ordered += [p for p in sorted(wanting) if p not in following]
        messages: list[tuple[int, int]] = []
        for p in ordered:
            if p != reached[0]:
                messages.append((reached[len(messages) // 2], p))
                reached.append(p)
        return messages

    def elements(self, share: int) -> int:
        """Numbers of a share."""
        return sum(self.row_elements(i) for i in self.rows(share))

    def received(self, share: int) -> int:
        """Numbers that a share receives while factoring: every block row of others above its last own one."""
        last = max(self.rows(share), default=-1)
        return sum(self.row_elements(i) for i in range(last) if self.owner(i) != share)
