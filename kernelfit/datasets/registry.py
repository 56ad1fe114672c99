"""The data sets known by name, one line each."""

from __future__ import annotations

from .cifar10 import CIFAR10
from .digits import DIGITS
from .mnist import FASHION_MNIST, MNIST
from .spec import Spec

REGISTRY: dict[str, Spec] = {spec.name: spec for spec in (DIGITS, MNIST, FASHION_MNIST, CIFAR10)}
