"""The random convolution net on a device: blocks of filters, and the linear Gram summed over them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.features.random_conv import RandomConv


def net_arrays(net: RandomConv, start: int, stop: int) -> tuple[NDArray[Any], ...]:
    """What `kernelfit.backends.launches.Net` holds of filters start:stop, as arrays, in its order."""
    _, width, channels = net.image_shape_
    down, across, _ = net.patch_shape_
    # Values of a patch are numbered (channel, row, column), as `kernelfit.features.patches.extract` has them.
    channel, row, column = np.indices((channels, down, across)).reshape(3, -1)
    spans = [
        cuts[windows].astype(np.int64)
        for cuts, windows in (
            (net._row_cuts, net._row_windows),
            (net._column_cuts, net._column_windows),
        )
    ]
    return (
        ((row * width + column) * channels + channel).astype(np.int64).reshape(-1, 1),
        np.ascontiguousarray(net._folded[:, start:stop]),
        net._above[start:stop].reshape(-1, 1),
        net._below[start:stop].reshape(-1, 1),
        *spans,
    )
