"""Margins of a trained network and the norms that generalisation bounds are made of."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernelfit.deep.models.inception import Conv
from kernelfit.deep.models.mlp import MLP
from kernelfit.deep.models.same import same_pad

POWER_STEPS = 300  # of the power iteration for a convolution's operator norm
TOLERANCE = 1e-7  # relative change of the estimate at which it stops earlier


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """logit of the label minus the largest other logit, (n,): positive where the network is right."""
    own = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(dim=1)
    return own - others


def convolution_norm(layer: nn.Conv2d, shape: tuple[int, int, int], *, same: bool = False) -> float:
    """The operator norm of a convolution on inputs of `shape` (channels, height, width), by power iteration.

    `same` pads as TensorFlow does (`same_pad`). This is the norm of the linear map itself, not of its
    reshaped kernel, which can be smaller.
    """
    weight = layer.weight.detach().double()

    def apply(v: Tensor) -> Tensor:
        v = same_pad(v, layer.kernel_size[0], layer.stride[0]) if same else v
        return F.conv2d(v, weight, stride=layer.stride, padding=layer.padding)

    generator = torch.Generator().manual_seed(0)
    v = torch.randn((1, *shape), dtype=torch.double, generator=generator).to(weight.device)
    estimate = 0.0
    for _ in range(POWER_STEPS):
        v = v / v.norm()
        out, pull = torch.func.vjp(apply, v)
        before, estimate = estimate, float(out.norm())
        if abs(estimate - before) <= TOLERANCE * estimate:
            break
        v = pull(out)[0]
    return estimate


def layers(model: nn.Module, example: Tensor) -> dict[str, tuple[nn.Module, Tensor, bool]]:
    """Linear and convolution layers by name, each with the input it gets for `example` (b, c, h, w), and whether
    it sits behind TensorFlow's padding (then the input is the one before the padding).
    """
    seen: dict[str, tuple[nn.Module, Tensor, bool]] = {}
    hooks = []

    def watch(name: str, layer: nn.Module, same: bool) -> Any:
        return lambda _, inputs: seen.__setitem__(name, (layer, inputs[0].detach(), same))

    inside = {id(m.conv) for m in model.modules() if isinstance(m, Conv)}
    for name, module in model.named_modules():
        if isinstance(module, Conv):
            hooks.append(module.register_forward_pre_hook(watch(name, module.conv, module.stride > 1)))
        elif isinstance(module, (nn.Linear, nn.Conv2d)) and id(module) not in inside:
            hooks.append(module.register_forward_pre_hook(watch(name, module, False)))
    try:
        model.eval()
        with torch.no_grad():
            model(example)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


@functools.singledispatch
def path_norm(model: nn.Module) -> float | None:
    """None: pools and normalisations have no path expansion. Of an MLP, see `mlp_path_norm`."""
    return None


@path_norm.register
def mlp_path_norm(model: MLP) -> float:
    """sqrt of the sum over all paths from input to output of the product of squared weights (biases left out)."""
    total = torch.ones(
        model.linears[0].in_features, dtype=torch.double, device=model.linears[0].weight.device
    )
    for linear in model.linears:
        total = linear.weight.detach().double().square() @ total
    return float(total.sum().sqrt())


def norms(model: nn.Module, initial: nn.Module, example: Tensor) -> dict[str, Any]:
    """Spectral and Frobenius norm and distance from initialisation of each layer's weights, and over all layers
    their product, root sum of squares, and distance; and `path_norm`.

    `initial` is the same model freshly built with the run's seed; `example` (1, c, h, w) gives the layers' sizes.
    Batch normalisation is not folded into the weights.
    """
    start = dict(initial.named_parameters())
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    rows = {}
    for name, (layer, inputs, same) in layers(model, example).items():
        weight: Tensor = layer.weight.detach().double()
        if isinstance(layer, nn.Conv2d):
            height, width = inputs.shape[-2:]
            spectral = convolution_norm(layer, (inputs.shape[1], height, width), same=same)
        else:
            spectral = float(torch.linalg.matrix_norm(weight, 2))
        before = start[names[id(layer.weight)]].detach().double().to(weight.device)
        rows[name] = {
            "spectral": spectral,
            "frobenius": float(weight.norm()),
            "distance": float((weight - before).norm()),
        }
    return {
        "layers": rows,
        "spectral_product": float(
            torch.tensor([r["spectral"] for r in rows.values()], dtype=torch.double).prod()
        ),
        "frobenius": sum(r["frobenius"] ** 2 for r in rows.values()) ** 0.5,
        "distance": sum(r["distance"] ** 2 for r in rows.values()) ** 0.5,
        "path": path_norm(model),
    }


def margin_summary(logits: Tensor, labels: Tensor, spectral_product: float) -> dict[str, Any]:
    """Smallest margin and deciles of the margins, and the deciles divided by the product of spectral norms."""
    values = margins(logits.double(), labels)
    deciles = torch.quantile(values, torch.linspace(0.1, 0.9, 9, dtype=torch.double, device=values.device))
    return {
        "min": float(values.min()),
        "deciles": deciles.tolist(),
        "normalised_deciles": (deciles / spectral_product).tolist(),
    }
