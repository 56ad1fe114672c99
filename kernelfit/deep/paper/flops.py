"""Arithmetic of training, counted by torch, and the shortest time it takes: what a measured time stands beside."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kernelfit.deep.models.alexnet import LocalResponseNorm
from kernelfit.deep.models.build import build
from kernelfit.deep.recipe import Recipe

PEAK = 790e12  # FLOP/s: a large bf16 matrix product on one H200
CIFAR_ROWS, CIFAR_SIDE = 50_000, 32


@functools.cache
def per_image(model: str, side: int, channels: int, n_classes: int) -> int:
    """FLOP of one training step on one image: matrix products and convolutions, forward and backward."""
    net = build(model, shape=(side, side, channels), n_classes=n_classes)
    for layer in net.modules():
        if isinstance(layer, LocalResponseNorm):  # that it takes a product for its sum is its own affair
            layer.forward = nn.Identity().forward  # type: ignore[method-assign]
    with FlopCounterMode(display=False) as counter:
        out = net(torch.zeros(2, channels, side, side))
        sum(part.sum() for part in (out if isinstance(out, tuple) else (out,))).backward()
    return int(counter.get_total_flops()) // 2


def of_run(recipe: Recipe, epochs: int | None = None) -> float:
    """FLOP of `epochs` epochs (default: all of the recipe) on CIFAR-10's shape, evaluations left out."""
    rows = recipe.n or CIFAR_ROWS
    side = min(recipe.side, CIFAR_SIDE)  # images that are no larger than the crop stay as they are
    return float(per_image(recipe.model, side, 3, 10) * rows * (epochs or recipe.epochs))


def plan(recipes: Sequence[Recipe]) -> dict[str, Any]:
    """The arithmetic of `recipes` by model and in all, and the seconds that it takes at `PEAK`."""
    models: dict[str, dict[str, Any]] = {}
    for recipe in recipes:
        row = models.setdefault(recipe.model, {"runs": 0, "epochs": 0, "petaflop": 0.0})
        row["runs"] += 1
        row["epochs"] += recipe.epochs
        row["petaflop"] += of_run(recipe) / 1e15
    total = sum(row["petaflop"] for row in models.values())
    return {
        "models": models,
        "runs": len(recipes),
        "petaflop": total,
        "peak_flops_per_second": PEAK,
        "floor_seconds": total * 1e15 / PEAK,
    }
