"""Kernels of a network: the empirical neural tangent kernel and the conjugate kernel, as Gram matrices.

    tangent      K(x, x') = (1/c) sum_o <grad_theta f_o(x), grad_theta f_o(x')>     over the c outputs
    conjugate    K(x, x') = <phi(x), phi(x')> + 1      phi the input of the last linear layer, 1 its bias

(Jacot, Gabriel, Hongler 2018.) The network is taken as it is, fresh or trained, in evaluation mode.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from kernelfit.errors import InputError

BLOCK_BYTES = 1 << 28  # of Jacobian held at a time for each of the two row blocks


def last_linear(model: nn.Module) -> nn.Linear:
    """The layer that makes the logits."""
    linears = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    if not linears:
        raise InputError("model: has no linear layer, expected one that makes the logits")
    return linears[-1]


def conjugate_gram(model: nn.Module, inputs: Tensor, rows: int = 500) -> NDArray[np.float64]:
    """The conjugate kernel's Gram (n, n) of `inputs` (n, c, h, w)."""
    features: list[Tensor] = []
    hook = last_linear(model).register_forward_pre_hook(
        lambda _, given: features.append(given[0].detach().double().cpu())
    )
    model.eval()
    try:
        with torch.no_grad():
            for first in range(0, len(inputs), rows):
                model(inputs[first : first + rows])
    finally:
        hook.remove()
    phi = torch.cat(features).flatten(1)
    gram: NDArray[np.float64] = (phi @ phi.T + 1).numpy()
    return gram


def tangent_gram(
    model: nn.Module, inputs: Tensor, *, dtype: torch.dtype = torch.float64
) -> NDArray[np.float64]:
    """The empirical tangent kernel's Gram (n, n) of `inputs` (n, c, h, w), over all trainable parameters.

    Jacobians are made in blocks of rows and never held whole (n * c * parameters numbers); the price is that
    those of the left block are made again for each block above it.
    """
    net = copy.deepcopy(model).to(dtype).eval()
    parameters = {name: p.detach() for name, p in net.named_parameters() if p.requires_grad}
    buffers = {name: b.detach() for name, b in net.named_buffers()}

    def outputs(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        out: Tensor = functional_call(net, (weights, buffers), (x[None],))[0]
        return out

    inputs = inputs.to(dtype)
    with torch.no_grad():
        classes = net(inputs[:1]).shape[1]
    numbers = sum(p.numel() for p in parameters.values())
    block = max(1, BLOCK_BYTES // (inputs.element_size() * numbers * classes))

    def jacobian(first: int) -> Tensor:
        parts = vmap(jacrev(outputs), in_dims=(None, 0))(parameters, inputs[first : first + block])
        return torch.cat([part.flatten(2) for part in parts.values()], dim=2).flatten(1)

    n = len(inputs)
    gram = np.empty((n, n))
    for i in range(0, n, block):
        upper = jacobian(i)
        for j in range(0, i + 1, block):
            lower = upper if j == i else jacobian(j)
            tile = (upper @ lower.T / classes).double().cpu().numpy()
            gram[i : i + block, j : j + block] = tile
            gram[j : j + block, i : i + block] = tile.T
    return gram
