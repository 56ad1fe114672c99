"""The data sets known by name, one line each."""

from __future__ import annotations

from .cifar10 import CIFAR10
from .cifar100 import CIFAR100, CIFAR100_COARSE
from .digits import DIGITS
from .emnist import EMNIST_BALANCED, EMNIST_DIGITS, EMNIST_LETTERS
from .mnist import FASHION_MNIST, KMNIST, MNIST, QMNIST
from .spec import Spec
from .stl10 import STL10
from .svhn import SVHN

_SPECS = (
    DIGITS,
    MNIST,
    FASHION_MNIST,
    KMNIST,
    QMNIST,
    EMNIST_LETTERS,
    EMNIST_BALANCED,
    EMNIST_DIGITS,
    CIFAR10,
    CIFAR100,
    CIFAR100_COARSE,
    SVHN,
    STL10,
)

REGISTRY: dict[str, Spec] = {spec.name: spec for spec in _SPECS}
