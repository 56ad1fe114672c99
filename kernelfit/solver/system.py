"""A system: what depends on K but not on the right-hand sides, and what it does with right-hand sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from kernelfit.cpu.pool import CpuBackend
from kernelfit.frozen import frozen_of_arrays
from kernelfit.gram.plan import Plan
from kernelfit.gram.points import Points
from kernelfit.iterative.convergence import Convergence
from kernelfit.linalg.cholesky import Pivots
from kernelfit.linalg.product import Product
from kernelfit.progress import Notes, Progress
from kernelfit.runs.folder import Run
from kernelfit.solver.problem import Problem
from kernelfit.typing import Float


@frozen_of_arrays
class Solved:
    """alpha (n, c) before it is certified.

    `product` is K alpha with K formed afresh, where refinement has formed it; `products` how many products refinement
    took, `seconds` what fresh ones took, `error` its backward error. `convergence` is that of an iteration.
    """

    alpha: Float
    product: Product | None = None
    products: int = 0
    seconds: float = 0.0
    error: float = 0.0
    convergence: Convergence | None = None


class System(Protocol):
    """A = K + ridge I with its factor or its preconditioner, on the CPU or on devices.

    Attributes
    ----------
    problem, plan : what is solved, and how
    backend : threads of the CPU
    run : where panels are recorded; None where nothing is
    seconds : `gram` and `factor`
    traffic : bytes of the factor that the factorisation moved
    """

    problem: Problem
    plan: Plan
    backend: CpuBackend
    run: Run | None
    seconds: dict[str, float]
    traffic: dict[str, int]

    @property
    def name(self) -> str:
        """The CPU, the names of the devices, or how many workers, and how many of those on GPUs, as it is now."""
        ...

    @property
    def pivots(self) -> Pivots | None:
        """What the diagonal of L tells; None where there is no factor."""
        ...

    @property
    def closed(self) -> bool:
        """Whether the factor has been given back."""
        ...

    @property
    def bytes_read(self) -> int:
        """Bytes of the factor read from a disk so far."""
        ...

    def factorise(self, progress: Progress, after_panel: Callable[[int], None] | None = None) -> None:
        """K + (ridge + jitter) I = L L^T; `after_panel` is called when a panel is finished.

        Raises `NotPositiveDefiniteError`.
        """
        ...

    def solve(self, targets: Float, progress: Progress) -> Solved:
        """alpha (n, c) for targets (n, c), not certified yet."""
        ...

    def apply_inverse(self, vectors: Float) -> Float:
        """(L L^T)^-1 V (n, c) as the factor has it: with the jitter, in its precision, and not refined."""
        ...

    def apply_lower_inverse(self, vectors: Float) -> Float:
        """L^-1 V (n, c), as `apply_inverse`."""
        ...

    def product(
        self, vectors: Float, progress: Progress, name: str, *, with_norm: bool = False, fresh: bool = True
    ) -> Product:
        """K V (n, c); `with_norm` also |K|_1, and |K| |V| unless a device meets negative entries.

        `fresh`: K is formed for this product.
        """
        ...

    def inverse_norm(self) -> float:
        """|(L L^T)^-1|_1, estimated once."""
        ...

    def inverse_diagonal(self, progress: Progress) -> Float:
        """diag((L L^T)^-1) (n,)."""
        ...

    def predict(self, rows: Points, alpha: Float, progress: Progress) -> Float:
        """k(rows, training rows) alpha (m, c)."""
        ...

    def fall_back(self, notes: Notes) -> System:
        """The same system in float64, not factored yet, its run begun again; this one is closed."""
        ...

    def close(self) -> None:
        """Give back the memory, files or devices of the factor; more often than once does no harm."""
        ...
