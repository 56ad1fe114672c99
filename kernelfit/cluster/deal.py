"""Which worker holds which rows of L: pure arithmetic.

L is cut into square blocks as `kernelfit.gram.layout` cuts it into panels, and block rows are dealt out to and fro,

    0, 1, ..., P-1, P-1, ..., 1, 0, 0, 1, ...

since row i costs i^2: dealt out in circles, the last worker of 2 would have 7 % more than the first of 20 rows.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from kernelfit.gram.layout import PanelLayout
from kernelfit.typing import Span


@dataclass(frozen=True)
class Deal:
    """Block rows of `layout` in `shares` shares, of which a worker holds one or more."""

    layout: PanelLayout
    shares: int

    def owner(self, i: int) -> int:
        """The share that block row i belongs to."""
        turn, place = divmod(i, self.shares)
        return place if turn % 2 == 0 else self.shares - 1 - place

    def rows(self, share: int) -> list[int]:
        """Block rows of a share, ascending."""
        return [i for i in range(self.layout.count) if self.owner(i) == share]

    def span(self, i: int) -> Span:
        """First and one past the last row of block row i."""
        return self.layout.start(i), self.layout.stop(i)

    def height(self, i: int) -> int:
        return self.layout.stop(i) - self.layout.start(i)

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
