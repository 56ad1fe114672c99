"""The linear kernel of streamed features: Gram matrices from one pass over the filters, resumable.

K = Z Z^T and K_test = Z_test Z^T, where Z are the features of a random convolution net: too many to exist at once.
Both are summed over blocks of filters. A large K then waits on the disk, and the factor takes the memory that its
sums had: neither the features, nor K beside its factor, are ever in memory.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from kernelfit.cpu.memory import free_disk
from kernelfit.cpu.pool import CpuBackend
from kernelfit.device.choose import open_device
from kernelfit.device.panel_gram import DevicePanelGram
from kernelfit.device.protocol import Device
from kernelfit.errors import InputError, PlanError
from kernelfit.features.random_conv import RandomConv
from kernelfit.gram.costs import Costs
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.placement import Limits, place
from kernelfit.gram.source import PanelGram, StoredGram
from kernelfit.progress import Progress, Silent
from kernelfit.runs.interruption import Interruption
from kernelfit.solver.solution import Solution
from kernelfit.storage.hdf5 import array_digest
from kernelfit.streaming import gram_file
from kernelfit.streaming.accumulate import Seconds, block_bytes, filters_per_block
from kernelfit.streaming.sums import DeviceSums, HostSums, Sums

#: K stays in memory beside its factor up to this many bytes; a larger one waits on the disk
IN_MEMORY = 10**9
#: what checkpoints may cost: this share of the time between them
CHECKPOINT_SHARE = 0.03
# Bytes a second that a checkpoint is written and hashed at, before one has been timed.
_WRITING = 5e8
# Panels of a Gram on a device, as wide as products want them there.
_DEVICE_WIDTH = 2_048
# Bytes of the test rows' kernel in float64 that are multiplied at a time.
_SCORES_BYTES = 2**26


@dataclass(frozen=True)
class GramPlan:
    """What the sums need, in bytes: pure arithmetic.

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


def sums_dtype(precision: str) -> np.dtype[Any]:
    """The dtype of the sums for a solve in `precision`: float64 for float64, float32 for what factors in float32."""
    return np.dtype(np.float64 if precision == "float64" else np.float32)


def plan_feature_gram(
    net: RandomConv,
    n: int,
    m: int,
    row_bytes: int,
    *,
    dtype: DTypeLike = np.float64,
    per_block: int | None = None,
    layout: PanelLayout | None = None,
    checkpoint: bool = False,
    on_device: bool = False,
) -> GramPlan:
    """Bytes of the Grams of `n` training and `m` test rows of `row_bytes` bytes of the fitted `net`.

    On a device K and the features are not in the host's memory, but for the while that a checkpoint takes.
    """
    layout = layout or PanelLayout.of_order(n)
    per_block = min(per_block or filters_per_block(net, n, m), net.n_filters)
    gram, cross = layout.elements * np.dtype(dtype).itemsize, 4 * m * n
    stored = checkpoint or (gram > IN_MEMORY and not on_device)
    return GramPlan(
        n=n,
        m=m,
        per_block=per_block,
        gram=gram,
        cross=cross,
        block=0 if on_device else per_block * block_bytes(net, n, m),
        on_device=on_device,
        rows=(n + m) * row_bytes,
        stored=stored,
        disk=(gram + cross) * (2 if checkpoint else 1) if stored else 0,
    )


def require_solvable(
    net: RandomConv,
    n: int,
    m: int,
    row_bytes: int,
    *,
    n_rhs: int,
    memory: int,
    precision: str,
    tier: str,
    folder: Path | None,
    kept: bool,
) -> None:
    """Raise `PlanError` where the solve that follows the sums would not fit: better before hours of summing.

    What a device has is not known here, so that the CPU's plan is asked.
    """
    plan = plan_feature_gram(net, n, m, row_bytes, dtype=sums_dtype(precision), checkpoint=kept)
    threads = CpuBackend(net.threads).threads
    costs = Costs.of(n=n, d=0, n_rhs=n_rhs, threads=threads, precision=precision, points_bytes=0)
    disk_free = free_disk(folder or Path(tempfile.gettempdir())) - (plan.gram + plan.cross)
    place(costs, Limits(memory - plan.held, disk_free), tier=tier, stored=kept)


@dataclass
class FeatureGram:
    """K of the training rows as packed panels, and the test rows' kernel with them.

    Attributes
    ----------
    gram : K (n, n), for `kernelfit.solve(gram, Y, kernel="precomputed")`; summed up on a device it stays there, is
        solved there by device="auto", and keeps the device until `close()`; one solution at a time may be open
    cross : (m, n) float32 (of K's dtype where it was summed up on a device), for `Solution.predict`
    mean_diagonal : the mean of |z_i|^2, in units of which a ridge is best given
    n_features : columns of Z
    plan : what was planned
    seconds : `features` and `gram` (their products), of every process that took part
    """

    gram: PanelGram
    cross: NDArray[Any]
    mean_diagonal: float
    n_features: int
    plan: GramPlan
    seconds: dict[str, float] = field(default_factory=dict)

    def predict(self, solution: Solution) -> NDArray[np.float64]:
        """f at the test rows (m, c) or (m,), a few rows at a time."""
        rows = max(1, _SCORES_BYTES // (8 * self.cross.shape[1]))
        starts = range(0, max(1, len(self.cross)), rows)
        return np.concatenate([solution.predict(self.cross[start : start + rows]) for start in starts])

    def close(self) -> None:
        """Close the file that K is read from, or give the device back that it lies on."""
        if isinstance(self.gram, (StoredGram, DevicePanelGram)):
            self.gram.close()


def feature_gram(
    net: RandomConv,
    train: ArrayLike,
    test: ArrayLike,
    *,
    dtype: DTypeLike = np.float64,
    per_block: int | None = None,
    panel_width: int | None = None,
    memory: int | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_share: float = CHECKPOINT_SHARE,
    scratch: str | Path | None = None,
    remember: Mapping[str, Any] | None = None,
    way_on: str = "go on with the same checkpoint",
    device: str | Device = "cpu",
    progress: Progress | None = None,
) -> FeatureGram:
    """K and K_test of the fitted `net`, block of filters by block; `GramPlan` says what is needed.

    Parameters
    ----------
    net : fitted
    train, test : (n, d), (m, d) rows; m may be 0
    dtype : of K: float64, or float32 for half the memory; products are float32 either way (see `accumulate`)
    per_block : filters at a time
    panel_width : of the packed panels; by default what the solver takes for this n
    memory : bytes to stay within
    checkpoint : a file to keep the sums in. It is written after a block when that costs at most `checkpoint_share` of
        the time since it was last written (some seconds for every ten GB), and at the end. Where it is there already,
        the work goes on from it with the same bits as without a break, if it is of the same rows, net and sizes. K is
        read from it afterwards; it is deleted by whoever named it
    scratch : folder where a large K waits when there is no checkpoint; by default the system's temporary folder
    remember : JSON to keep in the checkpoint, for whoever goes on with it
    way_on : how to do so, in the words that somebody reads who stops the work (SIGINT, SIGTERM)
    device : "cpu", "cuda", "cuda:1", ..., "auto", or an open device, which the result then owns

    Raises
    ------
    InputError : sizes, or a checkpoint of other rows or another net
    PlanError : what is needed exceeds `memory`, or the disk
    DeviceError : a device that cannot be had, is lost or is too small; a checkpoint stays
    DataError, StorageError : a checkpoint that cannot be read or written
    Interrupted : asked to stop by a signal; with a checkpoint that is after a block of filters, which it has
    """
    progress = progress or Silent()
    kind = np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        raise InputError(f"dtype: got {kind}, expected float32 or float64")
    train_rows = np.ascontiguousarray(net.validated(train))
    test_rows = np.asarray(test)
    if len(test_rows) > 0:  # none is allowed here
        test_rows = np.ascontiguousarray(net.validated(test_rows))
    n, m = len(train_rows), len(test_rows)
    path = Path(checkpoint).absolute() if checkpoint is not None else None
    folder = path.parent if path is not None else Path(scratch or tempfile.gettempdir())
    opened = open_device(device, n, progress.note)
    try:
        layout = PanelLayout.of_order(n) if opened is None else PanelLayout(n, min(_DEVICE_WIDTH, n))
        if panel_width is not None:
            layout = PanelLayout(n, min(panel_width, n))
        plan = plan_feature_gram(
            net,
            n,
            m,
            train_rows[:1].nbytes,
            dtype=kind,
            per_block=per_block,
            layout=layout,
            checkpoint=path is not None,
            on_device=opened is not None,
        )
        _require_room(plan, memory, folder, path)
        job = _Job(
            net, train_rows, test_rows, layout, kind, plan, path, checkpoint_share, remember or {}, way_on
        )
        return job.run(
            opened, None if opened is not None and per_block is None else plan.per_block, folder, progress
        )
    except BaseException:
        if opened is not None:
            opened.close()
        raise


def _require_room(plan: GramPlan, memory: int | None, folder: Path, path: Path | None) -> None:
    if memory is not None and plan.memory > memory:
        raise PlanError(
            f"memory: {plan.memory:,} bytes needed for the Grams of n = {plan.n:,} and {plan.m:,} test rows, got "
            f"{memory:,}: {plan.memory - memory:,} missing; take fewer rows, or precision mixed, which halves K"
        )
    there = path.stat().st_size if path is not None and path.exists() else 0
    free = free_disk(folder) + there
    if plan.disk > free:
        raise PlanError(
            f"disk: {plan.disk:,} bytes needed in {folder} for K, {free:,} free: {plan.disk - free:,} missing; "
            "free some, or choose another folder"
        )


class _Job:
    """The sums of one call, and their file."""

    def __init__(
        self,
        net: RandomConv,
        train: NDArray[Any],
        test: NDArray[Any],
        layout: PanelLayout,
        kind: np.dtype[Any],
        plan: GramPlan,
        path: Path | None,
        share: float,
        remember: Mapping[str, Any],
        way_on: str,
    ) -> None:
        self.net, self.train, self.test, self.layout, self.kind = net, train, test, layout, kind
        self.plan, self.path, self.remember, self.way_on = plan, path, dict(remember), way_on
        self.seconds = Seconds()
        self._identity = self._describe() if path is not None else {}
        self._pace = _Pace(share, (plan.gram + plan.cross) / _WRITING)

    def run(
        self, device: Device | None, per_block: int | None, folder: Path, progress: Progress
    ) -> FeatureGram:
        """Take up what is in the file, add what is missing, and leave K where it is to be."""
        found = self._take_up(progress)
        if device is None and found is not None and found.finished:
            return self._result(found.gram(), found.cross())
        sums: Sums
        if device is not None:
            sums = DeviceSums(device, self.layout, len(self.test), self.kind)
        else:
            sums = HostSums(self.layout, len(self.test), self.kind)
        done = 0
        if found is not None:
            sums.restore(found.panels(), found.cross())
            done = found.done

        if done < self.net.n_filters:
            self._add(sums, done, per_block, progress)
        cross = sums.cross()
        if device is not None or not self.plan.stored:
            return self._result(sums.gram(), cross)
        if self.path is not None:
            sums.release()  # the factor wants this memory
            return self._result(gram_file.read(self.path).gram(), cross)
        handle, name = tempfile.mkstemp(dir=folder, prefix="kernelfit-", suffix=".gram.h5")
        os.close(handle)
        try:
            self._write(Path(name), self.net.n_filters, sums)
            sums.release()
            return self._result(gram_file.read(Path(name)).gram(), cross)
        finally:
            os.unlink(name)  # what is open stays readable, and vanishes with this process

    def _add(self, sums: Sums, done: int, per_block: int | None, progress: Progress) -> None:
        """The filters from `done` on. With a file, the work can be stopped and gone on with."""
        path = self.path
        if path is None:
            sums.accumulate(self.net, self.train, self.test, done, per_block, None, self.seconds, progress)
            return
        with Interruption(path.parent, progress, step="filter", way_on=self.way_on) as interruption:

            def after_block(filters: int) -> None:
                if filters < self.net.n_filters and (self._pace.due() or interruption.asked):
                    with self._pace:
                        self._write(path, filters, sums)
                interruption.after(filters)

            with interruption.step_by_step():
                sums.accumulate(
                    self.net, self.train, self.test, done, per_block, after_block, self.seconds, progress
                )
                self._write(path, self.net.n_filters, sums)

    def _take_up(self, progress: Progress) -> gram_file.Sums | None:
        """What is in the file, if it is of the same problem."""
        if self.path is None or not self.path.exists():
            return None
        found = gram_file.read(self.path)
        different = [key for key, value in self._identity.items() if found.identity.get(key) != value]
        if different:
            raise InputError(
                f"{self.path}: the sums there differ in {', '.join(different)}; take another folder, or remove it"
            )
        if found.finished:
            progress.note(f"{self.path}: K is complete, taken from there")
        else:
            progress.note(f"{self.path}: going on after {found.done} of {found.of} filters")
        self.seconds = Seconds(**found.seconds)
        return found

    def _write(self, path: Path, done: int, sums: Sums) -> None:
        gram_file.write(
            path,
            self.layout,
            sums.panels(),
            sums.cross(),
            done=done,
            of=self.net.n_filters,
            identity=self._identity,
            remembered=self.remember,
            seconds=asdict(self.seconds),
        )

    def _result(self, gram: PanelGram, cross: NDArray[Any]) -> FeatureGram:
        mean = float(gram.diagonal().mean())
        if not mean > 0:
            raise InputError(
                "threshold: no response of any filter exceeds it, so every feature is 0; lower it"
            )
        return FeatureGram(gram, cross, mean, self.net.n_features_out_, self.plan, asdict(self.seconds))

    def _describe(self) -> dict[str, Any]:
        """What must agree for sums to be continued."""
        parameters = {key: value for key, value in self.net.get_params().items() if key != "threads"}
        return {
            "train": array_digest(self.train),
            "test": array_digest(self.test),
            "filters": [array_digest(a) for a in (self.net.filters_, self.net.mean_, self.net.whitening_)],
            "net": {
                key: list(value) if isinstance(value, tuple) else value for key, value in parameters.items()
            },
            "layout": [self.layout.n, self.layout.width],
            "dtype": self.kind.name,
            "per_block": self.plan.per_block,
        }


class _Pace:
    """Says when a checkpoint costs no more than a share of the time since the last one; times what it encloses."""

    def __init__(self, share: float, cost: float) -> None:
        self._share, self._cost = share, cost
        self._last = time.monotonic()
        self._began = self._last

    def due(self) -> bool:
        return (time.monotonic() - self._last) * self._share >= self._cost

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._last = time.monotonic()
        self._cost = self._last - self._began
