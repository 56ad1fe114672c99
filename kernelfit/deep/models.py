"""The paper's models by name, with their parameter counts as the first test.

    inception          1,649,402      small Inception, batch normalisation with shift only
    inception-no-bn    1,649,402      the same with biases instead
    alexnet            1,387,786      two convolutions with local response normalisation, three linear layers
    mlp-3x512          1,735,178      three hidden layers of 512 ReLU
    mlp-1x512          1,209,866      one
    inception-v3                      torchvision's, for ImageNet

Counts are for 28 x 28 x 3 inputs and ten classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from kernelfit.deep.alexnet import SmallAlexNet
from kernelfit.deep.inception import SmallInception
from kernelfit.errors import InputError

HIDDEN = {"mlp-1x512": (512,), "mlp-3x512": (512, 512, 512)}
MODELS = ("inception", "inception-no-bn", "alexnet", "mlp-3x512", "mlp-1x512", "inception-v3")


class MLP(nn.Module):
    """ReLU layers on the flattened image; Glorot normal weights, zero biases."""

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


class StackedMLP(nn.Module):
    """R multilayer perceptrons of one shape as one batched product per layer: weights (R, inputs, outputs)."""

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

    def write_to(self, members: Sequence[MLP]) -> None:
        """Copy the weights back into separate models."""
        with torch.no_grad():
            for r, member in enumerate(members):
                for linear, weight, bias in zip(member.linears, self.weights, self.biases, strict=True):
                    linear.weight.copy_(weight[r].T)
                    linear.bias.copy_(bias[r, 0])


class OneRun(nn.Module):
    """A model behind the engine's shape for R runs, with R = 1: (1, B, ...) -> (1, B, n_classes)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Logits, or (logits, auxiliary logits) from a model that has such a head and is training."""
        out = self.model(x[0])
        return (out[0][None], out[1][None]) if isinstance(out, tuple) else out[None]


def build(
    name: str,
    *,
    shape: tuple[int, int, int] = (28, 28, 3),
    n_classes: int = 10,
    dropout: float = 0.0,
    seed: int = 0,
) -> nn.Module:
    """A freshly initialised model; the same seed gives the same weights.

    shape is (height, width, channels) of the images; models take (B, channels, height, width) and return logits
    (B, n_classes). `inception-v3` needs torchvision and returns (logits, auxiliary logits) while training.
    Raises InputError for an unknown name.
    """
    if name not in MODELS:
        raise InputError(f"model: got {name!r}, expected one of {', '.join(MODELS)}")
    if not 0 <= dropout < 1:
        raise InputError(f"dropout: got {dropout}, expected a share in [0, 1)")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name in HIDDEN:
            return MLP(math.prod(shape), HIDDEN[name], n_classes, dropout)
        if name == "alexnet":
            return SmallAlexNet(shape, n_classes, dropout)
        if name == "inception-v3":
            return _inception_v3(n_classes, dropout)
        return SmallInception(shape[2], n_classes, norm=name == "inception", dropout=dropout)


def _inception_v3(n_classes: int, dropout: float) -> nn.Module:
    try:
        from torchvision.models import inception_v3
    except (ImportError, RuntimeError) as error:  # RuntimeError: its operators were built for another torch
        raise InputError(
            f"model: inception-v3 needs a torchvision that was built for this torch ({error}); "
            "pip install 'kernelfit[imagenet]' from where torch came from"
        ) from None
    model: nn.Module = inception_v3(
        weights=None, num_classes=n_classes, aux_logits=True, init_weights=True, dropout=dropout
    )
    return model


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers."""
    return sum(parameter.numel() for parameter in model.parameters())


def decayed_parameters(name: str, model: nn.Module) -> list[nn.Parameter]:
    """The parameters that weight decay acts on: weights only, and in AlexNet the two hidden linear layers only."""
    if isinstance(model, SmallAlexNet):
        return [linear.weight for linear in model.hidden]
    return [parameter for parameter in model.parameters() if parameter.ndim > 1]
