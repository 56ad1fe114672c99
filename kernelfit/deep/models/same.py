"""TensorFlow's SAME padding: an output has ceil(side / stride) rows; the odd row and column go to bottom and right."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def same_pad(x: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
    """(..., h, w) padded with `value`: windows of `kernel` at `stride` give ceil(h / stride) rows, and so columns."""
    height, width = (max(0, (-(-side // stride) - 1) * stride + kernel - side) for side in x.shape[-2:])
    return F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2), value=value)


class SameMaxPool(nn.Module):
    """SAME max pool of 3 x 3 windows at stride 2."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, c, h, w) -> (B, c, ceil(h / 2), ceil(w / 2))."""
        if x.shape[-2] % 2 == 0 and x.shape[-1] % 2 == 0:
            # For even sides, 28 and 14 in the paper, the window overhangs at the bottom and the right only.
            return F.max_pool2d(x, 3, 2, ceil_mode=True)
        return F.max_pool2d(same_pad(x, 3, 2, value=-torch.inf), 3, 2)
