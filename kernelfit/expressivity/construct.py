"""Theorem 1 and Corollary 1: networks that take any values on any finite sample, at any depth.

plain        depth k: k - 1 hidden layers, each with the hinges of one block of ceil(n / (k-1)) sorted points;
             a layer passes on t >= 0 and the running sum as the difference of two units.
             Width <= ceil(n / (k-1)) + 3.
clipped      t is first clipped to the block's interval (two units, one layer more), so that a block adds
             a bounded amount outside its interval: k - 2 blocks, width <= ceil(n / (k-2)) + 5, and small
             running sums.
multiplexer  the paper's own: the block's value o passes through gates max(+-o - M (1 - indicator), 0), where
             the indicator of the block's interval is a hinge function of the clipped t and M > max |o| over
             the sample. k - 3 blocks, width <= ceil(n / (k-3)) + 10.

(The widths are for one output; c outputs carry 2 c sums instead of 2, and 2 c gates.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.arguments import choice, finite, integer
from kernelfit.errors import InputError
from kernelfit.expressivity.interpolant import biases, hinge_weights, typical_gap
from kernelfit.expressivity.network import Layer, Network
from kernelfit.expressivity.projection import check_rows, separate
from kernelfit.typing import Variant

# variant -> hidden layers that are not the first sight of a block
EXTRA_LAYERS = {"plain": 0, "clipped": 1, "multiplexer": 2}


@dataclass(frozen=True)
class Signals:
    """Places of the numbers that travel between layers, for c outputs."""

    c: int

    @property
    def total(self) -> range:
        """The running sums."""
        return range(self.c)

    @property
    def block(self) -> range:
        """The value of the current block, before its gate."""
        return range(self.c, 2 * self.c)

    @property
    def indicator(self) -> int:
        """1 inside the current block, 0 outside."""
        return 2 * self.c

    @property
    def position(self) -> int:
        """t, shifted to be >= 0 after the first layer."""
        return 2 * self.c + 1

    @property
    def clipped(self) -> int:
        """t clipped to the current block's interval, minus its left end."""
        return 2 * self.c + 2

    @property
    def count(self) -> int:
        """How many."""
        return 2 * self.c + 3


@dataclass
class LayerBuilder:
    """Collects the units of one layer. An `int` coefficient is wiring; other numbers count as stored."""

    signals: Signals
    dtype: Any
    units: list[tuple[dict[int, Any], Any, dict[int, Any]]] = field(default_factory=list)
    hinges: tuple[int, int, NDArray, NDArray] | None = None

    def unit(self, reads: dict[int, Any], offset: Any, adds: dict[int, Any]) -> None:
        """A unit max(sum reads[k] signal_k - offset, 0), added with factors `adds`; offset None is 0."""
        self.units.append((reads, offset, adds))

    def carry(self, signal: int, offset: Any = None) -> None:
        """Pass on a signal that is >= 0."""
        self.unit({signal: 1}, offset, {signal: 1})

    def carry_signed(self, signal: int) -> None:
        """Pass on a signal of either sign, by two units."""
        self.unit({signal: 1}, None, {signal: 1})
        self.unit({signal: -1}, None, {signal: -1})

    def build(self) -> Layer:
        """The layer."""
        r, q, c = self.signals.count, len(self.units), self.signals.c
        reads, writes, bias, weight = self.hinges or (
            self.signals.position,
            0,
            np.empty(0, dtype=self.dtype),
            np.empty((0, c), dtype=self.dtype),
        )
        zero: Any = Fraction(0) if self.dtype == object else 0.0
        inputs = np.full((q, r), zero, dtype=self.dtype)
        outputs = np.full((r, q), zero, dtype=self.dtype)
        offsets = np.full(q, zero, dtype=self.dtype)
        stored = 0
        for k, (read, offset, adds) in enumerate(self.units):
            for signal, factor in read.items():
                inputs[k, signal] = factor
            for signal, factor in adds.items():
                outputs[signal, k] = factor
            if offset is not None:
                offsets[k] = offset
            stored += (offset is not None) + sum(
                not isinstance(f, int) for f in [*read.values(), *adds.values()]
            )
        return Layer(reads, writes, bias, weight, inputs, offsets, outputs, stored)


def fit(
    X: NDArray,
    y: NDArray,
    *,
    depth: int = 2,
    variant: Variant = "plain",
    theta: float | Fraction = Fraction(1, 4),
    seed: int = 0,
) -> Network:
    """A ReLU network of exactly `depth` weight layers with network(X[i]) = y[i] for every i.

    Time O(n d + n log n), memory O(n + d).

    Parameters
    ----------
    X : (n, d), integers (pixels; projections are then exact) or float64. float32 is refused: it merges
        projections.
    y : (n,) or (n, c), any real targets (class codes, one-hot rows, ...). With an object array of `Fraction`, and
        X of integers, every step and `predict` are exact.
    depth : >= 2 ("plain"), 3 ("clipped") or 4 ("multiplexer"), and at most that many blocks as different
        rows.
    theta : position of each bias in its gap, in (0, 1); stable below 1/2.
    seed : of the projection.

    Raises InputError, and DuplicateRowsError where equal rows have different targets.

    Source: Theorem 1 and Corollary 1 of Zhang et al. (2016); depth 2 has their 2 n + d weights.
    """
    X = check_rows(X)
    y = _check_targets(y, len(X))
    choice("variant", variant, EXTRA_LAYERS)
    integer("depth", depth, 0)
    integer("seed", seed, 0)
    if not 0 < finite("theta", theta) < 1:
        raise InputError(f"theta: got {theta}, expected a number in (0, 1); below 0.5 is stable")
    minimum = 2 + EXTRA_LAYERS[variant]
    if depth < minimum:
        raise InputError(
            f"depth: got {depth}, expected an integer >= {minimum} for variant {variant!r}; use a deeper network"
        )
    projected = separate(X, y, seed)
    blocks = depth - 1 - EXTRA_LAYERS[variant]
    if blocks > len(projected.rows):
        raise InputError(
            f"depth: got {depth}, which makes {blocks} blocks of {len(projected.rows)} different rows; "
            f"expected at most {len(projected.rows) + 1 + EXTRA_LAYERS[variant]}"
        )
    y = y[projected.rows]
    exact = y.dtype == object
    x = np.array([Fraction(value) for value in projected.t], dtype=object) if exact else projected.t
    share: Any = Fraction(theta) if exact else float(theta)
    build = {"plain": _plain, "clipped": _clipped, "multiplexer": _multiplexer}[variant]
    layers = build(x, y, share, np.array_split(np.arange(len(x)), blocks))
    a = np.array([Fraction(value) for value in projected.a], dtype=object) if exact else projected.a
    return Network(a, Signals(y.shape[1]).position, tuple(layers), len(x), variant)


def _check_targets(y: NDArray, n: int) -> NDArray:
    """y as (n, c), float64 or object (Fractions)."""
    y = np.asarray(y)
    if y.ndim not in (1, 2) or len(y) != n or 0 in y.shape:
        raise InputError(f"y: got shape {y.shape}, expected ({n},) or ({n}, c) as X has {n} rows")
    y = y.reshape(n, -1)
    if y.dtype == object:
        return y
    y = y.astype(np.float64)
    if not np.isfinite(y).all():
        raise InputError("y: got NaN or infinite targets, expected finite numbers; drop or repair those rows")
    return y


def _plain(x: NDArray, y: NDArray, theta: Any, blocks: list[NDArray]) -> list[Layer]:
    """One interpolant over all points, its hinges spread over the layers."""
    b = biases(x, theta, x[0] - typical_gap(x))
    w = hinge_weights(x, b, y)
    signals = Signals(y.shape[1])
    layers = []
    for j, block in enumerate(blocks):
        layer = LayerBuilder(signals, y.dtype)
        # The first layer sees t itself; the later ones t - x_1 >= 0, and all their biases lie right of x_1.
        shift = x[0] if j else x[0] - x[0]
        layer.hinges = (signals.position, 0, b[block] - shift, w[block])
        if j + 1 < len(blocks):
            layer.carry(signals.position, None if j else x[0])
        if j:
            for k in signals.total:
                layer.carry_signed(k)
        layers.append(layer.build())
    return layers


def _clipped(x: NDArray, y: NDArray, theta: Any, blocks: list[NDArray]) -> list[Layer]:
    """Each block adds what its points need above the last value before it, and is constant elsewhere."""
    signals = Signals(y.shape[1])
    ends = [x[0] - typical_gap(x), *(x[block[-1]] for block in blocks)]
    layers = []
    for j in range(len(blocks) + 1):
        layer = LayerBuilder(signals, y.dtype)
        if j < len(blocks):
            _clip(layer, j, ends[0], ends[j], ends[j + 1], last=j + 1 == len(blocks))
        if j:
            block = blocks[j - 1]
            before = y[block[0] - 1] if j > 1 else y[0] - y[0]
            u = x[block] - ends[j - 1]
            b = biases(u, theta, u[0] - u[0])
            layer.hinges = (signals.clipped, 0, b, hinge_weights(u, b, y[block] - before))
        if j > 1:
            for k in signals.total:
                layer.carry_signed(k)
        layers.append(layer.build())
    return layers


def _clip(layer: LayerBuilder, j: int, origin: Any, left: Any, right: Any, *, last: bool) -> None:
    """Units of layer j for min(max(t, left), right) - left; t - origin is carried while blocks need it."""
    signals = layer.signals
    shift = left if j == 0 else left - origin
    layer.unit({signals.position: 1}, shift, {signals.clipped: 1})
    layer.unit({signals.position: 1}, shift + (right - left), {signals.clipped: -1})
    if not last:
        layer.carry(signals.position, None if j else origin)


def _multiplexer(x: NDArray, y: NDArray, theta: Any, blocks: list[NDArray]) -> list[Layer]:
    """Each block interpolates its own values; a gate lets them through inside the block's interval only."""
    signals = Signals(y.shape[1])
    gap: Any = typical_gap(x)
    n_blocks = len(blocks)
    layers, gates = [], []
    origin = x[0] - gap
    for j in range(n_blocks + 2):
        layer = LayerBuilder(signals, y.dtype)
        if j < n_blocks:
            left, right = _surroundings(x, blocks[j], gap)
            _clip(layer, j, origin, left, right, last=j + 1 == n_blocks)
        if 1 <= j <= n_blocks:
            block = blocks[j - 1]
            left, right = _surroundings(x, block, gap)
            u = x[block] - left
            b = biases(u, theta, u[0] - u[0])
            w = hinge_weights(u, b, y[block])
            layer.hinges = (signals.clipped, signals.block.start, b, w)
            beyond = y[block[-1]] + w.sum(axis=0) * (right - x[block[-1]])
            gates.append(1 + max(abs(value) for value in [*y[block].ravel(), *beyond]))
            # The indicator rises from 0 at `left` to 1 at the first point and falls to 0 between the last
            # point and `right`: exactly 0 or 1 on the sample.
            up, down = 1 / u[0], 1 / (right - x[block[-1]])
            layer.unit({signals.clipped: 1}, None, {signals.indicator: up})
            layer.unit({signals.clipped: 1}, u[0], {signals.indicator: -up})
            layer.unit({signals.clipped: 1}, u[-1], {signals.indicator: -down})
        if j >= 2:
            bound = gates[j - 2]
            for value, total in zip(signals.block, signals.total, strict=True):
                layer.unit({value: 1, signals.indicator: bound}, bound, {total: 1})
                layer.unit({value: -1, signals.indicator: bound}, bound, {total: -1})
        if j >= 3:
            for total in signals.total:
                layer.carry_signed(total)
        layers.append(layer.build())
    return layers


def _surroundings(x: NDArray, block: NDArray, gap: Any) -> tuple[Any, Any]:
    """The last point before a block and the first after it (one typical gap away at the ends)."""
    left = x[block[0] - 1] if block[0] > 0 else x[0] - gap
    right = x[block[-1] + 1] if block[-1] + 1 < len(x) else x[-1] + gap
    return left, right
