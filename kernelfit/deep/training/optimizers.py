"""Optimisers by name: the paper's SGD with momentum, and RMSProp as TensorFlow's Inception was trained with.

Both take a rate that is a number or, inside a CUDA graph, a tensor. Weight decay is added to gradients by the engine.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from kernelfit.deep.recipe import Recipe


class RMSProp(torch.optim.Optimizer):
    """TensorFlow's RMSProp. For a gradient g and a rate r:

        s <- decay s + (1 - decay) g^2          s starts at 1
        m <- momentum m + r g / sqrt(s + epsilon)
        w <- w - m

    `torch.optim.RMSprop` starts s at 0 and adds epsilon outside the root: with epsilon 1 another method.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float | Tensor,
        momentum: float,
        decay: float,
        epsilon: float,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay, "epsilon": epsilon})
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter] = {
                    "momentum_buffer": torch.zeros_like(parameter),
                    "square_average": torch.ones_like(parameter),
                }

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """One descent on the gradients that the parameters hold."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state, gradient = self.state[parameter], parameter.grad
                state["square_average"].mul_(group["decay"]).addcmul_(
                    gradient, gradient, value=1 - group["decay"]
                )
                scaled = gradient * (state["square_average"] + group["epsilon"]).rsqrt()
                state["momentum_buffer"].mul_(group["momentum"]).add_(scaled * group["lr"])
                parameter.sub_(state["momentum_buffer"])


def make(recipe: Recipe, parameters: Iterable[nn.Parameter], rate: float | Tensor) -> torch.optim.Optimizer:
    """The recipe's optimiser at the given rate."""
    if recipe.optimizer == "rmsprop":
        return RMSProp(parameters, rate, recipe.momentum, recipe.rms_decay, recipe.rms_epsilon)
    return torch.optim.SGD(parameters, lr=rate, momentum=recipe.momentum, fused=True)
