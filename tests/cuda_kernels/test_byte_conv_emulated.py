"""Responses of images of bytes through the tensor cores, run on the host: integers bit for bit, and the features."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.device import launches
from kernelfit.device.protocol import ByteFilters, Net
from kernelfit.features import RandomConv
from kernelfit.features.byte_responses import device_filters, device_places


def take(memory, net: RandomConv, start: int, stop: int) -> Net:
    sizes = (net.image_shape_, net.patch_shape_[:2])
    blocks = [memory.put(array) for array in net.device_arrays(start, stop)]
    filters = ByteFilters(*(memory.put(array) for array in net.device_bytes(start, stop)))
    return Net(*sizes, net.step_, net.contrast_terms, net.power, *blocks, filters)


def spans(count: int) -> np.ndarray:
    """Single places, four at most, the first and the last among them."""
    places = np.unique(np.linspace(0, count - 1, min(count, 4)).astype(np.int64))
    return np.stack([places, places + 1], axis=1)


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize(
    ("image", "patch", "count"),
    [
        ((12, 12, 1), (3, 3), 5),
        ((14, 13, 3), (6, 6), 65),
        ((9, 14, 2), (5, 4), 64),
        ((4, 4, 1), (4, 4), 1),
        ((3, 80, 1), (3, 3), 33),  # a row of responses is more than are formed at a time
        ((16, 15, 2), (9, 9), 3),  # filters of 192 bytes come in two pieces
        ((16, 17, 2), (16, 16), 2),  # of 512 bytes in four
        ((80, 2, 1), (2, 2), 9),  # many rows of one response
    ],
)
def test_every_response_is_exact(rng, emulated, image, patch, count, order):
    height, width, channels = image
    down, across = height - patch[0] + 1, width - patch[1] + 1
    assert launches.takes_bytes(image, patch)
    pixels = rng.integers(0, 256, (2, height * width * channels)).astype(np.uint8)
    pixels[0, : width * channels] = 255
    values = rng.integers(-32_640, 32_640, (count, *patch, channels)).astype(np.int16)
    # The largest there are: values of a filter add up to zero.
    values[0].reshape(-1)[: values[0].size // 2] = -32_640
    values[0].reshape(-1)[values[0].size // 2 :] = 32_639
    units = rng.uniform(0.5, 2, count).astype(np.float32)
    factors = rng.uniform(0.5, 2, (2, down * across, 1)).astype(np.float32)
    memory = emulated()
    arrays = (
        device_places(image, (*patch, channels)),
        device_filters(values.reshape(count, -1), (*patch, channels)),
        units,
    )
    zero, spanned = memory.put(np.zeros(count, np.float32)), [memory.put(spans(n)) for n in (down, across)]
    filters = ByteFilters(*map(memory.put, arrays))
    net = Net(image, patch, 0.0, (1.0, 0.0), 1.0, zero, zero, zero, zero, *spanned, filters)
    given = np.concatenate([np.full_like(factors, np.nan), factors], axis=2).reshape(2, -1)
    out = memory.empty(2, 2 * net.windows * count, np.float32, stride=2 * net.windows * count + 3)
    launch = launches.random_conv(memory.address, net, memory.put(pixels), memory.put(given), out)
    assert launch.entry == "random_conv_bytes"
    memory.launch(launch, order)
    patches = np.lib.stride_tricks.sliding_window_view(
        pixels.reshape(2, height, width, channels).astype(np.int64), (*patch, channels), (1, 2, 3)
    )
    sums = np.einsum("nyxcijk,fijk->nyxf", patches, values.astype(np.int64))
    assert np.abs(sums).max() < 2**31
    expected = sums.astype(np.float32) * units * factors.reshape(2, down, across, 1)
    places = [memory.view(block)[:, 0] for block in spanned]
    expected = expected[:, places[0]][:, :, places[1]].reshape(2, net.windows, count)
    expected = np.stack([np.maximum(expected, 0), np.maximum(-expected, 0)]).transpose(1, 3, 0, 2)
    assert np.array_equal(memory.view(out), expected.reshape(2, -1))
    assert memory.bank_conflicts() == 0


@pytest.mark.parametrize(
    ("image", "options"),
    [
        ((18, 18, 3), {"n_filters": 67, "patch_size": 6, "pool_size": 6, "pool_stride": 4}),
        ((28, 28, 1), {"n_filters": 10, "patch_size": 6, "contrast": "unit", "power": 1.0}),
        ((9, 14, 2), {"n_filters": 64, "patch_size": 5, "pooling": "quadrants", "threshold": 0.3}),
    ],
)
def test_features_are_those_of_integer_responses(rng, emulated, image, options):
    images = rng.integers(0, 256, (2, int(np.prod(image)))).astype(np.uint8)
    images[1, : len(images[1]) // 2] = 7  # flat patches
    net = RandomConv(image, n_patches=500, quantise=True, threads=1, **options).fit(images)
    memory = emulated()
    start, stop = 1, net.n_filters
    device_net, pixels = take(memory, net, start, stop), memory.put(images)
    positions = int(np.prod(device_net.responses))
    statistics = memory.empty(2, 2 * positions, np.float32)
    out = memory.empty(2, (stop - start) * net.features_per_filter, np.float32)
    memory.launch(launches.patch_statistics(memory.address, device_net, pixels, statistics))
    memory.launch(launches.random_conv(memory.address, device_net, pixels, statistics, out))
    features, expected = memory.view(out), net.filter_block(images, start, stop)
    # Sums over windows in another order decide near the middle of two steps; so do filters of 16 bits where the CPU has
    # no VNNI.
    assert np.abs(features - expected).max() <= net.step_
    assert (features == expected).mean() > 0.99
    assert np.array_equal(features / net.step_, np.rint(features / net.step_))


def test_what_does_not_fit_is_left_to_floats(rng, emulated):
    assert launches.takes_bytes((32, 32, 3), (6, 6))
    assert launches.takes_bytes((96, 96, 3), (8, 8))
    assert not launches.takes_bytes((224, 224, 3), (8, 8))
    assert not launches.takes_bytes((600, 2, 1), (512, 1))
    images = rng.integers(0, 256, (20, 144))
    net = RandomConv((12, 12, 1), n_filters=5, patch_size=3, n_patches=500, contrast="unit", quantise=True)
    net.fit(images.astype(np.float32))
    memory = emulated()
    device_net, floats = take(memory, net, 0, 5), memory.put(images.astype(np.float32))
    empty = memory.empty(20, 1_000, np.float32)
    assert launches.random_conv(memory.address, device_net, floats, empty, empty).entry == "random_conv_f32"
