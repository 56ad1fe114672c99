"""Images on the device: crop, rotation and flip, whitening, each one vectorised over all images of an epoch.

The order is the paper's: rotate and flip the full image, crop, whiten.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

ROTATION_DEGREES = 25.0
ROWS = 5_000  # images treated at a time, which bounds the working memory


def whiten(images: Tensor) -> Tensor:
    """(x - mean) / max(std, 1 / sqrt(d)) for each image (n, c, h, w) in the unit range, over all its d values."""
    flat = images.flatten(1)
    std, mean = torch.std_mean(flat, dim=1, correction=0, keepdim=True)
    std = std.clamp_min(1 / math.sqrt(flat.shape[1]))
    return ((flat - mean) / std).view_as(images)


def centre(images: Tensor, side: int) -> Tensor:
    """The central side x side pixels of (n, c, h, w); smaller images stay as they are."""
    height, width = (min(side, length) for length in images.shape[-2:])
    top, left = (images.shape[-2] - height) // 2, (images.shape[-1] - width) // 2
    return images[..., top : top + height, left : left + width]


def random_crop(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A uniformly placed side x side window of each image (n, c, h, w): 25 offsets from 32 to 28."""
    n, c, height, width = images.shape
    device = images.device
    top = torch.randint(height - side + 1, (n, 1), generator=generator).to(device) + torch.arange(
        side, device=device
    )
    left = torch.randint(width - side + 1, (n, 1), generator=generator).to(device) + torch.arange(
        side, device=device
    )
    image = torch.arange(n, device=device)[:, None, None, None]
    channel = torch.arange(c, device=device)[None, :, None, None]
    return images[image, channel, top[:, None, :, None], left[:, None, None, :]]


def flip_and_rotate(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror with probability 1/2 and turn by up to 25 degrees either way; bilinear, zeros outside.

    images (n, c, h, w) float.
    """
    n, _, height, width = images.shape
    mirror = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    angle = (2 * torch.rand(n, generator=generator) - 1) * math.radians(ROTATION_DEGREES)
    zero = torch.zeros(n)
    # Rows of the inverse map from output to input coordinates, both in [-1, 1]: their units are half a width and half a
    # height, which a rotation of pixels must not mix.
    affine = torch.stack(
        [
            torch.stack([mirror * angle.cos(), -angle.sin() * (height / width), zero], dim=1),
            torch.stack([mirror * angle.sin() * (width / height), angle.cos(), zero], dim=1),
        ],
        dim=1,
    ).to(images.device)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def prepare(
    images: Tensor,
    scale: float,
    side: int,
    *,
    crop: bool = False,
    augment: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Network inputs (n, c, side, side) float32 from stored images (n, c, h, w) of any type.

    `crop` and `augment` draw from `generator` (on the CPU, so that every device sees the same draws); without
    them the centre crop is taken. The result depends on the generator's state and on nothing else.
    """
    if (crop or augment) and generator is None:
        raise ValueError("random crops and augmentation need a generator")
    parts = []
    for first in range(0, len(images), ROWS):
        part = images[first : first + ROWS].to(torch.float32) * scale
        if augment and generator is not None:
            part = flip_and_rotate(part, generator)
        part = random_crop(part, side, generator) if crop and generator is not None else centre(part, side)
        parts.append(whiten(part))
    return torch.cat(parts)
