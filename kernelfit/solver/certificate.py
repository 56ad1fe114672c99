"""What a solve can say about itself, from quantities computed afresh after it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kernelfit.typing import Float


@dataclass(frozen=True)
class Certificate:
    """Evidence about K alpha = Y, A = K + ridge I.

    Attributes
    ----------
    backward_error : max over columns of |y - A alpha|_inf / (|A|_inf |alpha|_inf + |y|_inf), K formed afresh
    residual : max |Y - A alpha|
    norm : |A|_1; on the primal path |X|_F^2, which bounds |A|_2
    condition_estimate : |A|_1 times an estimate of |A^-1|_1 (a lower bound, nearly always within a factor of 3)
    min_pivot, min_pivot_row : the least pivot L_ii^2 and its row
    weak_pivots : how many pivots are below 10 n u K_ii
    log_det : log det (A + jitter I); None on the primal path, where A is singular
    jitter : what was added to the diagonal besides the ridge
    interpolates : ridge = 0 and the equations without the jitter hold to rounding, see `interpolates`
    refinements : products with K that refinement took; 0 where none was needed
    factor_precision : `float64` or `float32`; min_pivot, log_det and the condition come from that factor
    rank : rank of K as the primal path sees it, else n
    consistent : whether an interpolant exists (always, once a factor does)
    rkhs_norm, rkhs_norm_per_column : |f| and |f_c| with |f_c|^2 = alpha_c^T K alpha_c
    """

    backward_error: float
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

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def rkhs_norms(alpha: Float, fitted: Float) -> Float:
    """|f_c| (c,) from alpha (n, c) and K alpha (n, c); a negative square is a rounding error of a zero function."""
    norms: Float = np.sqrt(np.maximum(np.einsum("ij,ij->j", alpha, fitted), 0.0))
    return norms


#: backward error, and residual relative to the largest target, that still count as rounding
_ROUNDING = 1e-13
_RESIDUAL = 1e-6


def interpolates(backward_error: float, residual: Float, targets: Float) -> bool:
    """Whether Y - K alpha is rounding in every column: small beside |K| |alpha|, and beside y itself.

    A K that is singular to rounding allows an alpha so large that a residual beyond y is still small beside it.
    """
    met = np.abs(residual).max(axis=0) <= _RESIDUAL * np.abs(targets).max(axis=0)
    return backward_error <= _ROUNDING and bool(met.all())
