"""Registers of the processor that Numba compiles for, and the tile of a matrix product that fills them."""

from __future__ import annotations

from numba.core.registry import cpu_target

_FEATURES = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
_AVX512 = "+avx512f" in _FEATURES  # 32 registers of 512 bits
_AVX2 = "+avx2" in _FEATURES and "+fma" in _FEATURES  # 16 of 256

#: whether the tile fills them
FILLED = _AVX512 or _AVX2
#: bytes of a register; rows of a tile and registers of each. Beside its sums, 24 or 12, there is room for a row of
#: columns and, with AVX2, for a number of the rows, which AVX-512's instructions broadcast by themselves.
REGISTER, HEIGHT, VECTORS = (32, 4, 3) if _AVX2 and not _AVX512 else (64, 8, 3)
