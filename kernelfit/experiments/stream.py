"""The Gram matrix of features that stream, from a data set: what it needs looked for, summed up, and stored."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kernelfit.arguments import bytes_of
from kernelfit.cluster.connect import Cluster, Engine
from kernelfit.cpu.memory import available_memory
from kernelfit.datasets import Dataset, training_targets
from kernelfit.device.choose import open_device
from kernelfit.device.protocol import Device
from kernelfit.errors import DeviceFullError, DuplicateRowsError, InputError
from kernelfit.experiments.prepare import Prepared, transformed
from kernelfit.experiments.run_dir import take_sums
from kernelfit.experiments.specs import FeatureSpec, KernelSpec, SolverSettings
from kernelfit.experiments.streamed_kernel import require_settled, streamed_kernel
from kernelfit.gram.points import Points
from kernelfit.gram.precision import before_choice
from kernelfit.progress import Notes, Once, Progress
from kernelfit.runs.folder import LOCK, reserved
from kernelfit.runs.interruption import Interruption
from kernelfit.runs.lock import FolderLock
from kernelfit.solver.cluster_system import require_room, require_supported
from kernelfit.solver.inputs import drop_duplicates
from kernelfit.storage.folders import make_folder
from kernelfit.streaming.device_features import device_features
from kernelfit.streaming.gram import FeatureGram, feature_gram
from kernelfit.streaming.plan import GramSizes, SolveRequest, plan_feature_gram, require_solvable, sums_dtype
from kernelfit.streaming.protocol import StreamingFeatures, streaming
from kernelfit.typing import Array

if TYPE_CHECKING:  # scikit-learn comes with it
    from kernelfit.features.images import ImageFeatures


#: bytes that features which stream may take to be held all the same, for a kernel that is not linear
HELD = 10**9


@dataclass(frozen=True)
class Checkpoint:
    """Where sums of streamed features are stored so that a run which stops can be resumed.

    `file` holds the sums, `run_dir` the whole run where there is one; `remember` is stored with them, and `remedy`
    tells whoever stops the work how to resume it. `placed`: the run is open, or about to be, on the devices or workers
    that are asked for, whose memory its factor wants: its K is read from `file` here. `taken` are complete sums that
    become the run's own.
    """

    file: Path | None = None
    run_dir: Path | None = None
    remember: Mapping[str, Any] | None = None
    placed: bool = False
    taken: Path | None = None

    @property
    def asked(self) -> bool:
        """Whether the sums were asked for, and not only what a run stores on its way: those that a run has already
        were, or are its K."""
        return self.taken is not None or (
            self.file is not None and (self.run_dir is None or self.file.exists())
        )

    @property
    def remedy(self) -> str:
        if self.run_dir is not None:
            return f"continue with kernelfit resume {self.run_dir}"
        return "give the same command again"


def stream(
    dataset: Dataset,
    features: FeatureSpec,
    kernel: KernelSpec,
    solver: SolverSettings,
    checkpoint: Checkpoint,
    progress: Progress,
) -> Prepared:
    """Fit features that stream and sum up their Grams, which `checkpoint` stores, and form those of the kernel.

    Features that are held after all are computed as such: of the linear kernel those of no ridge that are fewer than
    rows, for the primal path; of others those of up to `HELD` bytes, whose kernel is then right to rounding, unless the
    sums were asked for. What would stop the solve after hours of summing is looked for before.
    """
    started = time.perf_counter()
    feature = features.fit(dataset, solver.threads, progress)
    if _held(feature, dataset, kernel, solver, checkpoint):
        if checkpoint.asked:
            named = checkpoint.taken or checkpoint.file
            progress.note(
                f"{named}: neither read nor written, as K has no more rank than the features that are held"
            )
        return transformed(dataset, feature, started, progress)
    require_settled(kernel)
    seconds = time.perf_counter() - started
    notes = Notes(progress)
    notes.extend(feature.notes)
    targets, kept = training_targets(dataset), np.arange(dataset.n_train)
    rows = dataset.X_train
    ridge = 0.0 if solver.chooses_ridge else float(solver.ridge)
    try:
        targets, kept = drop_duplicates(Points(rows), targets, ridge, notes.add)
        rows = rows[kept] if len(kept) < len(rows) else rows
    except DuplicateRowsError as error:
        if not solver.chooses_ridge:
            raise
        notes.add(f"ridge 0 will not do: {error}")
    with _working(checkpoint, notes):
        grams = _grams(streaming(feature), rows, dataset.X_test, targets.shape[1], solver, checkpoint, notes)
        formula = streamed_kernel(kernel, grams.gram, solver.threads)
        grams = grams.of(formula, solver.threads)
    if not formula.linear:
        exact = streaming(feature).step_ > 0 and sums_dtype(before_choice(solver.precision)) == np.float64
        notes.add(
            f"kernel {formula!r} of features that are not held: K is formed from their inner products, "
            f"{'exact' if exact else 'rounded to float32'}"
        )
    return Prepared(
        grams.gram,
        grams.cross,
        rows,
        None,
        grams.n_features,
        feature=feature,
        streamed=grams,
        mean_diagonal=grams.mean_diagonal,
        kept=kept,
        notes=tuple(notes.lines),
        seconds=seconds,
    )


@contextmanager
def _working(checkpoint: Checkpoint, notes: Notes) -> Iterator[None]:
    """Nobody else writes in the run's folder, which has its sums and what they are for; a signal that asks to stop says
    how to resume. Sums that are only read need no right to write there."""
    there = checkpoint.file is not None and checkpoint.file.exists()
    if checkpoint.run_dir is None or (checkpoint.placed and there):
        yield
        return
    folder, _ = make_folder(checkpoint.run_dir)
    lock = FolderLock(folder / LOCK)
    try:
        if checkpoint.placed:
            yield
            return
        with Interruption(folder, notes.progress, remedy=checkpoint.remedy, moment="beside its sums"):
            take_sums(checkpoint.taken, folder, checkpoint.remember or {}, notes.add)
            yield
    finally:
        lock.release()


def _held(
    feature: ImageFeatures,
    dataset: Dataset,
    kernel: KernelSpec,
    solver: SolverSettings,
    checkpoint: Checkpoint,
) -> bool:
    """Whether all features are held at once."""
    if kernel.linear:
        return feature.n_features_out_ < dataset.n_train and solver.ridge == 0
    size = 4 * feature.n_features_out_ * (dataset.n_train + dataset.n_test)
    return size <= HELD and not checkpoint.asked


def _grams(
    feature: StreamingFeatures,
    rows: Array,
    test: Array,
    n_rhs: int,
    solver: SolverSettings,
    checkpoint: Checkpoint,
    notes: Notes,
) -> FeatureGram:
    """The sums, on the device where there is one, else on the CPU or a cluster if the solve that follows them fits
    there."""
    progress = Once(notes.progress)  # what a device that has no room was told is not said again
    if checkpoint.placed:
        solver = replace(solver, device="cpu", device_memory=None, engine="process", scheduler=None)
    given = bytes_of(solver.memory)
    memory = available_memory() if given is None else given
    engine, precision = Engine.of(solver.engine, solver.scheduler), before_choice(solver.precision)
    engine.require_device(solver.device)
    engine.require_factor(solver.solver)
    device = None
    if engine.is_cluster:
        require_supported(precision, solver.device)
        if solver.device == "cuda":
            notes.add(
                "device cuda: features are summed on the workers' CPUs, the factor is made on their GPUs"
            )
    else:
        device = _device(feature, rows, solver, notes)

    def require(cluster: Cluster) -> None:
        sizes = GramSizes.of(len(rows), len(test), rows[:1].nbytes, precision)
        plan = plan_feature_gram(feature, sizes, checkpoint=checkpoint.file is not None)
        held = plan.held if engine.scheduler is None else 0
        require_room(len(rows), n_rhs, precision, solver.tier, cluster, held)

    def summed(device: Device | None) -> FeatureGram:
        if device is None and not engine.is_cluster and not checkpoint.placed:
            request = SolveRequest(
                n_rhs=n_rhs,
                memory=memory,
                precision=precision,
                tier=solver.tier,
                folder=checkpoint.run_dir or solver.scratch,
                stored=checkpoint.run_dir is not None,
                checkpoint=checkpoint.file is not None,
                there=_there(checkpoint),
            )
            require_solvable(feature, len(rows), len(test), rows[:1].nbytes, request)
        return feature_gram(
            feature,
            rows,
            test,
            dtype=sums_dtype(precision),
            memory=memory,
            checkpoint=checkpoint.file,
            scratch=solver.scratch,
            remember=checkpoint.remember,
            resume_hint=checkpoint.remedy,
            device=device or "cpu",
            engine=engine,
            require=require,
            progress=progress,
        )

    try:
        return summed(device)
    except DeviceFullError as error:  # before anything was summed
        if solver.device != "auto":
            raise
        notes.add(f"device auto: cpu, as the sums do not fit ({error})")
    return summed(None)


def _there(checkpoint: Checkpoint) -> int:
    """Bytes that sums and a factor of before take in the run's folder."""
    if checkpoint.run_dir is None:
        return 0
    sums = checkpoint.file
    return (sums.stat().st_size if sums is not None and sums.exists() else 0) + reserved(checkpoint.run_dir)


def _device(feature: StreamingFeatures, rows: Array, solver: SolverSettings, notes: Notes) -> Device | None:
    """The device of the sums; none where `auto` opens one that cannot compute these features."""
    memory = bytes_of(solver.device_memory, "device_memory")
    device = open_device(solver.device, len(rows), notes.add, memory)
    if device is not None and solver.device == "auto":
        try:
            device_features(device, feature, rows.dtype)
        except InputError as error:
            device.close()
            notes.add(f"device auto: cpu, as {device.name} cannot do it ({error})")
            return None
    return device
