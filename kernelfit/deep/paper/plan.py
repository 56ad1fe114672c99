"""What a reproduction would train, and how long it takes: on a CPU from steps that are measured now, on CUDA from the
arithmetic at the peak.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from kernelfit.datasets import Dataset
from kernelfit.deep.data.sources import Resident
from kernelfit.deep.paper import flops
from kernelfit.deep.recipe import Recipe
from kernelfit.deep.training.engine import Training
from kernelfit.deep.training.hardware import Hardware
from kernelfit.deep.training.sweep import STACK, stackable

MEASURE_SECONDS = 1.0
MAX_STEPS = 10
WARM_UP = 1


def plan(recipes: Sequence[Recipe], hardware: Hardware, *, stack: int = STACK) -> dict[str, Any]:
    """`flops.plan` of `recipes`, and seconds by model and in all; nothing is trained.

    On a CPU every model also has `images_per_second`, of `stack` runs side by side where they can be stacked.
    """
    record = flops.plan(recipes)
    device = hardware.resolve()
    for model, row in record["models"].items():
        own = [recipe for recipe in recipes if recipe.model == model]
        if device.type == "cpu":
            rate = images_per_second(own[0], hardware, min(stack, len(own)))
            row["images_per_second"] = rate
            row["seconds"] = sum((r.n or flops.CIFAR_ROWS) * r.epochs for r in own) / rate
        else:
            row["seconds"] = row["petaflop"] * 1e15 / flops.PEAK
    return record | {
        "device": device.type,
        "precision": hardware.resolved_precision(device),
        "seconds": sum(row["seconds"] for row in record["models"].values()),
    }


def images_per_second(recipe: Recipe, hardware: Hardware, stack: int) -> float:
    """Images that steps of this recipe take in a second, over all runs of a stack, on noise of CIFAR-10's shape."""
    rows = (WARM_UP + MAX_STEPS) * recipe.batch
    plain = dataclasses.replace(
        recipe, corruption="true", crop=False, augment=False, n=rows, n_test=None, epochs=1
    )
    recipes = [dataclasses.replace(plain, seed=k) for k in range(stack if stackable(plain) else 1)]
    device = hardware.resolve()
    source = Resident(recipes, [_noise(rows)] * len(recipes), device)
    training = Training(recipes, source, hardware=dataclasses.replace(hardware, tensorboard=False))
    with hardware.session(device):
        steps = training.steps_taken()
        for _ in range(WARM_UP):
            next(steps)
        begun, taken = time.perf_counter(), 0
        while taken < MAX_STEPS - 1 and (not taken or time.perf_counter() - begun < MEASURE_SECONDS):
            next(steps)
            taken += 1
        elapsed = time.perf_counter() - begun
        steps.close()
    return taken * recipe.batch * len(recipes) / elapsed


def _noise(rows: int) -> Dataset:
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (rows, 32 * 32 * 3), dtype=np.uint8)
    y = rng.integers(0, 10, rows)
    classes = tuple(str(code) for code in range(10))
    return Dataset("noise", X, y, X[:1], y[:1], classes, (32, 32, 3), 1 / 255)
