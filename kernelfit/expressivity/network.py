"""The networks of the constructions: a shared projection, then layers of ReLU units that read few signals.

Between two hidden layers only a handful of numbers per sample travel (the running sum, the position t, ...):
the weight matrix of a layer is  W = E C  with the readout C (signals x units of the layer before) and the
wiring E that picks one combination of signals per unit. W itself, up to width x width, is never formed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import InputError
from kernelfit.expressivity.projection import check_rows, project

ROWS = 256  # rows and units of one tile of hidden activations: 256 x 1024 doubles, 2 MiB, stay in cache
UNITS = 1024


@dataclass(frozen=True, eq=False)
class Layer:
    """One hidden layer on `r` signals: n_hinges units of the interpolant and q service units.

    hinge i     h_i = max(signal[reads] - bias[i], 0),  bias (m,) ascending,  adds h_i * weight[i] (c,) to the
                signals writes ... writes + c - 1 of the next layer
    service k   g_k = max(inputs[k] . signal - offset[k], 0),  adds outputs[:, k] g_k to the next signals
    """

    reads: int
    writes: int
    bias: NDArray  # (m,)
    weight: NDArray  # (m, c)
    inputs: NDArray  # (q, r)
    offset: NDArray  # (q,)
    outputs: NDArray  # (r, q)
    stored: int  # numbers of the service units that depend on the sample (the others are 0, 1, -1)

    @property
    def width(self) -> int:
        """Units of this layer."""
        return len(self.bias) + len(self.offset)

    def forward(self, signal: NDArray) -> NDArray:
        """Signals (rows, r) -> next signals (rows, r); rows sorted by the signal that the hinges read.

        Tiles of (rows, units) only; a unit whose bias exceeds every signal of a tile is zero and is skipped.
        """
        service = np.maximum(signal @ self.inputs.T - self.offset, 0)
        after = service @ self.outputs.T
        c = self.weight.shape[1]
        for row in range(0, len(signal), ROWS):
            u = signal[row : row + ROWS, self.reads]
            total = after[row : row + ROWS, self.writes : self.writes + c]
            for unit in range(0, int(np.searchsorted(self.bias, u[-1])), UNITS):
                tile = np.subtract.outer(u, self.bias[unit : unit + UNITS])
                np.maximum(tile, 0, out=tile)
                total += tile @ self.weight[unit : unit + UNITS]
        return after


@dataclass(frozen=True, eq=False)
class Network:
    """A fully explicit ReLU network z -> c outputs; see `kernelfit.expressivity.fit`.

    a (d,) is the shared projection; `position` is the signal that receives t = <a, z>; the outputs are the
    first c signals after the last layer.
    """

    a: NDArray
    position: int
    layers: tuple[Layer, ...]
    n_points: int  # different rows that it was built on
    variant: str

    @property
    def depth(self) -> int:
        """Weight layers: hidden layers + 1. The projection is a factor of the first one, not a layer."""
        return len(self.layers) + 1

    @property
    def width(self) -> int:
        """Units of the widest hidden layer."""
        return max(layer.width for layer in self.layers)

    @property
    def n_outputs(self) -> int:
        """Outputs c."""
        return int(self.layers[0].weight.shape[1])

    @property
    def n_weights(self) -> int:
        """Stored numbers: a (d), a bias and c weights per hinge, and what service units keep of the sample.

        The projection is shared, as in the paper's own count: depth 2 with one output has exactly 2 n + d.
        Wires that are 1 or -1 by construction are not counted.
        """
        return len(self.a) + sum(layer.bias.size + layer.weight.size + layer.stored for layer in self.layers)

    def predict(self, X: NDArray) -> NDArray:
        """Outputs (n,) or (n, c) for X (n, d), by running every layer on blocks of rows.

        Raises `InputError` for rows of another width than those that were fitted.
        """
        X = check_rows(X)
        if X.shape[1] != len(self.a):
            raise InputError(f"X: got {X.shape[1]} columns, expected {len(self.a)} as in the fitted sample")
        t = project(X, self.a)
        order = np.argsort(t, kind="stable")
        dtype = self.layers[0].weight.dtype
        result = np.empty((len(t), self.n_outputs), dtype=dtype)
        signals = self.layers[0].inputs.shape[1]
        for first in range(0, len(t), 16 * ROWS):
            rows = order[first : first + 16 * ROWS]
            signal = np.zeros((len(rows), signals), dtype=dtype)
            signal[:, self.position] = t[rows]
            for layer in self.layers:
                signal = layer.forward(signal)
            result[rows] = signal[:, : self.n_outputs]
        return result[:, 0] if self.n_outputs == 1 else result
