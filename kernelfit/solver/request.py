"""What is asked of a solve, checked before any row is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from kernelfit.arguments import integer
from kernelfit.errors import InputError, shown
from kernelfit.frozen import frozen
from kernelfit.gram.precision import before_choice
from kernelfit.kernels import Kernel, named, own_kernel
from kernelfit.solver.inputs import as_ridges, as_shift
from kernelfit.solver.method import CHOLESKY, Method
from kernelfit.typing import PrecisionLike, RidgeLike, Singular


@frozen
class Request:
    """What is asked of the rows, before any of them is looked at; the arguments of `kernelfit.solve`.

    `ridge` is 0 while `choose` is True: "auto" was asked for. `ridges` are those of the targets where each has its own,
    and `ridge` the least of them.
    """

    kernel: str | Kernel = "gaussian"
    gamma: float | str | None = None
    gamma_factor: float = 1.0
    kernel_params: Mapping[str, Any] = field(default_factory=dict)
    ridge: float = 0.0
    choose: bool = False
    ridges: tuple[float, ...] | None = None
    jitter: float = 0.0
    precision: PrecisionLike = "float64"
    scale: float | None = None
    seed: int = 0
    condition: bool = True
    singular: Singular = "raise"
    remember: Mapping[str, Any] = field(default_factory=dict)
    method: Method = CHOLESKY

    @classmethod
    def of(cls, *, ridge: RidgeLike = 0.0, jitter: float = 0.0, **others: Any) -> Request:
        """The same with numbers checked; raises `InputError`."""
        choose = isinstance(ridge, str) and ridge == "auto"
        ridges = None if isinstance(ridge, str) else as_ridges(ridge)
        kernel = others.get("kernel")
        if isinstance(kernel, type):
            raise InputError(f"kernel: got the class {kernel.__name__}, expected {kernel.__name__}(...)")
        if callable(kernel) and not isinstance(kernel, (str, Kernel)):
            others |= {"kernel": own_kernel(kernel, others.get("kernel_params")), "kernel_params": {}}
        if not isinstance(others.get("kernel_params", {}), Mapping):
            raise InputError(
                f"kernel_params: got {shown(others['kernel_params'])}, expected a dict of the kernel's parameters"
            )
        request = cls(
            ridge=as_shift("ridge", 0.0 if choose else ridge) if ridges is None else min(ridges),
            choose=choose,
            ridges=ridges,
            jitter=as_shift("jitter", jitter),
            **others,
        )
        before_choice(request.precision)
        if not isinstance(request.singular, str) or request.singular not in ("ridge", "raise"):
            raise InputError(f"singular: got {shown(request.singular)}, expected 'ridge' or 'raise'")
        widths = request.gamma, request.kernel_params.get("length_scale")
        if ridges is not None and any(isinstance(width, str) and width == "auto" for width in widths):
            raise InputError("ridge: got one for each target beside gamma='auto'; give gamma, or one ridge")
        integer("seed", request.seed, 0)
        return request

    @property
    def family(self) -> Kernel | type[Kernel]:
        """The kernel, or the class of that name."""
        return self.kernel if isinstance(self.kernel, Kernel) else named(self.kernel)
