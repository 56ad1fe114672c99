"""Feature maps of images: scikit-learn transformers from rows of pixels to float32 features.

`names()` lists them, `feature_class(name)` imports one; nothing heavy is imported before. A feature map is added by its
file and one line of `REGISTRY`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kernelfit.arguments import suggestion
from kernelfit.errors import InputError

if TYPE_CHECKING:
    from kernelfit.features.gabor import Gabor
    from kernelfit.features.images import ImageFeatures
    from kernelfit.features.random_conv import RandomConv
    from kernelfit.features.wavelet import Wavelet
    from kernelfit.features.whitening import Whitening

#: name -> module:class, and what it is in one line. The classes are imported when they are asked for: with them come
#: scikit-learn and Numba, which `import kernelfit` and the command line's help do without.
REGISTRY: dict[str, tuple[str, str]] = {
    "gabor": ("kernelfit.features.gabor:Gabor", "Pooled moduli of a bank of Gabor filters."),
    "wavelet": (
        "kernelfit.features.wavelet:Wavelet",
        "Pooled moduli of 2-D wavelet coefficients (PyWavelets).",
    ),
    "whitening": ("kernelfit.features.whitening:Whitening", "Contrast normalisation and ZCA whitening."),
    "random-conv": (
        "kernelfit.features.random_conv:RandomConv",
        "One-layer convolution net, random filters.",
    ),
}

__all__ = [
    "REGISTRY",
    "Gabor",
    "RandomConv",
    "Wavelet",
    "Whitening",
    "feature_class",
    "names",
    "summary",
]


def names() -> tuple[str, ...]:
    """The names that `feature_class` and the command line's `--features` know."""
    return tuple(REGISTRY)


def summary(name: str) -> str:
    """What the feature map called `name` is, in one line."""
    return REGISTRY[name][1]


def feature_class(name: str) -> type[ImageFeatures]:
    """The transformer called `name`, imported on use. Raises `InputError` for an unknown name."""
    if not isinstance(name, str) or name not in REGISTRY:
        raise InputError(
            f"features: got {name!r}, expected one of {', '.join(REGISTRY)}{suggestion(name, REGISTRY)}"
        )
    loaded: type[ImageFeatures] = _load(REGISTRY[name][0])
    return loaded


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def __getattr__(attribute: str) -> Any:
    for target, _ in REGISTRY.values():
        if target.endswith(f":{attribute}"):
            return _load(target)
    raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")
