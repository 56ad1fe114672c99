"""Feature maps of images: scikit-learn transformers from rows of pixels to float32 features.

`names()` lists them, `feature_class(name)` imports one; nothing heavy is imported before.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kernelfit.errors import InputError

if TYPE_CHECKING:
    from kernelfit.features.gabor import Gabor
    from kernelfit.features.images import ImageFeatures
    from kernelfit.features.random_conv import RandomConv
    from kernelfit.features.wavelet import Wavelet
    from kernelfit.features.whitening import Whitening

__all__ = ["REGISTRY", "Gabor", "RandomConv", "Wavelet", "Whitening", "feature_class", "names"]

#: name -> (module, class, one line)
REGISTRY: dict[str, tuple[str, str, str]] = {
    "gabor": ("kernelfit.features.gabor", "Gabor", "Pooled moduli of a bank of Gabor filters."),
    "wavelet": (
        "kernelfit.features.wavelet",
        "Wavelet",
        "Pooled moduli of 2-D wavelet coefficients (PyWavelets).",
    ),
    "whitening": ("kernelfit.features.whitening", "Whitening", "Contrast normalisation and ZCA whitening."),
    "random-conv": (
        "kernelfit.features.random_conv",
        "RandomConv",
        "One-layer convolution net, random filters.",
    ),
}


def names() -> tuple[str, ...]:
    """The names that `feature_class` and the command line's `--features` know."""
    return tuple(REGISTRY)


def feature_class(name: str) -> type[ImageFeatures]:
    """The transformer called `name`, imported on use."""
    if name not in REGISTRY:
        raise InputError(f"features: got {name!r}, expected one of {', '.join(REGISTRY)}")
    module, attribute, _ = REGISTRY[name]
    found: type[ImageFeatures] = getattr(importlib.import_module(module), attribute)
    return found


def __getattr__(attribute: str) -> Any:
    for module, class_name, _ in REGISTRY.values():
        if attribute == class_name:
            return getattr(importlib.import_module(module), class_name)
    raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")
