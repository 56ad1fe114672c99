"""Sums of Gram matrices over blocks of filters: one pass over the features, and where its sums are formed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from kernelfit.errors import InputError
from kernelfit.gram.source import PanelGram
from kernelfit.progress import Progress, Silent
from kernelfit.streaming.protocol import StreamingFeatures
from kernelfit.typing import Float


@dataclass
class Seconds:
    """Time spent on features, and on their products."""

    features: float = 0.0
    gram: float = 0.0


@dataclass(frozen=True)
class FeaturePass:
    """One pass over the features of training and test rows, block of filters by block.

    Parameters
    ----------
    net : fitted
    train, test : (n, d), (m, d) rows as `net.filter_block` takes them; m may be 0
    first_filter, stop_filter : where the pass begins, and ends; None for the last filter
    per_block : filters at a time; None for what `kernelfit.streaming.plan.filters_per_block` says, or on a device for
        what fits there
    on_block : called after each block with the number of filters done, when the sums are consistent
    seconds : receives the time that went by, block by block
    """

    net: StreamingFeatures
    train: NDArray[Any]
    test: NDArray[Any]
    first_filter: int = 0
    per_block: int | None = None
    on_block: Callable[[int], None] | None = None
    seconds: Seconds = field(default_factory=Seconds)
    progress: Progress = field(default_factory=Silent)
    stop_filter: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.first_filter <= self.net.n_filters:
            raise InputError(f"first_filter: got {self.first_filter}, expected 0 to {self.net.n_filters}")

    @property
    def stop(self) -> int:
        """One past the last filter of the pass."""
        return self.net.n_filters if self.stop_filter is None else self.stop_filter

    def blocks(self, per_block: int) -> list[tuple[int, int]]:
        """The filters of each block."""
        count = self.stop
        return [(a, min(a + per_block, count)) for a in range(self.first_filter, count, per_block)]

    def finished(self, stop: int) -> None:
        """The filters up to `stop` are in the sums."""
        if self.on_block is not None:
            self.on_block(stop)


class Sums(Protocol):
    """Panels of K, the test rows' kernel (m, n) and their squared lengths (m,), zero at first: in host memory, or on a
    device."""

    #: whether K stays where it was summed, whatever its size
    resident: bool

    def restore(self, panels: list[NDArray[Any]], cross: NDArray[Any], test_sq_norms: Float) -> None:
        """Begin with these sums, which now belong to this object."""
        ...

    def panels(self) -> list[NDArray[Any]]:
        """The panels as they are, in host memory."""
        ...

    def cross(self) -> NDArray[Any]:
        """The test rows' kernel as it is, in host memory."""
        ...

    def test_sq_norms(self) -> Float:
        """|z|^2 of the test rows as they are, in host memory."""
        ...

    def add(self, features: FeaturePass) -> None:
        """panels += Z Z^T (lower triangle), cross += Z_test Z^T, test_sq_norms += |z_test|^2, over its filters."""
        ...

    def gram(self) -> PanelGram:
        """K, where it was summed."""
        ...

    def release(self) -> None:
        """Give back the memory of the panels."""
        ...
