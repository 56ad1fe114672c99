"""Several processes as torchrun starts them: gloo on the CPU, NCCL on GPUs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from kernelfit.deep.processes import processes
from kernelfit.errors import InputError

SHAREABLE = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@dataclass(frozen=True)
class World:
    """This process among `size`."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def total(self, value: Tensor) -> Tensor:
        """The sum over processes, in every process."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            dist.barrier()


@contextlib.contextmanager
def joined(device_type: str) -> Iterator[World]:
    """The group that torchrun set up (its environment variables), or a group of one."""
    size = processes()
    if size == 1 or dist.is_initialized():
        yield World(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else World()
        return
    if device_type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if device_type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()


class _Total(torch.autograd.Function):
    """The sum over processes, differentiable: the gradient is summed over them in turn."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class SharedBatchNorm(BatchNorm):
    """Batch normalisation over the batch of all processes, where torch's SyncBatchNorm refuses: on the CPU.

    Same parameters and buffers as torch's own of 1, 2 and 3 dimensions, so that checkpoints fit both.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected rows of channels, got {input.ndim} dimensions")

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, ...) -> the same; statistics of all processes while training, in float32 for bf16."""
        if not self.training or not dist.is_initialized():
            return super().forward(x)
        self._check_input_dim(x)
        full = x.to(torch.promote_types(x.dtype, torch.float32))
        over = [0, *range(2, x.ndim)]
        channels = (-1, *[1] * (x.ndim - 2))
        # Two exchanges, mean first: the mean of squares minus the squared mean would lose the small variances.
        count = full.new_full((1,), x.numel() / x.shape[1])
        sums = _Total.apply(torch.cat([full.sum(dim=over), count]))
        mean, total = sums[:-1] / sums[-1], sums[-1]
        centred = full - mean.view(channels)
        variance = _Total.apply(centred.square().sum(dim=over)) / total
        if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
            with torch.no_grad():
                self.num_batches_tracked.add_(1)
                share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
                self.running_mean.lerp_(mean, share)
                self.running_var.lerp_(variance * total / (total - 1), share)
        out = centred * (variance + self.eps).rsqrt().view(channels)
        if self.affine:
            out = out * self.weight.view(channels) + self.bias.view(channels)
        return out.to(x.dtype)


def share_batch_norm(model: nn.Module, device_type: str) -> nn.Module:
    """Have every batch normalisation be one over all processes; InputError for a kind that cannot be."""
    if device_type == "cuda":
        shared: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return shared
    for name, layer in model.named_modules():
        if type(layer) in SHAREABLE:
            layer.__class__ = SharedBatchNorm
        elif isinstance(layer, BatchNorm) and not isinstance(layer, SharedBatchNorm):
            raise InputError(
                f"model: got {name} ({type(layer).__name__}), whose statistics processes cannot share; expected "
                "torch's BatchNorm1d, 2d or 3d, or one process"
            )
    return model
