"""Inner products of float64 rows with each other, of some hundred rows, which are not packed.

The sums of 4 x 4 pairs run side by side along the features, several lanes each, and only those on and below the
diagonal are formed. A product with d terms in each of w lanes errs by (d / w + log2 w) u at most, where a sum in the
order of the features errs by d u. The lanes depend on the CPU alone, so that the same rows give the same bits.
"""

from __future__ import annotations

from typing import Any

from kernelfit.cpu.jit import njit

#: rows beyond which packing pays
MAX_ROWS = 128


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def multiply_square(rows: Any, out: Any) -> None:
    """out (n, n) <- <x_i, x_j> for C-ordered rows (n, d)."""
    n, d = rows.shape
    for top in range(0, n, 4):
        # Beyond the last row it stands for those that a tile of four has not.
        i1, i2, i3 = min(top + 1, n - 1), min(top + 2, n - 1), min(top + 3, n - 1)
        p0, p1, p2, p3 = rows[top], rows[i1], rows[i2], rows[i3]
        for left in range(0, top + 1, 4):
            j1, j2, j3 = min(left + 1, n - 1), min(left + 2, n - 1), min(left + 3, n - 1)
            q0, q1, q2, q3 = rows[left], rows[j1], rows[j2], rows[j3]
            s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = 0.0
            s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = 0.0
            for k in range(d):
                a0, a1, a2, a3 = p0[k], p1[k], p2[k], p3[k]
                b0, b1, b2, b3 = q0[k], q1[k], q2[k], q3[k]
                s00, s01, s02, s03 = s00 + a0 * b0, s01 + a0 * b1, s02 + a0 * b2, s03 + a0 * b3
                s10, s11, s12, s13 = s10 + a1 * b0, s11 + a1 * b1, s12 + a1 * b2, s13 + a1 * b3
                s20, s21, s22, s23 = s20 + a2 * b0, s21 + a2 * b1, s22 + a2 * b2, s23 + a2 * b3
                s30, s31, s32, s33 = s30 + a3 * b0, s31 + a3 * b1, s32 + a3 * b2, s33 + a3 * b3
            for i, (t0, t1, t2, t3) in (
                (top, (s00, s01, s02, s03)),
                (i1, (s10, s11, s12, s13)),
                (i2, (s20, s21, s22, s23)),
                (i3, (s30, s31, s32, s33)),
            ):
                out[i, left], out[i, j1], out[i, j2], out[i, j3] = t0, t1, t2, t3
    for i in range(n):
        for j in range(i):
            out[j, i] = out[i, j]
