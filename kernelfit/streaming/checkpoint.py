"""The file in which unfinished sums wait to be resumed: what they are of, and when it is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kernelfit.errors import InputError
from kernelfit.gram.layout import PanelLayout
from kernelfit.progress import Progress
from kernelfit.runs.interruption import Interruption
from kernelfit.storage.hdf5 import array_digest
from kernelfit.streaming import gram_file
from kernelfit.streaming.gram_file import StoredSums, SumsRecord
from kernelfit.streaming.plan import GramPlan, GramSizes
from kernelfit.streaming.sums import FeaturePass, Sums

# Bytes a second that a checkpoint is written and hashed at, before one has been timed.
_WRITING = 5e8


def identity(features: FeaturePass, sizes: GramSizes, plan: GramPlan) -> dict[str, Any]:
    """What must agree for sums to be resumed."""
    net = features.net
    options = {key: value for key, value in net.get_params().items() if key != "threads"}
    return {
        "train": array_digest(features.train),
        "test": array_digest(features.test),
        "filters": [array_digest(array) for array in net.fitted_arrays().values()],
        # As JSON gives them back: numbers of NumPy as Python's, and tuples as lists.
        "net": {key: np.asarray(value).tolist() for key, value in options.items()},
        "layout": [sizes.layout.n, sizes.layout.width],
        "dtype": sizes.dtype.name,
        "per_block": plan.per_block,
    }


@dataclass(frozen=True)
class Checkpoint:
    """Where sums are stored as they grow: `path`, of about `nbytes`, at a cost of `share` of the time between writes.

    `remember` is JSON for whoever resumes them, `resume_hint` says how, to whom stops the work; `earlier` are the sums
    that are there.
    """

    path: Path
    layout: PanelLayout
    nbytes: int
    identity: dict[str, Any]
    share: float
    remember: Mapping[str, Any]
    resume_hint: str
    earlier: StoredSums | None = None

    def taken(self, progress: Progress) -> StoredSums | None:
        """The sums that are there, with a note. Raises `InputError` where they are of another problem."""
        sums = self.earlier
        if sums is None:
            return None
        different = [key for key, value in self.identity.items() if sums.identity.get(key) != value]
        if different:
            raise InputError(
                f"{self.path}: holds sums that differ in {', '.join(different)}, expected those of the "
                "same rows, features and sizes; choose another folder, or remove it"
            )
        if sums.finished:
            progress.note(f"{self.path}: K is complete, taken from there")
        else:
            progress.note(f"{self.path}: resumed after {sums.done} of {sums.of} filters")
        return sums

    def record(self, features: FeaturePass, done: int) -> SumsRecord:
        """What is stored with sums over the first `done` filters."""
        seconds = asdict(features.seconds)
        return SumsRecord(int(done), int(features.net.n_filters), self.identity, dict(self.remember), seconds)

    @contextmanager
    def writing(self, features: FeaturePass, sums: Sums) -> Iterator[Callable[[int], None]]:
        """A function for `FeaturePass.on_block`, which stores the sums when that is due or a signal asks to stop.

        At the end they are stored whatever it costs. Signals wait for the end of a block meanwhile.
        """
        total = features.net.n_filters
        pace = _Pace(self.share, self.nbytes / _WRITING)

        def write(done: int) -> None:
            record = self.record(features, done)
            gram_file.write(self.path, self.layout, sums.panels(), sums.cross(), sums.test_sq_norms(), record)

        with Interruption(
            self.path.parent, features.progress, step="filter", remedy=self.resume_hint
        ) as interruption:

            def after_block(done: int) -> None:
                if done == total:  # what is whole is stored first
                    return
                if pace.due() or interruption.asked:
                    with pace:
                        write(done)
                interruption.after(done, total)

            with interruption.step_by_step():
                yield after_block
                write(total)
                interruption.after(total, total)


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
