"""Features that are too many to exist at once: `solve` gets the Gram matrix of them, summed over blocks of filters."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from kernelfit.arguments import bytes_of, parse_bytes
from kernelfit.cpu.memory import available_memory
from kernelfit.datasets import Dataset, training_targets
from kernelfit.device.choose import check_device, open_device
from kernelfit.errors import DuplicateRowsError
from kernelfit.experiments.transformed import Transformed, fitted, settings_of
from kernelfit.features.random_conv import RandomConv
from kernelfit.gram.points import Points
from kernelfit.progress import Progress
from kernelfit.runs.folder import GRAM, LOCK, make_folder
from kernelfit.runs.lock import FolderLock
from kernelfit.solver.inputs import as_shift, drop_duplicates
from kernelfit.streaming.gram import feature_gram, require_solvable, sums_dtype

FEATURES = "random-conv"


def is_streamed(values: dict[str, Any]) -> bool:
    """Whether the options ask for the linear kernel of features that stream."""
    return values["features"] == FEATURES and values.get("kernel") in (None, "linear")


def relative_ridge(text: str) -> float | None:
    """`--ridge` in units of the mean diagonal of K; None for `auto`."""
    return None if text == "auto" else as_shift("ridge", text)


def stream(
    dataset: Dataset,
    given: dict[str, Any],
    values: dict[str, Any],
    out: Path | None,
    remembered: dict[str, Any],
    progress: Progress,
) -> Transformed | None:
    """Fit the net on the training rows and sum up its Grams; with `out` they are kept there and taken up again.

    None where there are fewer features than rows and no ridge: K is singular then, and its features fit into memory.
    What would stop the solve after hours of summing is looked for before.
    """
    ridge = relative_ridge(values["ridge"])
    check_device(values["device"])
    memory = available_memory() if values["memory"] is None else parse_bytes(values["memory"])
    notes: list[str] = []

    def note(message: str) -> None:
        notes.append(message)
        progress.note(message)

    started = time.perf_counter()
    net = fitted(dataset, FEATURES, given, values["threads"], progress)
    assert isinstance(net, RandomConv)
    if net.n_features_out_ < dataset.n_train and ridge == 0:
        return None
    for text in net.notes:
        note(text)
    seconds = time.perf_counter() - started
    targets = training_targets(dataset)
    rows, kept = dataset.X_train, np.arange(dataset.n_train)
    try:
        points, targets, kept, _ = drop_duplicates(Points(rows), targets, ridge or 0.0, note)
        rows = rows[kept] if len(kept) < len(rows) else rows
        del points
    except DuplicateRowsError as error:
        if ridge is not None:
            raise
        note(f"ridge 0 will not do: {error}")
    lock = None
    if out is not None:
        folder, _ = make_folder(out)
        lock = FolderLock(folder / LOCK)
    try:
        device = open_device(
            values["device"], len(rows), note, bytes_of(values.get("device_memory"), "device_memory")
        )
        if device is None:
            require_solvable(
                net,
                len(rows),
                dataset.n_test,
                rows[:1].nbytes,
                n_rhs=targets.shape[1],
                memory=memory,
                precision=values["precision"],
                tier=values["tier"],
                folder=out or values["scratch"],
                kept=out is not None,
            )
        grams = feature_gram(
            net,
            rows,
            dataset.X_test,
            dtype=sums_dtype(values["precision"]),
            memory=memory,
            checkpoint=None if out is None else out / GRAM,
            scratch=values["scratch"],
            remember=remembered,
            way_on=f"continue with kernelfit resume {out}",
            device=device or "cpu",
            progress=progress,
        )
    finally:
        if lock is not None:
            lock.release()
    return Transformed(
        grams.gram,
        grams.cross,
        None,
        FEATURES,
        settings_of(net, FEATURES),
        1.0,
        seconds,
        grams.n_features,
        grams,
        kept,
        tuple(notes),
    )
