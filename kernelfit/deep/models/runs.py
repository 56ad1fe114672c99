"""R runs of one network shape as one module: (R, B, ...) -> (R, B, n_classes).

A network is any `nn.Module` from images (B, channels, height, width) to logits (B, n_classes). Three attributes are
optional: `decayed()` lists the parameters that weight decay acts on (default: those with two or more dimensions),
`flat_inputs = True` says that nothing is gained from channels-last images or from compiling, and `stack(members)`
makes one module of several networks of one shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from kernelfit.errors import InputError


class Runs(Protocol):
    """What the training loop asks of R networks side by side, besides being a module."""

    def decayed(self, coefficients: Tensor) -> list[tuple[nn.Parameter, Tensor]]:
        """Each parameter that decays with its coefficient; `coefficients` (R,) has one for each run."""
        ...

    def write_to(self, members: Sequence[nn.Module]) -> None:
        """Copy trained weights back into the separate networks, where they were copied."""
        ...


class OneRun(nn.Module):
    """A network behind the shape for R runs, with R = 1: (1, B, ...) -> (1, B, n_classes)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @property
    def flat_inputs(self) -> bool:
        """Whether the network sees flat rows."""
        return getattr(self.model, "flat_inputs", False)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Logits, or (logits, auxiliary logits) from a network that has such a head and is training."""
        out = self.model(x[0])
        return (out[0][None], out[1][None]) if isinstance(out, tuple) else out[None]

    def decayed(self, coefficients: Tensor) -> list[tuple[nn.Parameter, Tensor]]:
        """See `Runs`."""
        return [(weight, coefficients[0]) for weight in decayed_parameters(self.model)]

    def write_to(self, members: Sequence[nn.Module]) -> None:
        """The one member was trained itself."""


def side_by_side(members: Sequence[nn.Module], name: str) -> Any:
    """One module of the members, a `Runs`; InputError where networks of this `name` cannot be stacked."""
    if len(members) == 1:
        return OneRun(members[0])
    stack = getattr(members[0], "stack", None)
    if stack is None:
        raise InputError(f"recipes: {name} runs cannot be stacked, only the MLPs; run them one by one")
    return stack(members)


def decayed_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that weight decay acts on: the network's own list, else all weights and no biases."""
    own = getattr(model, "decayed", None)
    if own is not None:
        return list(own())
    return [parameter for parameter in model.parameters() if parameter.ndim > 1]
