"""Whether new rows are like those of training: images of one size, and numbers of one unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from kernelfit.datasets import Dataset
from kernelfit.errors import InputError
from kernelfit.progress import Progress
from kernelfit.solver.solution import Solution
from kernelfit.typing import Array

# Rows that are looked at together.
_ROWS = 4096


class Trained(Protocol):
    """What new rows are compared with: an `experiments.result.Result`."""

    record: dict[str, Any]
    solution: Solution


def require_images_alike(
    argument: str, name: str, shape: tuple[int, int, int] | None, result: Trained
) -> None:
    """Raise `InputError` where images are of another size, or have other colours, than those that were trained on."""
    trained = result.record.get("image_shape")
    if shape is None or trained is None or tuple(trained) == shape:
        return
    remedy = "resize them" if tuple(trained[:2]) != shape[:2] else "convert them"
    raise InputError(
        f"{argument}: got images of {_image(shape)} in {name}, expected {_image(trained)} as trained on; {remedy}"
    )


def coloured(
    name: str, X: Array, shape: tuple[int, int, int] | None, result: Trained, progress: Progress
) -> tuple[Array, tuple[int, int, int] | None]:
    """Grey images (m, h w) beside a run of RGB as red, green and blue (m, 3 h w), which are equal then, with a note;
    others as they are, and the shape of an image."""
    trained = result.record.get("image_shape")
    if shape is None or trained is None or shape[2] != 1 or tuple(trained) != (*shape[:2], 3):
        return X, shape
    progress.note(f"{name}: {len(X):,} grey images were turned into red, green and blue, as trained on")
    return np.repeat(X, 3, axis=1), (*shape[:2], 3)


def _image(shape: Sequence[int]) -> str:
    """`28 x 28 grey`, height by width."""
    height, width, channels = shape
    colours = {1: "grey", 2: "grey with alpha", 3: "RGB", 4: "RGBA"}.get(channels, f"of {channels} channels")
    return f"{height} x {width} {colours}"


def require_units_alike(
    argument: str, name: str, X: Array, are_bytes: bool, result: Trained, progress: Progress
) -> None:
    """Raise `InputError` where rows are bytes beside a run of other numbers, or shares of 1 beside one of bytes.

    Bytes are scaled and other numbers are not. Integers from 0 to 255 are bytes, whatever their type; others are noted.
    `name` is what holds them, where that is no argument.
    """
    scale = result.record.get("scale")
    if scale is None or X.size == 0 or are_bytes == (scale != 1):
        return
    where = f" in {name}" if name else ""
    if are_bytes and _of_byte_values(result):
        return
    if are_bytes:
        raise InputError(
            f"{argument}: got bytes{where}, expected other numbers as trained on, as bytes are scaled and others "
            "are not; store them as floats in the units of the training rows"
        )
    trained = "bytes" if scale == 1 / 255 else "integers"  # of digits, from 0 to 16
    low, high = float(X.min()), float(X.max())
    whole = are_whole(X)
    if low >= 0 and high <= 1 and not whole:
        raise InputError(
            f"{argument}: got numbers from {low:.3g} to {high:.3g}{where}, expected {trained} as trained on, which "
            "are scaled and other numbers are not; give them unscaled"
        )
    if not (whole and low >= 0 and high <= 255) or high == 1:
        progress.note(
            f"{name or argument}: numbers from {low:.3g} to {high:.3g} are taken in the units of the {trained} that "
            "were trained on"
        )


def are_whole(values: Array) -> bool:
    """Whether all are integers, which those of an integer type need not be asked."""
    return values.dtype.kind in "bui" or bool((np.floor(values) == values).all())


def are_byte_values(rows: Array) -> bool:
    """Whether all are integers from 0 to 255, some above 1, as those of a table of pixels: bytes in all but name."""
    largest = 0.0
    for start in range(0, len(rows), _ROWS):
        block = rows[start : start + _ROWS]
        if not (block.min() >= 0 and block.max() <= 255 and are_whole(block)):
            return False
        largest = max(largest, float(block.max()))
    return largest > 1


def _of_byte_values(result: Trained) -> bool:
    """Whether the rows of the data set, before features and standardisation, are integers from 0 to 255."""
    recorded = result.record.get("byte_values")
    if recorded is not None:
        return bool(recorded)
    # A run that was stored without it.
    points = result.solution.points
    return points is not None and not points.sparse and points.scale == 1.0 and are_byte_values(points.values)


def require_solvers_rows(dataset: Dataset, result: Trained) -> None:
    """Raise `InputError` where a data set's rows are scaled otherwise than those of a solution without a record."""
    points, scale = result.solution.points, result.solution.input_scale or 1.0
    # Without a scale of its own, integers that were solved as they are may be the data set's.
    unscaled = points is not None and points.values.dtype.kind in "ui" and points.scale == 1.0
    if dataset.scale == scale or unscaled:
        return
    raise InputError(
        f"dataset: got {dataset.name}, whose rows are scaled by {_factor(dataset.scale)}, expected {_factor(scale)} as "
        "in the solve; give rows in the solver's units as a file"
    )


def _factor(scale: float) -> str:
    """`1/255`, or the number itself."""
    parts = round(1 / scale)
    return f"1/{parts}" if parts > 1 and scale == 1 / parts else f"{scale:.6g}"
