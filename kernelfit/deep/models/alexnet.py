"""The small AlexNet for 28 x 28 images: two convolutions with local response normalisation, three linear layers.

1,387,786 parameters for CIFAR-10.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from kernelfit.deep.models.same import SameMaxPool

# TensorFlow's radius 4, bias 1, alpha .001 / 9, beta .75
RADIUS = 4
ALPHA = 0.001 / 9
BETA = 0.75


class LocalResponseNorm(nn.Module):
    """x_c / (1 + ALPHA sum_j x_j^2)^BETA, j from c - RADIUS to c + RADIUS within the channels.

    The sum is a product with a band matrix, a 1 x 1 convolution: torch's own layer slides a window of three dimensions,
    which takes more than half of this network's step. Autocast is off inside: bf16 is summed in float32.
    """

    band: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        channel = torch.arange(channels)
        near = (channel[:, None] - channel).abs() <= RADIUS
        self.register_buffer("band", near.float()[:, :, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, h, w) -> the same shape and type."""
        with torch.autocast(x.device.type, enabled=False):
            if x.device.type == "cpu" and not torch.compiler.is_compiling():
                normalised: Tensor = _Normalised.apply(x, self.band)[0]
                return normalised
            full = x.to(torch.promote_types(x.dtype, torch.float32))
            sums = F.conv2d(full.square(), self.band.to(full.dtype))
            return (full * (1 + ALPHA * sums).pow(-BETA)).to(x.dtype)


class _Normalised(torch.autograd.Function):
    """y = x s^-BETA for s_c = 1 + ALPHA sum_j x_j^2; beside it s^-BETA and 1 / s, which its gradient reads.

    With g the gradient of y that of x_j is g_j s_j^-BETA - 2 ALPHA BETA x_j sum_c g_c x_c s_c^(-BETA - 1), a sum over
    the same band. s^-3/4 is r sqrt(r) for r = s^-1/2, which a CPU has as an instruction. It takes half the time of what
    autograd makes of the formula.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, band: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        full = x.to(torch.promote_types(x.dtype, torch.float32))
        band = band.to(full.dtype)
        root = F.conv2d(full.square(), ALPHA * band, band.new_ones(len(band))).rsqrt()
        power = root * root.sqrt()
        return (full * power).to(x.dtype), power, root.square()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs, *output[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None, *_: None) -> tuple[Tensor | None, None]:
        if gradient is None:
            return None, None
        x, band, power, inverse = ctx.saved_tensors
        full, passed = x.to(power.dtype), gradient * power
        sums = F.conv2d(full * passed * inverse, (-2 * ALPHA * BETA) * band.to(power.dtype))
        return torch.addcmul(passed, sums, full).to(x.dtype), None


class SmallAlexNet(nn.Module):
    """Two blocks of 5 x 5 convolution, ReLU, 3 x 3 max pool at stride 2, local response norm; then 384, 192.

    ReLU stands behind the pool: max(0, max x) = max(max(0, x)), outputs and gradients to the last bit, on a quarter of
    the values.
    """

    def __init__(self, shape: tuple[int, int, int], n_classes: int = 10, dropout: float = 0.0) -> None:
        super().__init__()
        height, width, channels = shape
        self.features = nn.Sequential(
            nn.Conv2d(channels, 64, 5, padding=2),
            SameMaxPool(),
            nn.ReLU(),
            LocalResponseNorm(64),
            nn.Conv2d(64, 64, 5, padding=2),
            SameMaxPool(),
            nn.ReLU(),
            LocalResponseNorm(64),
        )
        with torch.no_grad():
            flat = self.features(torch.zeros(1, channels, height, width)).numel()
        self.hidden = nn.ModuleList([nn.Linear(flat, 384), nn.Linear(384, 192)])
        self.head = nn.Linear(192, n_classes)
        self.dropout = nn.Dropout(dropout)
        convolutions = [layer for layer in self.features if isinstance(layer, nn.Conv2d)]
        for conv, bias in zip(convolutions, (0.0, 0.1), strict=True):
            _cut_normal(conv, 0.05, bias)
        for linear in self.hidden:
            _cut_normal(linear, 0.04, 0.1)
        _cut_normal(self.head, 1 / 192, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, height, width) -> logits (B, n_classes)."""
        x = self.features(x).flatten(1)
        for linear in self.hidden:
            x = self.dropout(torch.relu(linear(x)))
        logits: Tensor = self.head(x)
        return logits

    def decayed(self) -> list[nn.Parameter]:
        """Weight decay acts on the two hidden linear layers alone, as in TensorFlow's code."""
        return [linear.weight for linear in self.hidden]


def _cut_normal(layer: nn.Module, std: float, bias: float) -> None:
    """TensorFlow's truncated normal (redrawn beyond two std), and a constant bias."""
    nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
    nn.init.constant_(layer.bias, bias)
