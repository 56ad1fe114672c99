"""What a solve can say about itself, from quantities computed afresh after it."""

from __future__ import annotations

from dataclasses import asdict, field, fields
from pathlib import Path
from typing import Any

from kernelfit.frozen import frozen
from kernelfit.iterative.convergence import Convergence
from kernelfit.linalg.condition import EXACT
from kernelfit.solver.measures import rounding
from kernelfit.storage import schema
from kernelfit.storage.schema import Rule
from kernelfit.summary import as_html

#: annotation of a field -> what JSON gives for it
_RULES: dict[str, Rule] = {
    "int": schema.integer(),
    "bool": schema.BOOLEAN,
    "str": schema.one_of(("float64", "float32", "none")),
    "float": schema.number(0.0),
    "int | None": schema.optional(schema.integer(-1)),
    "float | None": schema.optional(schema.number(0.0)),
    "tuple[float, ...]": schema.sequence(schema.number(0.0, finite=False), 1),
}


_PART = {"ridge": schema.number(0.0), "targets": schema.sequence(schema.integer(), 1)}


@frozen
class Certificate:
    """Evidence about K alpha = Y, A = K + ridge I.

    Attributes
    ----------
    backward_error : max over columns of |y - A alpha|_inf / (|A|_inf |alpha|_inf + |y|_inf), K formed afresh: alpha
        solves exactly a system whose entries differ from A and y by this fraction of the largest row of A and of the
        largest target. The unit roundoff is 1.1e-16; rounding errors cancel, so that less is common. With sample
        weights |A| is |K| and the least ridge of a row, beside whose largest the others would be nothing
    componentwise_backward_error : max_ij |y - A alpha| / (|A| |alpha| + |y|), Oettli and Prager's: every entry of A and
        y differs by this fraction of itself, which is the stronger statement; None for a K with negative entries on a
        device
    forward_error : e / (1 - e), e the condition number times 2 (backward_error + (8 + sqrt(n)) u), at most 1: how large
        an error of alpha may be beside its largest entry; of 1 no digit is known. Nearly always too large; fitted
        values are far better than alpha. NaN where the condition number is not known, as from a float32 factor beyond
        1e6 or with a jitter. On the primal path that of the weights: e with the condition number of these, of X where
        all targets are met, and the rank for n
    residual : max |Y - A alpha|
    norm : |A|_1; on the primal path |X|_F^2, which bounds |A|_2
    condition_estimate : |A|_1 |A^-1|_1; beyond n = 64 the second is estimated: a lower bound, nearly always within a
        factor of 3. With a jitter that of A + jitter I beyond n = 64, and where refinement cannot take it away. On the
        primal path (s_1 / s_r)^2 of the singular values of X
    min_pivot, min_pivot_row : the least pivot L_ii^2 and its row of X
    weak_pivots : how many pivots are below 10 n u K_ii
    log_det : log det (A + jitter I); None on the primal path, where A is singular
    jitter : what was added to the diagonal besides the ridge
    interpolates : ridge = 0, the kernel has no noise, no iteration was to stop at a tolerance, and the equations
        without the jitter hold to rounding, see `interpolates`, of which no target without a digit is left (see
        `kernelfit.solver.measures.missed`)
    refinements : products with K that refinement took; 0 where none was needed
    factor_precision : `float64` or `float32`; min_pivot, log_det and the condition come from that factor; `none` where
        there is none
    rank : rank of K as the primal path sees it, else n
    consistent : whether an interpolant exists (always, once a factor does)
    rkhs_norm, rkhs_norm_per_column : |f| and |f_c| with |f_c|^2 = alpha_c^T K alpha_c; NaN where no digit of it is
        resolved (see `kernelfit.solver.norms`)
    rkhs_norm_error : a bound of the rounding error of a norm beside that norm, the worst column's
    by_ridge : where targets have ridges of their own, the certificate of each ridge with its `ridge`, the columns of
        its `targets` and, of an iteration, its `convergence`; the fields above are then the worst of them, and log_det
        None
    """

    backward_error: float
    componentwise_backward_error: float | None
    forward_error: float
    residual: float
    norm: float
    condition_estimate: float
    min_pivot: float | None
    min_pivot_row: int | None
    weak_pivots: int
    log_det: float | None
    jitter: float
    interpolates: bool
    refinements: int
    factor_precision: str
    rank: int
    consistent: bool
    rkhs_norm: float
    rkhs_norm_per_column: tuple[float, ...]
    rkhs_norm_error: float
    by_ridge: tuple[dict[str, Any], ...] = field(default=(), hash=False)

    def summary(self) -> str:
        """What matters, a line for each."""
        pivot = "none" if self.min_pivot is None else f"{self.min_pivot:.3g} at row {self.min_pivot_row}"
        lines = {
            "interpolates": "yes" if self.interpolates else "no",
            "RKHS norm": f"{self.rkhs_norm:.6g}",
            "backward error": f"{self.backward_error:.2g}",
            "residual": f"{self.residual:.2g}",
            "condition": f"{self.condition_estimate:.2g}",
            "smallest pivot": pivot + (f", {self.weak_pivots} weak" if self.weak_pivots else ""),
            "rank": f"{self.rank:,}",
            "log det": "none" if self.log_det is None else f"{self.log_det:.6g}",
            "factor": self.factor_precision
            + (f", jitter {self.jitter:.3g}" if self.jitter else "")
            + (f", refined {self.refinements} times" if self.refinements else ""),
        }
        return "\n".join(["Certificate", *(f"  {name:<16}{value}" for name, value in lines.items())])

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return as_html(self.summary())

    def to_dict(self) -> dict[str, Any]:
        """Its fields in JSON's types, `by_ridge` only where there are several."""
        record = asdict(self)
        if not self.by_ridge:
            del record["by_ridge"]
        return record

    @classmethod
    def of_dict(cls, path: Path, record: Any) -> Certificate:
        """The inverse of `to_dict`, of JSON in the file `path`; raises `DataError` where a field breaks its rule."""
        rules = {key.name: _RULES[str(key.type)] for key in fields(cls) if key.name != "by_ridge"}
        # Not every system knows its condition number, nor resolves every norm.
        unresolved = ("forward_error", "condition_estimate", "rkhs_norm", "rkhs_norm_error")
        rules |= dict.fromkeys(unresolved, schema.number(0.0, finite=False))
        rules["log_det"] = schema.optional(schema.number())
        schema.require(path, record, rules, "certificate")
        values = {name: record[name] for name in rules}
        if "by_ridge" in record:
            schema.require(path, record, {"by_ridge": schema.sequence(schema.OBJECT)}, "certificate")
            for part in record["by_ridge"]:
                schema.require(path, part, rules | _PART, "certificate: by_ridge")
                if "convergence" in part:
                    Convergence.of_dict(path, part["convergence"])
            values["by_ridge"] = tuple(record["by_ridge"])
        values["rkhs_norm_per_column"] = tuple(values["rkhs_norm_per_column"])
        return cls(**values)


def forward_error(condition: float, backward: float, roundoff: float, n: int) -> float:
    """Of alpha, relative to its largest entry: |A^-1| |r| with |r| <= backward (|A| |alpha| + |y|), |y| <= |A| |alpha|;
    residuals are known to (8 + sqrt(n)) u.

    `roundoff` is that of the factor which the condition number was estimated from. Where that saturates the number is a
    lower bound: NaN, where it does not promise an error of 1 all the same.
    """
    moved = 2.0 * condition * (backward + rounding(n))
    if moved > 0.5:
        return 1.0
    if n > EXACT and condition * roundoff > _SATURATED:
        return float("nan")
    return moved / (1.0 - moved)  # NaN stays


# Beyond this beside 1 / u a factor's own condition number says no more than that it is large.
_SATURATED = 0.1
#: a backward error that still counts as rounding
BACKWARD_ROUNDING = 1e-13


def interpolates(backward_error: float, met: bool) -> bool:
    """Whether Y - K alpha is rounding in every column: small beside |K| |alpha|, and, as `met` says, beside y itself.

    A K that is singular to rounding allows an alpha so large that a residual beyond y is still small beside it.
    """
    return backward_error <= BACKWARD_ROUNDING and met
