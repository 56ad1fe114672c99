"""What an iteration ends with, whatever it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from kernelfit.iterative.stopping import Reason
from kernelfit.linalg.product import Product
from kernelfit.typing import Float

StateT = TypeVar("StateT")


@dataclass(frozen=True)
class Outcome(Generic[StateT]):
    """X (n, c) that reaches the goal, or of the least measure among those whose true residual was formed; K X formed
    anew; why it ended."""

    solution: Float
    product: Product
    reason: Reason
    detail: str
    state: StateT
