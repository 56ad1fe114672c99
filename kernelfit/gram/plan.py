"""What a solve will do and need: the record that is printed, stored with a run, and followed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from kernelfit.gram.costs import Costs
from kernelfit.gram.layout import PanelLayout
from kernelfit.summary import as_html

# Columns of L^-1 at a time, at least: fewer would cost the products their speed and save little.
_MIN_COLUMNS = 64


@dataclass(frozen=True, repr=False)
class Plan:
    """What a solve will do and need; `kernelfit plan` prints it.

    Bytes of `memory` are the peak of arrays together with the interpreter's own `INTERPRETER` bytes; seconds are
    predicted from a measured GEMM rate where one is given. `cache` tells what mixed precision keeps in memory between
    refinements: `none`, `inner products` (float32, exact) or `gram` (float64). On the tier `device` the bytes of
    `workspace` are the device's. On the disk tier `rows_at_once` rows of a panel are read at a time, `bytes_read` bytes
    while factoring and `bytes_read_solve` for each solve with the factor, whatever its right-hand sides;
    `bytes_written` are written once. The solver `pcg` has a preconditioner of `rank` in place of a factor, and K in
    memory or, on the tier `generated`, formed anew for every product; `predicted_seconds` are then those of all but
    the iterations, and `seconds_iteration` those of each. `askotch` has blocks of `rank` rows.
    """

    n: int
    d: int
    n_rhs: int
    precision: str
    tier: str
    panel_width: int
    panels: int
    threads: int
    bytes_factor: int
    bytes_points: int
    bytes_workspace: int
    bytes_memory: int
    bytes_disk: int
    rows_at_once: int
    bytes_read: int
    bytes_read_solve: int
    bytes_written: int
    memory_limit: int
    cache: str
    flops_gram: float
    flops_factor: float
    flops_solve: float
    flops_certify: float
    flops_refine: float
    predicted_seconds: float | None
    solver: str = "cholesky"
    rank: int = 0
    seconds_iteration: float | None = None

    @classmethod
    @lru_cache(maxsize=32)  # plans are looked at, not changed
    def in_memory(cls, costs: Costs, memory_limit: int) -> Plan:
        """The ram tier with nothing cached or written, whether it fits or not."""
        return cls(
            n=costs.n,
            d=costs.d,
            n_rhs=costs.n_rhs,
            precision=costs.precision,
            tier="ram",
            panel_width=costs.layout.width,
            panels=costs.layout.count,
            threads=costs.threads,
            bytes_factor=costs.bytes_factor,
            bytes_points=costs.bytes_points,
            bytes_workspace=costs.bytes_workspace,
            bytes_memory=costs.bytes_held + costs.bytes_factor,
            bytes_disk=0,
            rows_at_once=costs.n,
            bytes_read=0,
            bytes_read_solve=0,
            bytes_written=0,
            memory_limit=memory_limit,
            cache="none",
            flops_gram=costs.flops_gram,
            flops_factor=costs.flops_factor,
            flops_solve=costs.flops_solve,
            flops_certify=costs.flops_certify,
            flops_refine=costs.flops_refine(cached=False),
            predicted_seconds=None,
        )

    @property
    def has_factor(self) -> bool:
        return self.solver == "cholesky"

    @cached_property
    def layout(self) -> PanelLayout:
        return PanelLayout(self.n, self.panel_width)

    @property
    def inverse_columns(self) -> int:
        """Columns of L^-1 that leave-one-out may hold: a panel's, or what the memory has room for beside the factor.

        On disk they take the place of the panel in the making, which is planned for. A run that was begun on a device
        has its factor there when it is resumed on the CPU.
        """
        if self.tier in ("disk", "device"):
            return self.panel_width
        room = self.memory_limit - (self.bytes_memory - self.bytes_workspace)
        size = 8 if self.precision == "float64" else 4
        return max(_MIN_COLUMNS, min(self.panel_width, room // (self.n * size)))

    def timed(self, gemm_rate: float, gram_speed: float = 1.0) -> Plan:
        """With the seconds predicted from `gemm_rate` in float64 flop/s, of which inner products run at `gram_speed`
        times."""
        # Single precision doubles the rate of products; solves with few right-hand sides move bytes instead
        # (about 20 GB/s), four passes over the factor.
        gram_rate = gemm_rate * gram_speed
        factor_rate = gemm_rate * (1.0 if self.precision == "float64" else 2.0)
        seconds = (
            self.flops_factor / (0.95 * factor_rate)
            + 2.0 * self.flops_gram / (0.8 * gram_rate)
            + self.flops_refine / (0.8 * gram_rate)
            + 6.0 * self.bytes_factor / 20e9
        )
        return replace(self, predicted_seconds=seconds)

    def summary(self) -> str:
        """What matters, a line for each; sizes in bytes."""
        sides = "side" if self.n_rhs == 1 else "sides"
        lines = {
            "rows, features": f"{self.n:,} x {self.d:,}, {self.n_rhs} right-hand {sides}",
            **self._stored(),
            "panels": f"{self.panels:,} of {self.panel_width:,} columns",
            "memory": f"{self.bytes_memory:,} bytes of {self.memory_limit:,}",
        }
        if self.cache != "none":
            lines["kept"] = f"{self.cache}, in memory between refinements"
        if self.bytes_disk:
            lines["disk"] = f"{self.bytes_disk:,} bytes, {self.bytes_read:,} read"
        lines["flops"] = f"{self.flops_factor:.3g} of the factor, {self.flops_gram:.3g} of K"
        if self.predicted_seconds is not None:
            lines["time"] = f"{self.predicted_seconds:.3g} s predicted, {self.threads} threads"
        if self.seconds_iteration is not None:
            lines["time"] += f", and {self.seconds_iteration:.3g} s for each iteration"
        return "\n".join(["Plan", *(f"  {name:<16}{value}" for name, value in lines.items())])

    def _stored(self) -> dict[str, str]:
        if self.has_factor:
            return {"factor": f"{self.precision}, {self.tier} tier, {self.bytes_factor:,} bytes"}
        if self.solver == "askotch":
            return {"solver": f"sketch-and-project, blocks of {self.rank:,} rows, K formed anew"}
        gram = "K in memory in float32" if self.tier == "ram" else "K formed anew for every product"
        return {
            "solver": f"conjugate gradients, {gram}, preconditioner of rank {self.rank:,}",
            "stored": f"{self.bytes_factor:,} bytes",
        }

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return as_html(self.summary())

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
