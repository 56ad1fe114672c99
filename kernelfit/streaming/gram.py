"""Kernels of streamed features: Gram matrices from one pass over the filters, resumable.

K = Z Z^T and K_test = Z_test Z^T, where Z are features that are too many to be materialised. Both are summed over
blocks of filters, and the K of any kernel of inner products is formed from them. A large K then waits on the disk, and
the factor takes the memory that its sums had: neither the features, nor K beside its factor, are ever in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from kernelfit.arguments import integer
from kernelfit.cluster.connect import Cluster, Engine, connect
from kernelfit.cpu.memory import available_memory
from kernelfit.cpu.pool import CpuBackend
from kernelfit.device.choose import open_device
from kernelfit.device.protocol import Device
from kernelfit.errors import InputError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.pointwise import Lengths, PointwiseGram, rectangle_of_products
from kernelfit.gram.source import PanelGram, Source, StoredGram
from kernelfit.kernels.base import Kernel
from kernelfit.progress import Progress, ProgressLike, as_progress
from kernelfit.storage.folders import make_writable, scratch_folder
from kernelfit.storage.panel_file import PanelFile
from kernelfit.streaming import gram_file
from kernelfit.streaming.checkpoint import Checkpoint, identity
from kernelfit.streaming.cluster_sums import ClusterSums
from kernelfit.streaming.device_sums import DeviceSums
from kernelfit.streaming.gram_file import StoredSums
from kernelfit.streaming.host_sums import HostSums
from kernelfit.streaming.plan import GramPlan, GramSizes, plan_feature_gram
from kernelfit.streaming.protocol import StreamingFeatures
from kernelfit.streaming.sums import FeaturePass, Seconds, Sums
from kernelfit.typing import Float

#: what checkpoints may cost: this share of the time between them
CHECKPOINT_SHARE = 0.03
# Panels of a Gram on a device, as wide as products want them there.
_DEVICE_WIDTH = 2_048
# Bytes of the test rows' kernel in float64 that are multiplied at a time.
_SCORES_BYTES = 2**26


class Predictor(Protocol):
    """A solution: `kernelfit.solver.solution.Solution`."""

    def predict(self, X: Any) -> NDArray[np.float64]: ...


@dataclass(eq=False)
class FeatureGram:
    """K of the training rows as packed panels, and the test rows' kernel with them.

    Attributes
    ----------
    gram : K (n, n) of the linear kernel, or of the one that `of` was given, for `kernelfit.solve(gram, Y,
        kernel="precomputed")`; summed up on a device it stays there, is solved there by device="auto", and keeps the
        device until `close()`; one solution at a time may be open
    cross : (m, n) float32, for `Solution.predict`
    test_sq_norms : (m,) float64, |z|^2 of the test rows
    mean_diagonal : the mean of k(x_i, x_i), of the linear kernel |z_i|^2, in units of which a ridge is best given
    n_features : columns of Z
    plan : what was planned
    seconds : `features` and `gram` (their products), of every process that took part
    """

    gram: Source
    cross: NDArray[Any]
    test_sq_norms: Float
    mean_diagonal: float
    n_features: int
    plan: GramPlan
    seconds: dict[str, float] = field(default_factory=dict)

    def of(self, kernel: Kernel, threads: int | None = None) -> FeatureGram:
        """The same sums for a kernel k(z, z') of inner products and lengths; these are of the linear one.

        K's entries are formed wherever it is read, and nothing is summed or stored again: one pass over the features
        serves any number of kernels. `kernelfit.gram.pointwise` says what of their digits the rounding of float32
        products costs. All share one file or device: close one of them. Raises `InputError` for a kernel that reads the
        rows themselves.
        """
        if kernel.linear:
            return self
        if self.gram.formula is not None:
            raise InputError(f"gram: got that of {self.gram.formula!r}, expected that of inner products")
        gram = PointwiseGram(self.gram, kernel)
        with CpuBackend(threads) as backend:
            cross = rectangle_of_products(kernel, self.cross, Lengths(self.test_sq_norms), gram.rows, backend)
        return replace(self, gram=gram, cross=cross, mean_diagonal=float(gram.diagonal().mean()))

    def predict(self, solution: Predictor) -> NDArray[np.float64]:
        """f at the test rows (m, c) or (m,), a few rows at a time."""
        return predicted(solution, self.cross)

    def close(self) -> None:
        """Give back the file that K is read from, or the device that holds it; never raises."""
        self.gram.close()


def predicted(solution: Predictor, cross: NDArray[Any]) -> NDArray[np.float64]:
    """f at rows whose kernel with the training rows is `cross` (m, n), a few rows at a time."""
    rows = max(1, _SCORES_BYTES // (8 * cross.shape[1]))
    starts = range(0, max(1, len(cross)), rows)
    return np.concatenate([solution.predict(cross[start : start + rows]) for start in starts])


def feature_gram(
    net: StreamingFeatures,
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
    resume_hint: str = "resume with the same checkpoint",
    device: str | Device = "cpu",
    engine: Engine | None = None,
    require: Callable[[Cluster], None] | None = None,
    progress: ProgressLike = None,
) -> FeatureGram:
    """K and K_test of the fitted `net`, block of filters by block; `GramPlan` says what is needed.

    Parameters
    ----------
    net : fitted
    train, test : (n, d), (m, d) rows; m may be 0
    dtype : of K: float64, or float32 for half the memory; products are float32 either way (see `HostSums`)
    per_block : filters at a time
    panel_width : of the packed panels; by default that of the sums in `checkpoint`, else what the solver takes for
        this n where they are summed
    memory : bytes to stay within
    checkpoint : a file to store the sums in. It is written after a block when that costs at most `checkpoint_share` of
        the time since it was last written (some seconds for every ten GB), and at the end. Where it is there already,
        the sums are resumed from it with the same bits as without a break, if it is of the same rows, net and sizes. K
        is read from it afterwards; it is deleted by whoever named it
    scratch : folder where a large K waits when there is no checkpoint; by default the system's temporary folder, of
        which /var/tmp where that lies in memory
    remember : JSON to store in the checkpoint, for whoever resumes it
    resume_hint : how to do so, in the words that somebody reads who stops the work (SIGINT, SIGTERM)
    device : "cpu", "cuda", "cuda:1", ..., "auto", or an open device, which the result then owns; one that is too small
        raises, by "auto" as well
    engine : a cluster whose workers compute and multiply the features; K is summed here
    require : called with that cluster before anything is summed, to raise where what follows would not fit on it

    Raises
    ------
    InputError : sizes, or a checkpoint of other rows or another net
    PlanError : what is needed exceeds `memory`, or the disk
    DeviceError : a device that cannot be had, is lost or is too small; a checkpoint stays
    DataError, StorageError : a checkpoint that cannot be read or written
    Interrupted : asked to stop by a signal; with a checkpoint that is after a block of filters, which it has
    """
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise InputError(f"dtype: got {np.dtype(dtype)}, expected float32 or float64")
    for name, value in (("per_block", per_block), ("panel_width", panel_width)):
        if value is not None:
            integer(name, value, 1)
    features = _pass(net, train, test, as_progress(progress))
    opened = open_device(device, len(features.train), features.progress.note)
    cluster = None
    try:
        path = None if checkpoint is None else Path(checkpoint).absolute()
        earlier = gram_file.read(path) if path is not None and path.exists() else None
        width = _width(len(features.train), panel_width, earlier, on_device=opened is not None)
        sizes = _sizes(features, np.dtype(dtype), width)
        plan = plan_feature_gram(
            net, sizes, per_block=per_block, checkpoint=path is not None, on_device=opened is not None
        )
        # A device takes as many filters at a time as it has room for, which is not known before.
        features = replace(features, per_block=per_block if opened is not None else plan.per_block)
        replaced = path.stat().st_size if path is not None and path.exists() else 0
        finished = earlier is not None and earlier.finished
        on_cluster = engine is not None and engine.is_cluster
        folder = _folder(path, scratch, features.progress.note, written=plan.stored or on_cluster)
        if not finished or opened is not None:  # complete sums are read as they are, and nothing is written
            plan.require_room(memory, folder, plan.disk if finished else replaced)
        if plan.stored and not finished:  # what cannot be written is found out before the sums
            folder = make_writable(folder)
        stored = None
        if path is not None:
            stored = Checkpoint(
                path,
                sizes.layout,
                plan.gram + plan.cross,
                identity(features, sizes, plan),
                checkpoint_share,
                remember or {},
                resume_hint,
                earlier,
            )
        if engine is not None and engine.is_cluster:
            threads, note = CpuBackend(net.threads).threads, features.progress.note
            cluster = connect(engine, threads, memory or available_memory(), folder, note)
            if require is not None:
                require(cluster)
        return _Job(features, sizes, plan, stored, folder, cluster).run(opened)
    except BaseException:
        if opened is not None:
            opened.close()
        raise
    finally:
        if cluster is not None:
            cluster.close()


def _pass(net: StreamingFeatures, train: ArrayLike, test: ArrayLike, progress: Progress) -> FeaturePass:
    test_rows = np.asarray(test)
    if len(test_rows) > 0:  # none is allowed here
        test_rows = np.ascontiguousarray(net.validated(test_rows))
    return FeaturePass(net, np.ascontiguousarray(net.validated(train)), test_rows, progress=progress)


def _width(n: int, panel_width: int | None, earlier: StoredSums | None, *, on_device: bool) -> int | None:
    """Columns of a panel: those asked for, else those of sums that are resumed, wherever they were begun."""
    if panel_width is not None:
        return panel_width
    if earlier is not None and earlier.layout.n == n:
        return earlier.layout.width
    return _DEVICE_WIDTH if on_device else None


def _folder(
    path: Path | None, scratch: str | Path | None, note: Callable[[str], None], *, written: bool
) -> Path:
    """Where the file of K, or what a cluster leaves, goes."""
    if path is not None:
        return path.parent
    return scratch_folder(None if scratch is None else Path(scratch), note) if written else Path()


def _sizes(features: FeaturePass, dtype: np.dtype[Any], width: int | None) -> GramSizes:
    n = len(features.train)
    layout = PanelLayout.of_order(n) if width is None else PanelLayout(n, min(int(width), n))
    return GramSizes(n, len(features.test), features.train[:1].nbytes, dtype, layout)


@dataclass(frozen=True)
class _Job:
    """The sums of one call, and where they are stored."""

    features: FeaturePass
    sizes: GramSizes
    plan: GramPlan
    checkpoint: Checkpoint | None
    folder: Path
    cluster: Cluster | None = None

    def run(self, device: Device | None) -> FeatureGram:
        """Resume what is stored, add what is missing, and leave K where it is to be."""
        stored = None if self.checkpoint is None else self.checkpoint.taken(self.features.progress)
        features = self.features
        if stored is not None:
            features = replace(features, first_filter=stored.done, seconds=Seconds(**stored.seconds))
            if stored.finished and device is None:
                return self._result(stored.gram(), stored.cross(), stored.test_sq_norms(), features)
        sums = self._sums(device, stored)
        if features.first_filter < features.net.n_filters:
            if self.checkpoint is None:
                sums.add(features)
            else:
                with self.checkpoint.writing(features, sums) as on_block:
                    sums.add(replace(features, on_block=on_block))
        cross, test_sq_norms = sums.cross(), sums.test_sq_norms()
        gram = sums.gram() if sums.resident or not self.plan.stored else self._moved(sums, features)
        return self._result(gram, cross, test_sq_norms, features)

    def _sums(self, device: Device | None, stored: StoredSums | None) -> Sums:
        tests = len(self.features.test)
        sums: Sums
        if self.cluster is not None:
            sums = ClusterSums(self.cluster, self.sizes.layout, tests, self.sizes.dtype)
        elif device is None:
            sums = HostSums.zeros(self.sizes.layout, tests, self.sizes.dtype)
        else:
            sums = DeviceSums(device, self.sizes.layout, tests, self.sizes.dtype)
        if stored is not None:
            sums.restore(stored.panels(), stored.cross(), stored.test_sq_norms())
        return sums

    def _moved(self, sums: Sums, features: FeaturePass) -> PanelGram:
        """K on the disk; the memory of the sums is given back: the factor wants it."""
        if self.checkpoint is not None:
            sums.release()
            return gram_file.read(self.checkpoint.path).gram()
        # Without a name: it vanishes with this process, however that ends.
        path = self.folder / f"kernelfit-{os.getpid()}-{id(self):x}.gram.h5"
        file = PanelFile.create(path, self.sizes.layout, self.sizes.dtype, named=False)
        try:
            for j, panel in enumerate(sums.panels()):
                file.write(j, (self.sizes.layout.start(j), self.sizes.layout.n), panel)
        except BaseException:
            file.close()
            raise
        sums.release()
        return StoredGram(file)

    def _result(
        self, gram: PanelGram, cross: NDArray[Any], test_sq_norms: Float, features: FeaturePass
    ) -> FeatureGram:
        mean, net = float(gram.diagonal().mean()), features.net
        if not mean > 0:
            raise InputError(
                f"features: got 0 for each of every row, expected some > 0; {net.all_zero_remedy}"
            )
        return FeatureGram(
            gram, cross, test_sq_norms, mean, net.n_features_out_, self.plan, asdict(features.seconds)
        )
