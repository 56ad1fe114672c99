"""The small Inception for 28 x 28 images, with batch normalisation or with biases instead.

Batch normalisation here has a shift and no scale, and a convolution before it has no bias; without it every
convolution has a bias. Both builds therefore have 1,649,402 parameters for CIFAR-10.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernelfit.deep.models.same import SameMaxPool, same_pad

BN_EPSILON = 0.001
BN_DECAY = 0.9997

# name and widths of each stage after the first 3 x 3 convolution to 96 channels
STEM = 96
STAGES: tuple[tuple[int, ...], ...] = (
    (32, 32),
    (32, 48),
    (80,),
    (112, 48),
    (96, 64),
    (80, 80),
    (48, 96),
    (96,),
    (176, 160),
    (176, 160),
)


class Conv(nn.Module):
    """SAME convolution, batch normalisation (shift only) or bias, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, norm: bool) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        # At stride 1 SAME is symmetric, and the convolution pads by itself without a copy of its input.
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, padding=kernel // 2 if stride == 1 else 0, bias=False
        )
        self.norm = (
            nn.BatchNorm2d(outputs, eps=BN_EPSILON, momentum=1 - BN_DECAY, affine=False)
            if norm
            else nn.Identity()
        )
        self.shift = nn.Parameter(torch.zeros(outputs))
        # Variance 2 / fan-in; a normal cut at two standard deviations keeps 1 / 1.3 of its variance.
        std = (1.3 * 2 / (inputs * kernel**2)) ** 0.5
        nn.init.trunc_normal_(self.conv.weight, std=std, a=-2 * std, b=2 * std)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, ceil(h / stride), ceil(w / stride))."""
        if self.stride > 1:
            x = same_pad(x, self.kernel, self.stride)
        x = self.norm(self.conv(x))
        return F.relu(x + self.shift.to(x.dtype)[:, None, None])


class Mixed(nn.Module):
    """Channels of a 1 x 1 and of a 3 x 3 convolution side by side."""

    def __init__(self, inputs: int, ones: int, threes: int, *, norm: bool) -> None:
        super().__init__()
        self.one = Conv(inputs, ones, 1, norm=norm)
        self.three = Conv(inputs, threes, 3, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, ones + threes, h, w)."""
        return torch.cat([self.one(x), self.three(x)], dim=1)


class Down(nn.Module):
    """A 3 x 3 convolution and a 3 x 3 max pool, both at stride 2, side by side."""

    def __init__(self, inputs: int, threes: int, *, norm: bool) -> None:
        super().__init__()
        self.three = Conv(inputs, threes, 3, 2, norm=norm)
        self.pool = SameMaxPool()

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, threes + inputs, ceil(h / 2), ceil(w / 2))."""
        return torch.cat([self.three(x), self.pool(x)], dim=1)


class SmallInception(nn.Module):
    """Stem, mixed and down stages, mean over the positions, one linear layer."""

    def __init__(self, in_channels: int = 3, n_classes: int = 10, *, norm: bool = True, dropout: float = 0.0):
        super().__init__()
        stages: list[nn.Module] = [Conv(in_channels, STEM, 3, norm=norm)]
        channels = STEM
        for widths in STAGES:
            if len(widths) == 1:
                stages.append(Down(channels, widths[0], norm=norm))
                channels += widths[0]
            else:
                stages.append(Mixed(channels, *widths, norm=norm))
                channels = sum(widths)
        self.stages = nn.Sequential(*stages)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, n_classes)
        std = (1.3 * 2 / channels) ** 0.5
        nn.init.trunc_normal_(self.head.weight, std=std, a=-2 * std, b=2 * std)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, h, w) -> logits (B, n_classes); h = w = 28 makes 28 -> 14 -> 7."""
        logits: Tensor = self.head(self.dropout(self.stages(x).mean(dim=(2, 3))))
        return logits
