"""What a share takes of the GPU of its worker, and which of its rows lie there: pure arithmetic."""

from __future__ import annotations

from kernelfit.cluster.deal import Deal
from kernelfit.device.protocol import aligned
from kernelfit.gram.layout import PanelLayout

#: tiles that blocks of the host pass through: one is read while the other is filled
STAGED = 2
# Fewer right-hand sides at a time would read the factor more often.
_MIN_COLUMNS = 32
# Strips that a tile of K takes at most: two products, L1 distances, the user's values.
_STRIPS = 4
# Blocks of the slab beside rows of L, each of which begins at a multiple of the alignment.
_BLOCKS = 64


def columns_of(n_rhs: int) -> int:
    """Right-hand sides that are on the device at a time: those of the certificate's products, or a few."""
    return max(_MIN_COLUMNS, 2 * n_rhs + 1)


def fixed_bytes(layout: PanelLayout, size: int, row_bytes: int, columns: int) -> int:
    """Bytes of the slab beside rows of L of numbers of `size` bytes, with `row_bytes` for each training row.

    Rows with their vectors and a shift; strips and a tile of K; the block row in use with its square, what the square
    was, and as much for potrf; right-hand sides, products and sums; rows that are predicted.
    """
    n, width = layout.n, layout.width
    tile = aligned(width * width * size)
    return (
        aligned(n * (row_bytes + 8))
        + (_STRIPS + 1) * aligned(width * width * 8)
        + (layout.count + 3) * tile
        + passing_bytes(layout, size)
        + predicted_bytes(layout, row_bytes)
        + 2 * aligned(n * columns * 8)
        + aligned(n * 8)
        + _BLOCKS * aligned(1)
    )


def passing_bytes(layout: PanelLayout, size: int) -> int:
    """Of tiles that blocks of the host are built in, and pass through."""
    return (1 + STAGED) * aligned(layout.width**2 * size)


def predicted_bytes(layout: PanelLayout, row_bytes: int) -> int:
    """Of rows that are predicted at a time, as many as a block has."""
    return aligned(layout.width * row_bytes) + _BLOCKS * aligned(1)


def row_bytes(deal: Deal, i: int, size: int) -> int:
    """Bytes of the slab for block row i, of numbers of `size` bytes."""
    return aligned((i + 1) * deal.height(i) * deal.layout.width * size)


def resident_rows(deal: Deal, share: int, size: int, room: int) -> list[int]:
    """The last block rows of a share that fit into `room` bytes together, ascending."""
    rows: list[int] = []
    for i in reversed(deal.rows(share)):
        room -= row_bytes(deal, i, size)
        if room < 0:
            break
        rows.insert(0, i)
    return rows
