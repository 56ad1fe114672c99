"""The processor that Numba compiles for, its registers, and the tile of a matrix product that fills them."""

from __future__ import annotations

from numba.core.registry import cpu_target

_, _NAME, _FEATURES = cpu_target.target_context.codegen().magic_tuple()

#: LLVM's name of the processor, and of what it has beyond the least of its kind
PROCESSOR: str = _NAME
INSTRUCTIONS = frozenset(each[1:] for each in _FEATURES.split(",") if each.startswith("+"))

_AVX512 = "avx512f" in INSTRUCTIONS  # 32 registers of 512 bits
_AVX2 = {"avx2", "fma"} <= INSTRUCTIONS  # 16 of 256

#: whether the tile fills them
FILLED = _AVX512 or _AVX2
#: bytes of a register; rows of a tile and registers of each. Beside its sums, 24 or 12, there is room for a row of
#: columns and, with AVX2, for a number of the rows, which AVX-512's instructions broadcast by themselves.
REGISTER, HEIGHT, VECTORS = (32, 4, 3) if _AVX2 and not _AVX512 else (64, 8, 3)

# Instructions on which it depends how sums are added and products rounded.
_ROUNDING = ("avx2", "fma", "avx512f", "sve")


def compiled_for() -> str:
    """The processor that is compiled for, and which of the wide instructions it has: of these, too, and not of the
    source alone, it depends what the last bits are."""
    return " ".join([PROCESSOR, *(each for each in _ROUNDING if each in INSTRUCTIONS)])
