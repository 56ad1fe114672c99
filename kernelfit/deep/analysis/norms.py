"""Margins of a trained network and the norms that generalisation bounds are made of."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kernelfit.deep.models.inception import Conv
from kernelfit.deep.models.mlp import MLP
from kernelfit.deep.models.same import same_pad
from kernelfit.errors import InputError

POWER_STEPS = 300  # of the power iteration for a convolution's operator norm
TOLERANCE = 1e-7  # relative change of the estimate at which it stops earlier


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """logit of the label minus the largest other logit, (n,): positive where the network is right."""
    own = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(dim=1)
    return own - others


def convolution_norm(layer: nn.Conv2d, shape: tuple[int, int, int], *, same: bool = False) -> float:
    """The operator norm of a convolution on inputs of `shape` (channels, height, width), by power iteration.

    `same` pads as TensorFlow does (`same_pad`). This is the norm of the linear map itself, the layer without its bias,
    not of its reshaped kernel, which can be smaller.
    """
    weight = layer.weight.detach().double()

    def apply(v: Tensor) -> Tensor:
        v = same_pad(v, layer.kernel_size[0], layer.stride[0]) if same else v
        return layer._conv_forward(v, weight, None)  # with its stride, dilation, groups and mode of padding

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


class Weighted(NamedTuple):
    """A linear or convolution layer, the module that gets its input, and whether that pads as TensorFlow does."""

    layer: nn.Module
    behind: nn.Module
    same: bool


def weighted(model: nn.Module) -> dict[str, Weighted]:
    """The linear and convolution layers by name."""
    inside = {id(m.conv) for m in model.modules() if isinstance(m, Conv)}
    by_name = {}
    for name, module in model.named_modules():
        if isinstance(module, Conv):
            by_name[name] = Weighted(module.conv, module, module.stride > 1)
        elif isinstance(module, (nn.Linear, nn.Conv2d)) and id(module) not in inside:
            by_name[name] = Weighted(module, module, False)
    return by_name


def input_shapes(model: nn.Module, example: Tensor) -> dict[str, torch.Size]:
    """The shape of what each layer of `weighted` gets for `example` (b, c, h, w), before any padding; layers that get
    nothing are left out.
    """
    shapes: dict[str, torch.Size] = {}

    def watch(name: str) -> Any:
        return lambda _, inputs: shapes.__setitem__(name, inputs[0].shape)

    hooks = [entry.behind.register_forward_pre_hook(watch(name)) for name, entry in weighted(model).items()]
    try:
        model.eval()
        with torch.no_grad():
            model(example)
    finally:
        for hook in hooks:
            hook.remove()
    return shapes


def check(model: nn.Module, example: Tensor) -> None:
    """Raise InputError for a network without a layer whose norm is known, or with one that has a way of its own."""
    shapes = input_shapes(model, example)
    if not shapes:
        raise InputError(
            f"with_norms: got {type(model).__name__} without linear layers or convolutions of images, expected one"
        )
    for name, entry in weighted(model).items():
        if type(entry.layer).forward not in (nn.Linear.forward, nn.Conv2d.forward):
            raise InputError(
                f"with_norms: got {name} ({type(entry.layer).__name__}) with a forward of its own, expected nn.Linear "
                "or nn.Conv2d, whose norm is that of the weight; a parametrisation keeps it so"
            )


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
    Batch normalisation is not folded into the weights. `left_out` names the weights of two or more dimensions that are
    in no linear or convolution layer.
    """
    check(model, example)
    before, after = weighted(initial.eval()), weighted(model)
    rows = {}
    for name, shape in input_shapes(model, example).items():
        layer = after[name].layer
        weight: Tensor = layer.weight.detach().double()
        if isinstance(layer, nn.Conv2d):
            spectral = convolution_norm(layer, (shape[1], shape[2], shape[3]), same=after[name].same)
        else:
            spectral = float(torch.linalg.matrix_norm(weight, 2))
        start: Tensor = before[name].layer.weight.detach().double().to(weight.device)
        rows[name] = {
            "spectral": spectral,
            "frobenius": float(weight.norm()),
            "distance": float((weight - start).norm()),
        }
    counted = {id(parameter) for name in rows for parameter in after[name].layer.parameters()}
    left_out = [
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim > 1 and id(parameter) not in counted
    ]
    return {
        "layers": rows,
        "spectral_product": float(
            torch.tensor([r["spectral"] for r in rows.values()], dtype=torch.double).prod()
        ),
        "frobenius": sum(r["frobenius"] ** 2 for r in rows.values()) ** 0.5,
        "distance": sum(r["distance"] ** 2 for r in rows.values()) ** 0.5,
        "path": path_norm(model),
        "left_out": left_out,
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
