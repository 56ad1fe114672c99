"""What a factor dealt out to workers costs each of them: pure arithmetic, no array is allocated here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kernelfit.cluster.deal import AHEAD, AT_ONCE, Deal
from kernelfit.cluster.device_costs import resident_rows
from kernelfit.cpu.memory import INTERPRETER
from kernelfit.errors import PlanError
from kernelfit.gram.costs import Costs
from kernelfit.gram.layout import MAX_STRIP

# Vectors of (n, c) float64 of a certificate, beside those of a solve.
_PRODUCTS = 9


@dataclass(frozen=True)
class ShareCosts:
    """Bytes of one share on its worker.

    Attributes
    ----------
    held : whatever it does: the interpreter, the training rows, a workspace of each thread, right-hand sides
    rows : block rows of L that are in use or on their way; in their place, later, the products that certify
    begun : blocks of panels that are begun, and not ended, where they do not lie in memory with the others
    blocks : its own part of L, but for what lies on its GPU
    received : what comes over its link while factoring
    """

    held: int
    rows: int
    begun: int
    blocks: int
    received: int

    @classmethod
    def of(cls, costs: Costs, deal: Deal, share: int, threads: int, gpu: int | None = None) -> ShareCosts:
        """`gpu` bytes of the worker's GPU are for rows of L, None where it computes on its CPU."""
        size, layout = costs.bytes_number, costs.layout
        workspace = threads * min(MAX_STRIP, costs.n) * (layout.width * 16 + costs.d * 8)
        vectors = 6 * costs.n * max(costs.n_rhs, 2) * 8
        # alpha, |alpha| and ones, their products with K and |K|, and four of these until they are fetched.
        products = _PRODUCTS * costs.n * max(costs.n_rhs, 2) * 8
        # Of a K that is stored, and sent, a few panels are there at a time.
        panel = sum(map(deal.height, deal.rows(share))) * layout.width * size
        sent = 0 if costs.d else panel
        on_gpu = set() if gpu is None else set(resident_rows(deal, share, size, gpu))
        return cls(
            INTERPRETER + costs.bytes_points + workspace + layout.width * costs.d * 8 + vectors,
            max(AT_ONCE * layout.width * costs.n * size, products) + (AT_ONCE + 2) * sent,
            0 if gpu is not None else (AHEAD + 1) * panel,
            sum(deal.row_elements(i) for i in deal.rows(share) if i not in on_gpu) * size,
            (deal.received(share) + (0 if costs.d else deal.elements(share))) * size,
        )

    @property
    def beside(self) -> int:
        """Memory beside its blocks."""
        return self.held + self.rows

    @property
    def on_disk(self) -> int:
        """Memory where its blocks are read from a file."""
        return self.beside + self.begun

    @property
    def in_memory(self) -> int:
        return self.beside + self.blocks


@dataclass(frozen=True)
class Room:
    """Bytes of memory and of disk that a worker may take, its threads, and its flop/s beside those of others.

    `gpu` bytes of its GPU are for rows of L; None where it computes on its CPU.
    """

    memory: int
    disk: int
    threads: int
    rate: float = 1.0
    gpu: int | None = None


# Of a slower worker's rate below which it gets fewer rows: measured rates of equal ones differ by less.
_SLOWER = 0.6
# Of the memory for its blocks that a worker's part is planned to take: whole rows are dealt out.
_OF_ROOM = 0.9


def parts_of(costs: Costs, rooms: Sequence[Room], tier: str) -> tuple[float, ...]:
    """In which proportion rows are dealt out: by the workers' rates, and less to whom they would not fit into memory.

    () where all get the same: rates differ by less than what measuring them may be off, and memory suffices, or does
    not suffice in whatever proportion.
    """
    fastest = max(room.rate for room in rooms)
    parts = [1.0 if room.rate >= _SLOWER * fastest else room.rate / fastest for room in rooms]
    total = float(costs.bytes_factor)
    free = []
    for room in rooms:
        share = ShareCosts.of(costs, Deal(costs.layout, 1), 0, room.threads)
        free.append(max(1.0, _OF_ROOM * (max(0, room.memory - share.beside) + (room.gpu or 0))))
    if tier != "disk" and sum(free) >= total:
        parts = _within(parts, free, total)
    return tuple(parts) if len(set(parts)) > 1 else ()


def _within(parts: Sequence[float], most: Sequence[float], total: float) -> list[float]:
    """`total` in proportion to `parts`, but no more than `most`, whose sum is no less than it."""
    full: dict[int, float] = {}
    while True:
        others = [p for p in range(len(parts)) if p not in full]
        left, weight = total - sum(full.values()), sum(parts[p] for p in others)
        over = {p: most[p] for p in others if left * parts[p] / weight > most[p]}
        if not over:
            return [full[p] if p in full else left * parts[p] / weight for p in range(len(parts))]
        full |= over


def placed(costs: Costs, deal: Deal, rooms: Sequence[Room], tier: str, seen: bool) -> list[bool]:
    """For each share whether its blocks go to the disk of its worker; `seen`: they go to a run's file in any case.

    Raises `PlanError` where a worker has too little memory or disk, with what is missing.
    """
    on_disk: list[bool] = []
    for p, room in enumerate(rooms):
        share = ShareCosts.of(costs, deal, p, room.threads, room.gpu)
        fits = share.in_memory <= room.memory
        if tier == "ram" and not fits:
            raise PlanError(
                f"memory: {share.in_memory:,} bytes needed on worker {p} of {len(rooms)} for its share of n = "
                f"{costs.n:,}, got {room.memory:,}; take more workers, or tier='disk'"
            )
        to_disk = tier == "disk" or not fits
        if to_disk and share.on_disk > room.memory:
            raise PlanError(
                f"memory: {share.on_disk:,} bytes needed on worker {p} of {len(rooms)} beside its share of n = "
                f"{costs.n:,} on its disk, got {room.memory:,}; give it more memory, or a smaller panel_width"
            )
        if to_disk and not seen and share.blocks > room.disk:
            raise PlanError(
                f"disk: {share.blocks:,} bytes needed on worker {p} of {len(rooms)} for its share of n = {costs.n:,}, "
                f"{room.disk:,} free; take more workers, or give it another local_directory"
            )
        on_disk.append(to_disk)
    return on_disk
