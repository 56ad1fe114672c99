"""The explicit network as a torch module: `ExplicitNetwork(network)`. Needs the `deep` extra; the rest is NumPy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kernelfit.expressivity.network import Layer, Network


class ExplicitLayer(nn.Module):
    """One `Layer`: bias (m,) and weight (m, c) of the hinges are parameters, the wiring are buffers."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.reads = layer.reads
        self.writes = layer.writes
        self.bias = nn.Parameter(torch.from_numpy(layer.bias.copy()))
        self.weight = nn.Parameter(torch.from_numpy(layer.weight.copy()))
        self.register_buffer("inputs", torch.from_numpy(layer.inputs.copy()))
        self.register_buffer("offset", torch.from_numpy(layer.offset.copy()))
        self.register_buffer("outputs", torch.from_numpy(layer.outputs.copy()))

    def forward(self, signal: Tensor) -> Tensor:
        """Signals (rows, r) -> next signals (rows, r)."""
        hinges = torch.relu(signal[:, self.reads, None] - self.bias) @ self.weight
        service = torch.relu(signal @ self.inputs.T - self.offset) @ self.outputs.T
        after = signal.shape[1] - self.writes - hinges.shape[1]
        return service + nn.functional.pad(hinges, (self.writes, after))


class ExplicitNetwork(nn.Module):
    """The same function as `network.predict`, float64: z (rows, d) -> outputs (rows, c)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.position = network.position
        self.n_outputs = network.n_outputs
        self.signals = network.layers[0].inputs.shape[1]
        self.a = nn.Parameter(torch.from_numpy(network.a.copy()))
        self.layers = nn.Sequential(*(ExplicitLayer(layer) for layer in network.layers))

    def forward(self, z: Tensor) -> Tensor:
        """Run every layer; one (rows, width) activation at a time."""
        t = z.to(torch.float64) @ self.a
        after = self.signals - self.position - 1
        signal = nn.functional.pad(t[:, None], (self.position, after))
        outputs: Tensor = self.layers(signal)[:, : self.n_outputs]
        return outputs
