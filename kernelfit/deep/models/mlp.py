"""Multilayer perceptrons, alone or several of one shape as one batched product."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class MLP(nn.Module):
    """ReLU layers on the flattened image; Glorot normal weights, zero biases."""

    flat_inputs = True  # no convolution: neither channels last nor compiling pays

    def __init__(self, inputs: int, hidden: Sequence[int], n_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        widths = [inputs, *hidden, n_classes]
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.dropout = nn.Dropout(dropout)
        for linear in self.linears:
            nn.init.xavier_normal_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> logits (B, n_classes)."""
        x = x.flatten(1)
        for linear in self.linears[:-1]:
            x = self.dropout(torch.relu(linear(x)))
        logits: Tensor = self.linears[-1](x)
        return logits

    @staticmethod
    def stack(members: Sequence[MLP]) -> StackedMLP:
        """The members side by side; see `kernelfit.deep.models.runs.side_by_side`."""
        return StackedMLP(members)


class StackedMLP(nn.Module):
    """R multilayer perceptrons of one shape as one batched product per layer: weights (R, inputs, outputs)."""

    flat_inputs = True

    def __init__(self, members: Sequence[MLP]) -> None:
        super().__init__()
        first = members[0]
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for k in range(len(first.linears)):
            with torch.no_grad():
                weight = torch.stack([member.linears[k].weight.T for member in members]).contiguous()
                bias = torch.stack([member.linears[k].bias for member in members])[:, None]
            self.weights.append(nn.Parameter(weight))
            self.biases.append(nn.Parameter(bias.contiguous()))
        self.dropout = nn.Dropout(first.dropout.p)

    def forward(self, x: Tensor) -> Tensor:
        """(R, B, ...) -> logits (R, B, n_classes); run r sees x[r] only."""
        x = x.flatten(2)
        last = len(self.weights) - 1
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            if k < last:
                x = self.dropout(torch.relu(x))
        return x

    def decayed(self, coefficients: Tensor) -> list[tuple[nn.Parameter, Tensor]]:
        """Each weight with the coefficients (R,) of its runs, ready to multiply it."""
        return [(weight, coefficients[:, None, None]) for weight in self.weights]

    def write_to(self, members: Sequence[nn.Module]) -> None:
        """Copy the weights back into separate MLPs."""
        with torch.no_grad():
            for r, member in enumerate(members):
                for linear, weight, bias in zip(member.linears, self.weights, self.biases, strict=True):
                    linear.weight.copy_(weight[r].T)
                    linear.bias.copy_(bias[r, 0])
