"""The random convolution kernel, run on the host, against the transformer of kernelfit.features."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.device import launches
from kernelfit.features import RandomConv


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize(
    ("image_shape", "options"),
    [
        ((12, 12, 1), {"n_filters": 5, "patch_size": 3, "pool_size": 4, "pool_stride": 3}),
        ((32, 32, 3), {"n_filters": 67, "patch_size": 6}),
        ((9, 14, 2), {"n_filters": 64, "patch_size": 5, "pooling": "quadrants", "threshold": 0.3}),
        ((4, 4, 1), {"n_filters": 3, "patch_size": 6}),
        ((12, 12, 1), {"n_filters": 5, "patch_size": 3, "threshold": 0.2, "quantise": True}),
        ((12, 12, 1), {"n_filters": 5, "patch_size": 3, "contrast": "var10", "power": 0.5}),
        ((12, 12, 1), {"n_filters": 5, "patch_size": 3, "contrast": "var10", "power": 0.5, "quantise": True}),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_block_of_filters_is_that_of_the_transformer(rng, emulated, image_shape, options, dtype, order):
    d = int(np.prod(image_shape))
    images = rng.integers(0, 256, (3, d)).astype(dtype)
    images[1] = 7  # flat patches
    net = RandomConv(image_shape, n_patches=500, random_state=1, threads=1, **options)
    training = rng.integers(0, 256, (20, d))
    # The other contrast is that of bytes.
    net.fit(training.astype(np.uint8 if net.contrast == "var10" else dtype))
    start, stop = (0, 5) if options["n_filters"] == 5 else (1, options["n_filters"])
    expected = net.filter_block(images, start, stop)
    memory = emulated()
    blocks = [memory.put(array) for array in net.device_arrays(start, stop)]
    sizes = (net.image_shape_, net.patch_shape_[:2])
    device_net = launches.Net(*sizes, net.step_, net.contrast_terms, net.power, *blocks)
    assert device_net.windows == net.n_windows_
    pixels = memory.put(images)
    positions = int(np.prod(device_net.responses))
    statistics = memory.empty(3, 2 * positions, np.float32)
    out = memory.empty(3, expected.shape[1], np.float32, stride=expected.shape[1] + 3)
    memory.launch(launches.patch_statistics(memory.address, device_net, pixels, statistics), order)
    memory.launch(launches.random_conv(memory.address, device_net, pixels, statistics, out), order)
    # Float32 sums over patches and windows, in another order; near the middle of two steps they decide.
    assert np.abs(memory.view(out) - expected).max() <= max(
        net.step_, 2e-5 * max(1.0, np.abs(expected).max())
    )
    if net.step_:
        assert np.array_equal(memory.view(out) / net.step_, np.rint(memory.view(out) / net.step_))
        assert (memory.view(out) == expected).mean() > 0.99
