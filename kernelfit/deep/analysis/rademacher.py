"""Empirical Rademacher complexity: how well a class of functions fits pure noise, with error bars.

R(H) = E_sigma [ sup_{h in H} (1/n) sum_i sigma_i h(x_i) ],    sigma_i = +1 or -1 with probability 1/2 each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from kernelfit.datasets import Dataset
from kernelfit.deep.data.sources import Resident, with_its_pixels
from kernelfit.deep.recipe import Recipe
from kernelfit.deep.training.engine import Training
from kernelfit.deep.training.hardware import Hardware
from kernelfit.deep.training.outcome import Outcome
from kernelfit.deep.training.sweep import STACK, stackable
from kernelfit.errors import InputError
from kernelfit.progress import ProgressLike, as_progress


@dataclass(frozen=True)
class Rademacher:
    """`mean` over the draws of sigma and its `standard_error`; `draws` are the single values."""

    mean: float
    standard_error: float
    draws: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Rademacher:
        """From the single draws, at least two."""
        return cls(
            float(np.mean(values)),
            float(np.std(values, ddof=1) / np.sqrt(len(values))),
            tuple(float(value) for value in values),
        )


def signs(n: int, draws: int, seed: int) -> NDArray[np.int64]:
    """`draws` vectors of n signs, (draws, n)."""
    if draws < 2:
        raise InputError(f"draws: got {draws}, expected at least 2 for an error bar")
    return 2 * np.random.default_rng(seed).integers(0, 2, (draws, n), dtype=np.int64) - 1


def of_kernel(gram: NDArray[np.floating], radius: float, *, draws: int = 20, seed: int = 0) -> Rademacher:
    """The ball of `radius` in the kernel's space: sup = (radius / n) sqrt(sigma^T K sigma), in closed form.

    gram (n, n). The mean is at most radius sqrt(trace K) / n.
    """
    sigma = signs(len(gram), draws, seed).astype(np.float64)
    energies = np.einsum("ri,ri->r", sigma @ gram, sigma)
    return Rademacher.of(
        cast("list[float]", (radius / len(gram) * np.sqrt(np.maximum(energies, 0))).tolist())
    )


def of_network(
    recipe: Recipe,
    dataset: Dataset,
    *,
    draws: int = 8,
    hardware: Hardware | None = None,
    progress: ProgressLike = None,
) -> Rademacher:
    """Classifiers with values +1 and -1 that training reaches: 2 * train accuracy - 1 on random signs.

    A lower estimate of the supremum, since training need not find the best classifier. The recipe's pixels and
    regularisers stay, its labels are replaced; MLP draws train stacked. seed, seed + 1, ... give the draws. Raises
    InputError for a ladder of rates: the recipe has the one at which the network is trained.
    """
    if len(recipe.rates) > 1:
        raise InputError(f"rates: got {recipe.rates}, expected the one rate that the run ended on")
    progress = as_progress(progress)
    dataset = with_its_pixels(recipe, dataset)
    hardware = hardware or Hardware(evaluate_every=recipe.epochs)
    sigma = signs(dataset.n_train, draws, recipe.seed)
    runs = [dataclasses.replace(recipe, corruption="true", p=1.0, seed=recipe.seed + k) for k in range(draws)]
    binary = [
        dataclasses.replace(
            dataset,
            y_train=(row + 1) // 2,
            y_test=np.zeros(dataset.n_test, dtype=np.int64),
            classes=("-1", "+1"),
        )
        for row in sigma
    ]
    size = STACK if stackable(recipe) else 1
    outcomes: list[Outcome] = []
    device: torch.device = hardware.resolve()
    for first in range(0, draws, size):
        part = slice(first, first + size)
        source = Resident(runs[part], binary[part], device)
        training = Training(runs[part], source, hardware=hardware, progress=progress)
        outcomes += training.run()
    diverged = sum(outcome.status == "diverged" for outcome in outcomes)
    if diverged:
        progress.note(
            f"{diverged} of {draws} draws of signs diverged at rate {recipe.rates[0]:g}; their values are low"
        )
    values = [2 * outcome.final["train_accuracy"] - 1 for outcome in outcomes]
    return Rademacher.of(values)
