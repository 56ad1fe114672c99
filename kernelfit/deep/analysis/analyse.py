"""What goes past the paper, for one trained run: norms and margins, kernels of the network, Rademacher complexity."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kernelfit.cpu.environment import total_memory
from kernelfit.datasets import Dataset, load
from kernelfit.deep import own_network
from kernelfit.deep.analysis import bridge, norms, rademacher, tangent
from kernelfit.deep.data.images import centre_crop, image_shape
from kernelfit.deep.data.sources import Resident, check_images, load_resident
from kernelfit.deep.models.build import build
from kernelfit.deep.models.runs import OneRun
from kernelfit.deep.recipe import Recipe
from kernelfit.deep.training.evaluate import fresh_statistics
from kernelfit.deep.training.hardware import Hardware
from kernelfit.deep.training.outcome import Outcome
from kernelfit.deep.world import World
from kernelfit.errors import InputError
from kernelfit.progress import ProgressLike

ROWS = 1000
GRAMS = 3  # matrices of n x n that a solve of a precomputed Gram holds
# A conjugate kernel has at most as many independent rows as features; see `bridge.energies`.
CONJUGATE_RIDGE = 1e-8


def analyse(
    outcome: Outcome,
    model: nn.Module,
    *,
    with_norms: bool = False,
    kernel_rows: int = 0,
    rademacher_draws: int = 0,
    hardware: Hardware,
    data_dir: Path | None = None,
    progress: ProgressLike = None,
) -> dict[str, Any]:
    """The analyses that are asked for of a run that ended as `outcome` says with the trained `model`, the pair that
    `kernelfit.deep.network` gives; `kernel_rows` are the first rows of the training set.

    Norms and margins are of the trained network on its own (corrupted) training data; kernels are of the fresh and of
    the trained network, solved for the true labels and for random ones. Batch-norm statistics are those of evaluations
    (`fresh_statistics`), in the fresh network too. Networks that fit random signs train at the rate that the run ended
    on.
    """
    recipe = outcome.recipe
    asked: dict[str, Any] = {"kernel_rows": kernel_rows, "rademacher_draws": rademacher_draws}
    check_analyses(recipe, with_norms=with_norms, **asked, data_dir=data_dir)
    _check_numbers(outcome, model)
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
    with evaluated(initial, source, hardware), evaluated(model, source, hardware):
        if with_norms:
            measured = norms.norms(model, initial, inputs[:1])
            logits = _logits(model, inputs)
            record["norms"] = measured
            record["margins"] = norms.margin_summary(logits, source.labels[0], measured["spectral_product"])
        if kernel_rows:
            record["kernels"] = _kernels(recipe, source, initial, model, kernel_rows, progress)
        if rademacher_draws:
            record["rademacher"] = _rademacher(
                outcome, source, initial, rademacher_draws, hardware, data_dir, progress
            )
    return record


def _check_numbers(outcome: Outcome, model: nn.Module) -> None:
    """Raise InputError for a network of weights that are no numbers."""
    finite = all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())
    if outcome.status == "diverged" or not finite:
        raise InputError(
            f"analysis: {outcome.recipe.key} diverged at rate {outcome.rate!r}, its weights say nothing; take a "
            "smaller rate"
        )


def evaluated(
    model: nn.Module, source: Resident, hardware: Hardware
) -> contextlib.AbstractContextManager[None]:
    """Within the block `model` answers as in evaluations: with batch-norm statistics of its present weights."""
    return fresh_statistics(OneRun(model), source, hardware, source.device, World())


def check_analyses(
    recipe: Recipe,
    *,
    with_norms: bool = False,
    kernel_rows: int = 0,
    rademacher_draws: int = 0,
    data_dir: Path | None = None,
) -> None:
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
    if own_network.is_own(recipe.model):
        dataset = load(recipe.dataset, n_train=recipe.n, n_test=recipe.n_test, data_dir=data_dir)
        check_images(recipe, dataset)
        _rehearse(recipe, dataset, with_norms, kernel_rows > 0, rademacher_draws > 0)


def _rehearse(
    recipe: Recipe, dataset: Dataset, with_norms: bool, kernels: bool, with_rademacher: bool
) -> None:
    """Do with a fresh network of the user's own and one blank image what is done with the trained one."""
    shape = image_shape(centre_crop(dataset, recipe.side))
    height, width, channels = shape
    net = build(
        recipe.model,
        shape=shape,
        n_classes=len(dataset.classes or ()),
        dropout=recipe.dropout,
        seed=recipe.seed,
    )
    blank = torch.zeros(1, channels, height, width)
    if with_norms:
        norms.check(net, blank)
    if kernels or with_rademacher:
        _try("conjugate", recipe, lambda: tangent.conjugate_gram(net, blank))
    if kernels:
        _try("tangent", recipe, lambda: tangent.tangent_gram(net, blank))


def _try(kernel: str, recipe: Recipe, make: Callable[[], Any]) -> None:
    """Raise InputError in one line where the network has no such kernel: its own code may raise anything."""
    try:
        make()
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"model: the {kernel} kernel of {recipe.model} cannot be formed ({reason})"
        ) from error


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
    outcome: Outcome,
    source: Resident,
    initial: nn.Module,
    draws: int,
    hardware: Hardware,
    data_dir: Path | None,
    progress: ProgressLike,
) -> dict[str, Any]:
    """The network's, and beside it that of the ball of the fresh network's conjugate kernel that holds the
    interpolant of the true labels.
    """
    recipe = outcome.recipe
    dataset = load(recipe.dataset, n_train=recipe.n, n_test=recipe.n_test, data_dir=data_dir)
    network = rademacher.of_network(
        dataclasses.replace(recipe, rates=(outcome.rate,)),
        dataset,
        draws=draws,
        hardware=dataclasses.replace(hardware, evaluate_every=recipe.epochs, tensorboard=False),
        progress=progress,
    )
    gram = tangent.conjugate_gram(initial, source.train_inputs[0])
    energy = bridge.energies(
        gram, dataset.y_train, source.n_classes, draws=1, relative_ridge=CONJUGATE_RIDGE, progress=progress
    )
    radius = math.sqrt(energy.true)
    kernel = rademacher.of_kernel(gram, radius, draws=max(draws, 2), seed=recipe.seed)
    return {
        "network": dataclasses.asdict(network),
        "conjugate_kernel": {**dataclasses.asdict(kernel), "radius": radius},
    }
