"""Compiled inner loops of the random convolution net: patches in, thresholded and pooled responses out.

Both run without the GIL on one thread and touch one image at a time, so that everything they read was just
written by the matrix product next to them and is still in the second-level cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.jit import njit

Float32 = NDArray[np.float32]
Cells = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]

# A patch whose values differ from their mean by less than this share of their length is flat: rounding, no contrast.
FLAT = 1e-5


@njit(nogil=True, cache=True)
def extract(
    image: Float32,
    size_y: int,
    size_x: int,
    sums: NDArray[np.float64],
    shifted: Float32,
    moments: Float32,
    contrast: tuple[float, float],
    out: Float32,
) -> None:
    """out[:, p] <- patch p of `image` with its mean removed, times the factor of `patch_statistics`.

    image (height, width, channels); out (channels size_y size_x, positions), position = y across + x with across =
    width - size_x + 1, and the values of a patch in the order (channel, row, column). Scratch: sums (2, height,
    width), shifted (height across), moments (2, positions).

    Pixels moved by j columns, laid out with `across` pixels a line, hold one column of every patch in one run for
    each row i: the loops that write `out` are as long as there are positions.
    """
    height, width, channels = image.shape
    across = width - size_x + 1
    positions = (height - size_y + 1) * across
    mean, factor = moments[0], moments[1]
    patch_statistics(image, size_y, size_x, sums, contrast, mean, factor)
    for k in range(channels):
        for j in range(size_x):
            for y in range(height):
                for x in range(across):
                    shifted[y * across + x] = image[y, x + j, k]
            for i in range(size_y):
                source = shifted[i * across : i * across + positions]
                target = out[(k * size_y + i) * size_x + j]
                for p in range(positions):
                    target[p] = (source[p] - mean[p]) * factor[p]


@njit(nogil=True, cache=True)
def patch_statistics(
    image: NDArray[Any],
    size_y: int,
    size_x: int,
    sums: NDArray[np.float64],
    contrast: tuple[float, float],
    mean: Float32,
    factor: Float32,
) -> None:
    """Mean and root / sqrt(|p - mean p|^2 + offset) of each patch p of `image`, `contrast` = (root, offset).

    With no offset the factor is 0 where a patch is flat. `sums` as in `extract`.
    """
    root, offset = contrast
    height, width, channels = image.shape
    down, across = height - size_y + 1, width - size_x + 1
    values = size_y * size_x * channels
    # Sums and sums of squares over a line of each patch. In float64 the variance survives the subtraction below.
    for y in range(height):
        for x in range(width):
            total, squares = 0.0, 0.0
            for k in range(channels):
                value = np.float64(image[y, x, k])
                total += value
                squares += value * value
            sums[0, y, x], sums[1, y, x] = total, squares
        for x in range(across):
            total, squares = 0.0, 0.0
            for j in range(size_x):
                total += sums[0, y, x + j]
                squares += sums[1, y, x + j]
            sums[0, y, x], sums[1, y, x] = total, squares
    for y in range(down):
        for x in range(across):
            total, squares = 0.0, 0.0
            for i in range(size_y):
                total += sums[0, y + i, x]
                squares += sums[1, y + i, x]
            variance = squares - total * total / values
            mean[y * across + x] = total / values
            flat = offset == 0.0 and variance <= FLAT * FLAT * squares
            factor[y * across + x] = 0.0 if flat else root / np.sqrt(max(variance, 0.0) + offset)


@njit(nogil=True, cache=True, fastmath={"nnan", "nsz", "reassoc", "contract"})
def pool(
    responses: Float32,
    width: int,
    cells: Cells,
    thresholds: tuple[Float32, Float32],
    sums: Float32,
    out: Float32,
) -> None:
    """out <- window averages of max(r - above, 0) and max(-r - below, 0).

    responses (positions or more, filters or more), position = y width + x; thresholds: above, below (filters,). `cells`
    are the rows, columns, row_windows and column_windows: `rows` and `columns` are the sorted cuts that split the
    response image into cells no window boundary crosses; window w covers the cells row_windows[w, 0] :
    row_windows[w, 1]. Each response is read once: it is added to its cell, and the cells
    are added up to windows. sums (2 (windows + 1), filters) is scratch; out (filters * 2 * windows,), ordered (filter,
    sign, window), windows in C order.
    """
    rows, columns, row_windows, column_windows = cells
    above, below = thresholds
    filters = above.size
    down, across = row_windows.shape[0], column_windows.shape[0]
    windows = down * across
    sums[...] = np.float32(0)
    positive, negative = sums[2 * windows], sums[2 * windows + 1]
    zero = np.float32(0)
    for a in range(rows.size - 1):
        for b in range(columns.size - 1):
            positive[:] = zero
            negative[:] = zero
            for y in range(rows[a], rows[a + 1]):
                x = columns[b]
                # Three responses a pass share one load and store of the cell's sums; cells of the usual windows
                # (15 wide, 6 apart) are multiples of three wide.
                while x + 3 <= columns[b + 1]:
                    p = y * width + x
                    for f in range(filters):
                        t, u = above[f], below[f]
                        r0, r1, r2 = responses[p, f], responses[p + 1, f], responses[p + 2, f]
                        positive[f] += max(r0 - t, zero) + max(r1 - t, zero) + max(r2 - t, zero)
                        negative[f] -= min(r0 + u, zero) + min(r1 + u, zero) + min(r2 + u, zero)
                    x += 3
                while x < columns[b + 1]:
                    p = y * width + x
                    for f in range(filters):
                        positive[f] += max(responses[p, f] - above[f], zero)
                        negative[f] -= min(responses[p, f] + below[f], zero)
                    x += 1
            for v in range(down):
                if row_windows[v, 0] <= a < row_windows[v, 1]:
                    for w in range(across):
                        if column_windows[w, 0] <= b < column_windows[w, 1]:
                            cell = v * across + w
                            for f in range(filters):
                                sums[cell, f] += positive[f]
                                sums[windows + cell, f] += negative[f]
    for v in range(down):
        height = rows[row_windows[v, 1]] - rows[row_windows[v, 0]]
        for w in range(across):
            length = columns[column_windows[w, 1]] - columns[column_windows[w, 0]]
            share = np.float32(1) / np.float32(height * length)
            cell = v * across + w
            for f in range(filters):
                out[2 * windows * f + cell] = sums[cell, f] * share
                out[2 * windows * f + windows + cell] = sums[windows + cell, f] * share


@njit(nogil=True, cache=True)
def round_to_steps(values: Float32, steps: np.float32, unit: np.float32, out: NDArray[Any]) -> None:
    """out <- unit min(round(values steps), 255), halves to even; values >= 0, steps a power of two."""
    for k in range(values.size):
        out[k] = unit * min(np.rint(values[k] * steps), np.float32(255))
