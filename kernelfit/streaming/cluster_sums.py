"""K += Z_b Z_b^T over blocks of filters by the workers of a Dask cluster; the sums are in this process.

The work is cut in one of two ways, whichever costs less by what it moves and what it computes more than once:

    filters    each worker forms all of K over its own filters; these K's are added along a binary tree and one is sent
    tiles      each worker forms its own pairs of blocks of rows over all filters, and sends them; the features of all
               rows are computed by every worker

Filters are taken in rounds, as many as keep sending sums cheap beside the work. After each the sums here are whole and
may be stored, and workers hold nothing: what a lost one had to do in a round is done by another.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cluster.connect import Cluster
from kernelfit.cluster.crew import Crew
from kernelfit.cluster.deal import Deal
from kernelfit.cluster.placement import Placement
from kernelfit.cluster.tasks import Setup, threads_of_worker
from kernelfit.cpu.memory import INTERPRETER
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import PlanError
from kernelfit.gram.layout import PanelLayout
from kernelfit.progress import Notes, Silent
from kernelfit.streaming.block_products import tile_height
from kernelfit.streaming.host_sums import HostSums, Tile, tiles_of
from kernelfit.streaming.plan import block_bytes, filters_per_block
from kernelfit.streaming.sums import FeaturePass, Seconds
from kernelfit.typing import Span

# Operations in whose time a byte crosses a link: 1e11 flop/s of a worker beside 10 Gbit/s.
_FLOPS_OF_A_BYTE = 80.0
# What sending sums may cost of the work of a round.
_OF_ROUND = 0.05
# K's that a worker has at a time that adds two of them up; tiles are copied to be sent.
_COPIES_OF_ALL, _COPIES_OF_TILES = 3, 2


@dataclass(frozen=True)
class Division:
    """How sums are cut: by filters or else by tiles, on so many workers, in so many rounds; bytes of K on a worker."""

    by_filters: bool
    workers: int
    rounds: int
    held: float

    @classmethod
    def of(
        cls, features: float, products: float, size: float, workers: int, blocks: int, memory: float
    ) -> Division:
        """For flops of features and of their products, sums of `size` bytes over so many blocks of filters, and
        `memory` of a worker for them."""
        few = min(workers, blocks)  # with fewer blocks than workers some would have no filters
        moved = {True: size * (1 + math.ceil(math.log2(few))), False: size}
        work = {True: (features + products) / few, False: features + products / workers}
        costs = {way: work[way] + moved[way] * _FLOPS_OF_A_BYTE for way in (True, False)}
        by_filters = costs[True] <= costs[False] and _COPIES_OF_ALL * size <= memory
        rounds = max(1, int(_OF_ROUND * work[by_filters] / (moved[by_filters] * _FLOPS_OF_A_BYTE)))
        held = _COPIES_OF_ALL * size if by_filters else _COPIES_OF_TILES * size / workers
        return cls(by_filters, few if by_filters else workers, rounds, held)

    def cut(self, blocks: Sequence[Span]) -> list[list[Span]]:
        """The blocks of each round: every worker has some where they are dealt out."""
        most = len(blocks) // self.workers if self.by_filters else len(blocks)
        return _parts(blocks, max(1, min(self.rounds, most)))


class ClusterSums(HostSums):
    """Sums in host memory, of what a cluster multiplies.

    Those of quantised features in float64 have the same bits as without one. Others are added up in another order,
    which differs by roundings of K's own type.
    """

    def __init__(self, cluster: Cluster, layout: PanelLayout, tests: int, dtype: np.dtype[Any]) -> None:
        zeros = HostSums.zeros(layout, tests, dtype)
        super().__init__(layout, zeros.panels(), zeros.cross())
        self._cluster, self._dtype = cluster, dtype

    def add(self, features: FeaturePass, part: slice = slice(None)) -> None:
        net, progress = features.net, features.progress
        sets = len(features.train), len(features.test)
        per_block = features.per_block or filters_per_block(net, *sets)
        blocks = features.blocks(per_block)
        if not blocks:
            return
        share = (features.stop - features.first_filter) / net.n_filters
        pairs = sets[0] * (sets[0] + 1) / 2 + float(sets[0]) * sets[1]
        flops = share * net.flops_per_image * sum(sets), share * 2.0 * pairs * net.n_features_out_
        division = self._division(features, per_block, len(blocks), *flops)
        progress.note(
            f"features: {len(blocks)} blocks of filters, dealt out to {division.workers} workers by "
            f"{'filters' if division.by_filters else 'tiles of K'}"
        )
        common = replace(features, per_block=per_block, on_block=None, seconds=Seconds(), progress=Silent())
        nobody = Placement(Deal(self._layout, 0))
        setup = Setup(nobody.deal, self._dtype, 0.0)
        with CpuBackend(net.threads) as backend, progress.phase("gram of features", sum(flops)) as advance:
            crew = Crew(self._cluster, common, setup, nobody, Notes(progress, []), backend)
            try:
                for own in division.cut(blocks):
                    began = time.perf_counter()
                    work = sum(flops) * len(own) / len(blocks) / division.workers
                    add = self._add_filters if division.by_filters else self._add_tiles
                    add(crew, own, division.workers, partial(advance, work))
                    seconds = time.perf_counter() - began
                    features.seconds.features += seconds * flops[0] / sum(flops)
                    features.seconds.gram += seconds * flops[1] / sum(flops)
                    features.finished(own[-1][1])
            finally:
                crew.close()

    def _division(
        self, features: FeaturePass, per_block: int, blocks: int, of_features: float, of_products: float
    ) -> Division:
        """Raises `PlanError` where a worker has too little memory."""
        states = self._cluster.workers().values()
        rows = features.train.nbytes + features.test.nbytes
        block = per_block * block_bytes(features.net, len(features.train), len(features.test))
        beside = INTERPRETER + rows + block
        memory = min((state.memory for state in states), default=0)
        size = float(self._layout.elements * self._dtype.itemsize + self._cross.nbytes)
        workers = max(1, len(states))
        division = Division.of(of_features, of_products, size, workers, blocks, memory - beside)
        needed = int(beside + division.held)
        if needed > memory:
            raise PlanError(
                f"memory: {needed:,} bytes needed on each of {len(states)} workers for the Grams of n = "
                f"{self._layout.n:,}, got {memory:,} on the smallest; take more workers, or give them more"
            )
        return division

    def _add_filters(self, crew: Crew, blocks: list[Span], workers: int, advance: Callable[[], None]) -> None:
        spans = [(own[0][0], own[-1][1]) for own in _parts(blocks, workers)]

        def summed() -> Any:
            parts = [crew.anywhere(_of_filters, self._layout, self._dtype, span) for span in spans]
            crew.wait(parts, advance)
            while len(parts) > 1:
                pairs = [parts[k : k + 2] for k in range(0, len(parts), 2)]
                parts = [crew.anywhere(_added, *pair) if len(pair) == 2 else pair[0] for pair in pairs]
            return crew.results(parts)[0]

        panels, cross, sq_norms = crew.recovered(summed)
        for target, value in zip(self._panels, panels, strict=True):
            target += value
        self._cross += cross
        self._test_sq_norms += sq_norms

    def _add_tiles(self, crew: Crew, blocks: list[Span], workers: int, advance: Callable[[], None]) -> None:
        span = blocks[0][0], blocks[-1][1]

        def formed() -> Any:
            parts = [slice(p, None, workers) for p in range(workers)]
            futures = [crew.anywhere(_of_tiles, self._layout, self._dtype, span, part) for part in parts]
            return crew.results(futures, advance)

        for p, (tiles, sq_norms) in enumerate(crew.recovered(formed)):
            for tile, values in tiles:
                out = tile.of(self._layout, self._panels, self._cross)
                out += values
            if p == 0:  # all have the same
                self._test_sq_norms += sq_norms


def _parts(blocks: Sequence[Span], count: int) -> list[list[Span]]:
    """`count` runs of blocks of about equal length, those that are empty left out."""
    cuts = [len(blocks) * k // count for k in range(count + 1)]
    return [list(blocks[a:b]) for a, b in pairwise(cuts) if b > a]


# -- on a worker ------------------------------------------------------------------------------------------------------


def _of_filters(features: FeaturePass, layout: PanelLayout, dtype: np.dtype[Any], span: Span) -> Any:
    """Panels, the test rows' kernel and their squared lengths over some filters."""
    sums = _summed(features, layout, dtype, span, slice(None))
    return sums.panels(), sums.cross(), sums.test_sq_norms()


def _added(features: FeaturePass, a: Any, b: Any) -> Any:
    """The sums of two, which stay as they were: Dask may want them again."""
    panels = [left + right for left, right in zip(a[0], b[0], strict=True)]
    return panels, a[1] + b[1], a[2] + b[2]


def _of_tiles(
    features: FeaturePass, layout: PanelLayout, dtype: np.dtype[Any], span: Span, part: slice
) -> tuple[list[tuple[Tile, NDArray[Any]]], NDArray[np.float64]]:
    """Some of the tiles, and the squared lengths of the test rows."""
    # Of panels that are zeros the pages are taken that are written.
    sums = _summed(features, layout, dtype, span, part)
    tiles = tiles_of(layout, len(features.test), tile_height(features.net.step_))[part]
    return [
        (tile, tile.of(layout, sums.panels(), sums.cross()).copy()) for tile in tiles
    ], sums.test_sq_norms()


def _summed(
    features: FeaturePass, layout: PanelLayout, dtype: np.dtype[Any], span: Span, part: slice
) -> HostSums:
    net = copy.copy(features.net)
    net.threads = threads_of_worker()
    sums = HostSums.zeros(layout, len(features.test), dtype)
    sums.add(replace(features, net=net, first_filter=span[0], stop_filter=span[1], seconds=Seconds()), part)
    return sums
