"""Kernels of a network: the empirical neural tangent kernel and the conjugate kernel, as Gram matrices.

    tangent      K(x, x') = (1/c) sum_o <grad_theta f_o(x), grad_theta f_o(x')>     over the c outputs
    conjugate    K(x, x') = <phi(x), phi(x')> + 1      phi the input of the last linear layer, 1 where it has a bias

(Jacot, Gabriel, Hongler 2018.) The network is taken as it is, fresh or trained, in evaluation mode.
"""

from __future__ import annotations

import copy
import functools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from kernelfit.deep.models.mlp import MLP
from kernelfit.errors import InputError

BLOCK_BYTES = 1 << 28  # of Jacobian held at a time for each of the two row blocks


Call = tuple[nn.Linear, Tensor, Tensor]  # a layer, what it got, what it gave


def conjugate_gram(model: nn.Module, inputs: Tensor, rows: int = 500) -> NDArray[np.float64]:
    """The conjugate kernel's Gram (n, n) of `inputs` (n, c, h, w).

    The last linear layer is the one that gives the logits, wherever it stands among the network's attributes. Raises
    InputError where none does.
    """
    calls: list[Call] = []
    linears = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    hooks = [
        layer.register_forward_hook(lambda layer, got, gave: calls.append((layer, got[0], gave)))
        for layer in linears
    ]
    features: list[Tensor] = []
    model.eval()
    try:
        with torch.no_grad():
            for first in range(0, len(inputs), rows):
                calls.clear()
                layer, phi = _last(calls, model(inputs[first : first + rows]))
                features.append(phi.double().cpu())
    finally:
        for hook in hooks:
            hook.remove()
    phi = torch.cat(features).flatten(1)
    products = phi @ phi.T
    gram: NDArray[np.float64] = (products if layer.bias is None else products + 1).numpy()
    return gram


def _last(calls: list[Call], logits: Tensor) -> tuple[nn.Linear, Tensor]:
    """The layer that gave the logits, and what it got. A subclass with a forward of its own is another function."""
    for layer, got, gave in reversed(calls):
        same = gave.data_ptr() == logits.data_ptr() and gave.shape == logits.shape
        if same and type(layer).forward is nn.Linear.forward:
            return layer, got
    raise InputError("model: no linear layer gives its logits, expected one that does")


def tangent_gram(model: nn.Module, inputs: Tensor) -> NDArray[np.float64]:
    """The empirical tangent kernel's Gram (n, n) of `inputs` (n, c, h, w), over all trainable parameters.

    `jacobian_gram` for any network; multilayer perceptrons take the closed form of `dense_gram`.
    """
    net = copy.deepcopy(model).double().eval()
    gram: NDArray[np.float64] = _gram(net, inputs.double())
    return gram


def jacobian_gram(net: nn.Module, inputs: Tensor) -> NDArray[np.float64]:
    """`tangent_gram` of any network (in evaluation mode, of the inputs' type), by its definition.

    Jacobians are made in blocks of rows and never held all at once (n * c * parameters numbers); the price is that
    those of the left block are made again for each block above it.
    """
    parameters = {name: p.detach() for name, p in net.named_parameters() if p.requires_grad}
    buffers = {name: b.detach() for name, b in net.named_buffers()}

    def outputs(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        out: Tensor = functional_call(net, (weights, buffers), (x[None],))[0]
        return out

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


@functools.singledispatch
def _gram(net: nn.Module, inputs: Tensor) -> NDArray[np.float64]:
    return jacobian_gram(net, inputs)


@_gram.register
def dense_gram(net: MLP, inputs: Tensor) -> NDArray[np.float64]:
    """Of a layer with inputs a and backward signals D_o = df_o / d(its outputs), the gradient of f_o is the outer
    product D_o a^T, so that its part of the kernel is (<a, a'> + 1) sum_o <D_o, D_o'> (the 1 is the bias).
    """
    with torch.no_grad():
        signals, active = [inputs.flatten(1)], []
        for linear in net.linears[:-1]:
            out = linear(signals[-1])
            active.append(out > 0)
            signals.append(torch.relu(out))
        last = net.linears[-1]
        classes = last.out_features
        gram = classes * (signals[-1] @ signals[-1].T + 1)
        below = last.weight.expand(len(inputs), -1, -1)  # (n, c, outputs of the layer below)
        for k in reversed(range(len(active))):
            backward = below * active[k][:, None]
            flat = backward.flatten(1)
            gram += (signals[k] @ signals[k].T + 1) * (flat @ flat.T)
            below = backward @ net.linears[k].weight if k else backward
    mean: NDArray[np.float64] = (gram / classes).double().cpu().numpy()
    return mean
