"""Where the tiles of a factor live while it is made, when the device cannot hold them all: pure arithmetic.

The factor is cut into tiles (i, k), block row i of column panel k, all of one slot's size. Panel J reads, of every
earlier panel k, the tiles (i, k) with i >= J, each exactly once. So a tile is read again by the panels k + 1 ... i and
never after them, and any slot that holds a tile still to be read saves one transfer per panel: there is nothing to
gain from moving tiles in and out. The device is storage, not a cache. A slot is taken from another tile only when a
new panel has to be built, and then from the tile whose block row is smallest: rows above the panel are never read
again, and those nearest below it will be soonest. Such a tile goes to pinned host memory while there is room there,
and to the disk after that; a tile that will not be read again makes room on the host for one that will.

The same object tells the planner what will be moved and the factorisation what to move.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field

from kernelfit.errors import PlanError

#: block row and column panel of a tile
TileIndex = tuple[int, int]


@dataclass(frozen=True)
class Move:
    """The tile leaves `slot` for the host or the disk; without a slot it leaves the host for the disk."""

    tile: TileIndex
    slot: int | None
    to_disk: bool


@dataclass
class Traffic:
    """Tiles moved: out of and into the device, and to and from the disk."""

    out: int = 0
    into: int = 0
    disk_written: int = 0
    disk_read: int = 0


@dataclass
class Residency:
    """`count` panels over `slots` slots of the device and `host_slots` of the host."""

    count: int
    slots: int
    host_slots: int
    slot_of: dict[TileIndex, int] = field(default_factory=dict)
    on_host: set[TileIndex] = field(default_factory=set)
    on_disk: set[TileIndex] = field(default_factory=set)
    traffic: Traffic = field(default_factory=Traffic)

    def __post_init__(self) -> None:
        if self.slots < min_slots(self.count):
            raise PlanError(
                f"device: {self.slots} tiles fit, {min_slots(self.count)} needed for two panels of {self.count}"
            )
        self._free = list(range(self.slots))
        self._by_row: list[TileIndex] = []
        self.max_on_host = 0

    def begin(self, j: int) -> list[Move]:
        """Slots for panel j; what must leave first, in this order. Panel j - 1 may still be in the making."""
        wanted = self.count - j
        moves: list[Move] = []
        for _ in range(wanted - len(self._free)):
            moves += self._spill(j)
        self._free.sort()
        for i, slot in zip(range(j, self.count), _runs_first(self._free, wanted), strict=True):
            self.slot_of[i, j] = slot
            self._free.remove(slot)
        if j > 0:
            # Panel j - 1 will be finished before the next panel begins: its tiles may then leave.
            for i in range(j - 1, self.count):
                insort(self._by_row, (i, j - 1))
        return moves

    def absent(self, j: int, k: int) -> list[int]:
        """Block rows i >= j of panel k that panel j must read from the host or the disk; they are counted as read."""
        rows = [i for i in range(max(j, k), self.count) if (i, k) not in self.slot_of]
        self.traffic.into += len(rows)
        self.traffic.disk_read += sum((i, k) in self.on_disk for i in rows)
        return rows

    def _spill(self, j: int) -> list[Move]:
        tile = next((tile for tile in self._by_row if tile[1] < j - 1), None)
        if tile is None:
            raise PlanError(f"device: no tile can leave for panel {j}")
        self._by_row.remove(tile)
        slot = self.slot_of.pop(tile)
        self._free.append(slot)
        self.traffic.out += 1
        moves = []
        if len(self.on_host) >= self.host_slots and tile[0] >= j:
            finished = min((other for other in self.on_host if other[0] < j), default=None)
            if finished is not None:
                self.on_host.remove(finished)
                self.on_disk.add(finished)
                self.traffic.disk_written += 1
                moves.append(Move(finished, None, True))
        to_disk = len(self.on_host) >= self.host_slots
        (self.on_disk if to_disk else self.on_host).add(tile)
        self.traffic.disk_written += to_disk
        self.max_on_host = max(self.max_on_host, len(self.on_host))
        moves.append(Move(tile, slot, to_disk))
        return moves


def min_slots(count: int) -> int:
    """Two panels in the making at once."""
    return count if count == 1 else 2 * count - 1


def rehearse(count: int, slots: int, host_slots: int) -> Residency:
    """The residency after a whole factorisation, with its traffic; no array is touched."""
    residency = Residency(count, slots, host_slots)
    for j in range(count):
        residency.begin(j)
        if len(residency.slot_of) == j * count - j * (j - 1) // 2 + count - j:
            continue  # everything is still there
        for k in range(j):
            residency.absent(j, k)
    return residency


def _runs_first(free: list[int], wanted: int) -> list[int]:
    """`wanted` of the sorted free slots: the shortest run of neighbours that holds all, else the longest runs."""
    runs: list[list[int]] = []
    for slot in free:
        if runs and slot == runs[-1][-1] + 1:
            runs[-1].append(slot)
        else:
            runs.append([slot])
    long_enough = [run for run in runs if len(run) >= wanted]
    if long_enough:
        return min(long_enough, key=len)[:wanted]
    runs.sort(key=lambda run: (-len(run), run[0]))
    chosen: list[int] = []
    for run in runs:
        chosen += run[: wanted - len(chosen)]
    return chosen
