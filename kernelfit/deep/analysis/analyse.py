"""What goes past the paper, for one trained run: norms and margins, kernels of the network, Rademacher complexity."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kernelfit.cpu.environment import total_memory
from kernelfit.datasets import load
from kernelfit.deep.analysis import bridge, norms, rademacher, tangent
from kernelfit.deep.data.images import centre_crop
from kernelfit.deep.data.sources import Resident, load_resident
from kernelfit.deep.models.build import build
from kernelfit.deep.recipe import Recipe
from kernelfit.deep.training.hardware import Hardware
from kernelfit.errors import InputError
from kernelfit.progress import ProgressLike

ROWS = 1000
GRAMS = 3  # matrices of n x n that a solve of a precomputed Gram holds
# A conjugate kernel has at most as many independent rows as features; see `bridge.energies`.
CONJUGATE_RIDGE = 1e-8


def analyse(
    recipe: Recipe,
    model: nn.Module,
    *,
    with_norms: bool = False,
    kernel_rows: int = 0,
    rademacher_draws: int = 0,
    hardware: Hardware,
    data_dir: Path | None = None,
    progress: ProgressLike = None,
) -> dict[str, Any]:
    """The analyses that are asked for; `kernel_rows` are the first rows of the training set.

    Norms and margins are of the trained `model` on its own (corrupted) training data; kernels are of the fresh and of
    the trained network, solved for the true labels and for random ones.
    """
    check_analyses(recipe, kernel_rows=kernel_rows, rademacher_draws=rademacher_draws)
    record: dict[str, Any] = {}
    device = hardware.resolve()
    source = load_resident([recipe], device, data_dir=data_dir)
    initial = build(
        recipe.model, shape=source.shape, n_classes=source.n_classes, dropout=recipe.dropout, seed=recipe.seed
    ).to(device)
    inputs = source.train_inputs[0]
    if kernel_rows > source.n:
        raise InputError(f"kernel_rows: got {kernel_rows}, expected at most the {source.n} training rows")
    if rademacher_draws:
        _check_gram("rademacher_draws", source.n)
    if with_norms:
        measured = norms.norms(model, initial, inputs[:1])
        logits = _logits(model, inputs)
        record["norms"] = measured
        record["margins"] = norms.margin_summary(logits, source.labels[0], measured["spectral_product"])
    if kernel_rows:
        record["kernels"] = _kernels(recipe, source, initial, model, kernel_rows, progress)
    if rademacher_draws:
        record["rademacher"] = _rademacher(recipe, source, rademacher_draws, hardware, data_dir, progress)
    return record


def check_analyses(recipe: Recipe, *, kernel_rows: int = 0, rademacher_draws: int = 0) -> None:
    """Raise InputError, before any training, for analyses that cannot be made after it."""
    if recipe.dataset == "imagenet":
        raise InputError(
            "analysis: norms, kernels and Rademacher need a resident data set; use one such as cifar10"
        )
    if rademacher_draws == 1:
        raise InputError("rademacher_draws: got 1, expected at least 2 for an error bar")
    if recipe.n is not None and kernel_rows > recipe.n:
        raise InputError(f"kernel_rows: got {kernel_rows}, expected at most the {recipe.n} training rows")
    if kernel_rows:
        _check_gram("kernel_rows", kernel_rows)
    if rademacher_draws and recipe.n is not None:
        _check_gram("rademacher_draws", recipe.n)


def _check_gram(name: str, n: int) -> None:
    """Raise where Gram and factor of n rows would not fit beside everything else."""
    needed = GRAMS * 8 * n**2
    if needed > total_memory() / 2:
        raise InputError(
            f"{name}: the {n} x {n} Gram and its factor need {needed / 1e9:.2f} GB, more than half of the memory; "
            "take fewer rows"
        )


def _logits(model: nn.Module, inputs: Tensor) -> Tensor:
    model.eval()
    with torch.no_grad():
        return torch.cat([model(inputs[k : k + ROWS]) for k in range(0, len(inputs), ROWS)])


def _kernels(
    recipe: Recipe,
    source: Resident,
    initial: nn.Module,
    model: nn.Module,
    rows: int,
    progress: ProgressLike,
) -> list[dict[str, Any]]:
    """Energies of both kernels of the fresh and the trained network."""
    inputs = source.train_inputs[0][:rows]
    y = source.clean[0][:rows].cpu().numpy()
    records = []
    for state, net in (("fresh", initial), ("trained", model)):
        for name in ("tangent", "conjugate"):
            gram = (
                tangent.tangent_gram(net, inputs)
                if name == "tangent"
                else tangent.conjugate_gram(net, inputs)
            )
            energies = bridge.energies(
                gram,
                y,
                source.n_classes,
                relative_ridge=CONJUGATE_RIDGE if name == "conjugate" else 0.0,
                seed=recipe.seed,
                progress=progress,
            )
            records.append({"network": state, "kernel": name, "rows": rows, **dataclasses.asdict(energies)})
    return records


def _rademacher(
    recipe: Recipe,
    source: Resident,
    draws: int,
    hardware: Hardware,
    data_dir: Path | None,
    progress: ProgressLike,
) -> dict[str, Any]:
    """The network's, and beside it that of the ball of the fresh network's conjugate kernel that holds the
    interpolant of the true labels.
    """
    dataset = load(recipe.dataset, n_train=recipe.n, n_test=recipe.n_test, data_dir=data_dir)
    network = rademacher.of_network(
        recipe,
        dataset,
        draws=draws,
        hardware=dataclasses.replace(hardware, evaluate_every=recipe.epochs, tensorboard=False),
        progress=progress,
    )
    fresh = build(recipe.model, shape=source.shape, n_classes=source.n_classes, seed=recipe.seed)
    gram = tangent.conjugate_gram(fresh.to(source.device), source.train_inputs[0])
    dataset = centre_crop(dataset, recipe.side)
    energy = bridge.energies(
        gram, dataset.y_train, source.n_classes, draws=1, relative_ridge=CONJUGATE_RIDGE, progress=progress
    )
    radius = math.sqrt(energy.true)
    kernel = rademacher.of_kernel(gram, radius, draws=max(draws, 2), seed=recipe.seed)
    return {
        "network": dataclasses.asdict(network),
        "conjugate_kernel": {**dataclasses.asdict(kernel), "radius": radius},
    }
