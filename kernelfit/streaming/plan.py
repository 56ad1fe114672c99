"""What sums of Gram matrices over blocks of filters need, in bytes: pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kernelfit.cpu.memory import free_disk
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import PlanError
from kernelfit.gram.costs import Costs
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.placement import Limits, place
from kernelfit.storage.folders import scratch_folder
from kernelfit.streaming.protocol import StreamingFeatures

#: bytes that a block of features may take unless its filters are given: a group of 256 filters of 18 features each for
#: the 70,000 images of MNIST
BLOCK_BYTES = 1_300_000_000
#: K stays in memory beside its factor up to this many bytes; a larger one waits on the disk
IN_MEMORY = 10**9
# Wider products are hardly faster.
_MAX_FILTERS = 512


def sums_dtype(precision: str) -> np.dtype[Any]:
    """The dtype of the sums for a solve in `precision`: float64 for float64, float32 for what factors in float32."""
    return np.dtype(np.float64 if precision == "float64" else np.float32)


def block_bytes(net: StreamingFeatures, n: int, m: int) -> int:
    """Bytes of one filter's features of `n` training and `m` test rows while they are multiplied.

    Bytes are held as they are and, those of the training rows, in the order in which products read them.
    """
    return net.features_per_filter * ((2 * n + m) if net.step_ else 4 * (n + m))


def filters_per_block(net: StreamingFeatures, n: int, m: int) -> int:
    """Filters whose block takes at most `BLOCK_BYTES`, 512 at most; at least one.

    Groups of filters are computed whole, so that a block is one or several of them, or the half, quarter, ... of one.
    """
    fitting = min(BLOCK_BYTES // max(block_bytes(net, n, m), 1), _MAX_FILTERS)
    if fitting >= net.filters_per_group:
        fitting -= fitting % net.filters_per_group
    else:
        fitting = 1 << max(fitting.bit_length() - 1, 0)
    return int(max(1, min(fitting, net.n_filters)))


@dataclass(frozen=True)
class GramSizes:
    """Grams of `n` training and `m` test rows of `row_bytes` bytes each; K is of `dtype`, in panels of `layout`."""

    n: int
    m: int
    row_bytes: int
    dtype: np.dtype[Any]
    layout: PanelLayout

    @classmethod
    def of(cls, n: int, m: int, row_bytes: int, precision: str = "float64") -> GramSizes:
        """For a solve in `precision`, in the panels that the solver takes for this n."""
        return cls(n, m, row_bytes, sums_dtype(precision), PanelLayout.of_order(n))


@dataclass(frozen=True)
class GramPlan:
    """What the sums need, in bytes.

    `memory` is the peak of arrays while they are formed: K and the test rows' kernel, one block of features, the rows.
    `stored`: K is then left on the disk (`disk` bytes, that of two files where checkpoints replace each other).
    """

    n: int
    m: int
    per_block: int
    gram: int
    cross: int
    block: int
    rows: int
    stored: bool
    disk: int
    on_device: bool = False

    @property
    def memory(self) -> int:
        in_memory = 0 if self.on_device and not self.stored else self.gram
        return in_memory + self.cross + self.block + self.rows

    @property
    def held(self) -> int:
        """What stays in memory while the system is solved."""
        return (0 if self.stored or self.on_device else self.gram) + self.cross + self.rows

    def require_room(self, memory: int | None, folder: Path, replaced: int = 0) -> None:
        """Raise `PlanError` where this exceeds `memory`, or what is free in `folder` and `replaced` bytes."""
        if memory is not None and self.memory > memory:
            raise PlanError(
                f"memory: {self.memory:,} bytes needed for the Grams of n = {self.n:,} and {self.m:,} test rows, got "
                f"{memory:,}: {self.memory - memory:,} missing; take fewer rows, or precision mixed, which halves K"
            )
        free = free_disk(folder) + replaced if self.disk else 0
        if self.disk > free:
            raise PlanError(
                f"disk: {self.disk:,} bytes needed in {folder} for K, {free:,} free: {self.disk - free:,} missing; "
                "free some, or choose another folder"
            )


def plan_feature_gram(
    net: StreamingFeatures,
    sizes: GramSizes,
    *,
    per_block: int | None = None,
    checkpoint: bool = False,
    on_device: bool = False,
) -> GramPlan:
    """Bytes of Grams of these sizes of the fitted `net`.

    On a device K and the features are not in the host's memory, but for the while that a checkpoint takes.
    """
    n, m = sizes.n, sizes.m
    per_block = int(min(per_block or filters_per_block(net, n, m), net.n_filters))
    gram, cross = sizes.layout.elements * sizes.dtype.itemsize, 4 * m * n
    stored = checkpoint or (gram > IN_MEMORY and not on_device)
    return GramPlan(
        n=n,
        m=m,
        per_block=per_block,
        gram=gram,
        cross=cross,
        block=0 if on_device else per_block * block_bytes(net, n, m),
        on_device=on_device,
        rows=(n + m) * sizes.row_bytes,
        stored=stored,
        disk=(gram + cross) * (2 if checkpoint else 1) if stored else 0,
    )


@dataclass(frozen=True)
class SolveRequest:
    """What the solve that follows the sums is given: `solve`'s own arguments; `stored`: in a run directory.

    `checkpoint` says whether sums are stored in a file, `there` how many bytes of the folder they and a factor of
    before take already.
    """

    n_rhs: int
    memory: int
    precision: str
    tier: str
    folder: Path | None
    stored: bool
    checkpoint: bool = False
    there: int = 0


def require_solvable(net: StreamingFeatures, n: int, m: int, row_bytes: int, solve: SolveRequest) -> None:
    """Raise `PlanError` where the solve that follows the sums would not fit: better before hours of summing.

    What a device has is not known here, so that the CPU's plan is asked.
    """
    plan = plan_feature_gram(net, GramSizes.of(n, m, row_bytes, solve.precision), checkpoint=solve.checkpoint)
    threads = CpuBackend(net.threads).threads
    costs = Costs.of(n=n, d=0, n_rhs=solve.n_rhs, threads=threads, precision=solve.precision, bytes_points=0)

    def free() -> int:
        return free_disk(scratch_folder(solve.folder)) + solve.there - (plan.gram + plan.cross)

    place(costs, Limits(solve.memory - plan.held, free), tier=solve.tier, stored=solve.stored)
