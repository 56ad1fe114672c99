"""Accuracy and loss on all rows of a data set, with batch-norm statistics that belong to the present weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernelfit.deep.data.sources import Source
from kernelfit.deep.training.hardware import Hardware
from kernelfit.deep.world import BatchNorm, World


@contextlib.contextmanager
def fresh_statistics(
    model: nn.Module, source: Source, hardware: Hardware, device: torch.device, world: World
) -> Iterator[None]:
    """Within the block, running means and variances are the plain averages over the training data.

    With decay .9997 the running averages trail the weights by thousands of steps. They are put back afterwards,
    so that evaluating does not change training. Every process passes the same number of batches.
    """
    norms = [layer for layer in model.modules() if isinstance(layer, BatchNorm) and layer.track_running_stats]
    if not norms:
        yield
        return
    running = [{name: value.clone() for name, value in layer.state_dict().items()} for layer in norms]
    decays = [layer.momentum for layer in norms]
    model.eval()
    for layer in norms:
        layer.reset_running_stats()
        layer.train()
    rows = min(hardware.evaluation_rows, source.n)
    with torch.no_grad(), hardware.autocast(device):
        for k, (x, _) in enumerate(source.evaluation("train", rows, world)):
            # A short last batch would weigh as much as a full one.
            if k < source.n // rows:
                # The cumulative average. torch's own (momentum None) reads its count back from the device in every
                # layer and batch, and the host waits for it each time.
                for layer in norms:
                    layer.momentum = 1 / (k + 1)
                model(x)
    for layer, decay in zip(norms, decays, strict=True):
        layer.momentum = decay
        layer.eval()
    try:
        yield
    finally:
        for layer, state in zip(norms, running, strict=True):
            layer.load_state_dict(state)


def evaluate(
    model: nn.Module, source: Source, part: str, hardware: Hardware, device: torch.device, world: World
) -> dict[str, list[float]]:
    """`accuracy` (top 1), `top5` and mean `loss` of each run on "train" or "test"; the model stays in eval mode."""
    model.eval()
    sums: Tensor | None = None
    with torch.no_grad():
        for x, labels in source.evaluation(part, hardware.evaluation_rows, world):
            if not labels.numel():
                continue
            with hardware.autocast(device):
                logits = model(x)
            logits = logits.float()
            loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(
                labels.shape
            )
            best = logits.topk(min(5, logits.shape[-1]), dim=-1).indices == labels[..., None]
            batch = torch.stack(
                [
                    best[..., 0].sum(1).double(),
                    best.any(-1).sum(1).double(),
                    loss.double().sum(1),
                    torch.full((len(labels),), labels.shape[1], dtype=torch.double, device=labels.device),
                ]
            )
            sums = batch if sums is None else sums + batch
    if sums is None:
        sums = torch.zeros(4, source.labels.shape[0], dtype=torch.double, device=device)
    sums = world.total(sums)
    top1, top5, loss = (sums[:3] / sums[3]).tolist()
    return {"accuracy": top1, "top5": top5, "loss": loss}
