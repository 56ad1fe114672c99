"""The random convolution net beside this machine's own SGEMM rate, and beside a plain NumPy reference.

    python -m benchmarks.random_conv --out benchmarks/results/random_conv.json

Random images of CIFAR-10's size: the work does not depend on what they show. A row is a number of filters a block;
its rate counts the products of patches and filters alone (2 positions d filters), its share is against square SGEMMs
measured right before and after it. Then the products of a block of features with itself, K += Z Z^T: of float32, and of
quantised features as bytes, which are compared with int64.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from benchmarks import harness
from kernelfit.cpu.pool import CpuBackend
from kernelfit.experiments import gemm_rate
from kernelfit.experiments.paper import RANDOM_CONV_OPTIONS
from kernelfit.features.random_conv import RandomConv
from kernelfit.gram.layout import PanelLayout
from kernelfit.streaming.host_sums import multiply

SHAPE = (32, 32, 3)
CHECKED = 8  # images compared with the reference
TOLERANCE = 1e-5


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--n", type=int, default=400, help="images")
    parser.add_argument("--filters", default="256,512,3000", help="filters, separated by commas")
    parser.add_argument("--gram-rows", type=int, default=8192, help="images of the products of features")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(words)
    images = np.random.default_rng(0).integers(0, 256, (options.n, 32 * 32 * 3), dtype=np.uint8)
    counts = [int(filters) for filters in options.filters.split(",")]
    rows = [
        measure(images, filters, options.repeats, quantise)
        for quantise in (False, True)
        for filters in counts
    ]
    print(
        f"{'features':>9} {'filters':>8} {'median s':>9} {'GFLOP/s':>8} {'SGEMM':>7} {'share':>7} {'difference':>11}"
    )
    for row in rows:
        print(
            f"{'bytes' if row['quantise'] else 'float32':>9} {row['filters']:>8} {row['seconds']:>9.3f} "
            f"{row['flops_per_second'] / 1e9:>8.1f} "
            f"{row['sgemm_flops_per_second'] / 1e9:>7.1f} {100 * row['share_of_sgemm']:>6.1f} % "
            f"{row['largest_difference']:>11.1e}"
        )
    products = measure_products(options.gram_rows, options.repeats)
    print(f"products of {products['features']:,} features of {products['n']:,} images")
    for form in ("float32", "bytes"):
        print(
            f"{form:>8} {products[form]['seconds']:>9.3f} {products[form]['flops_per_second'] / 1e9:>8.1f} "
            f"{products['sgemm_flops_per_second'] / 1e9:>7.1f} {100 * products[form]['share_of_sgemm']:>6.1f} %"
        )
    faults = [
        f"{row['filters']} filters: {row['largest_difference']:.1e} from the reference, expected {row['tolerance']:.1e}"
        for row in rows
        if not row["largest_difference"] <= row["tolerance"]
    ]
    if not products["bytes"]["exact"]:
        faults.append("products of bytes differ from those in int64")
    results = {"n": options.n, "rows": rows, "products": products}
    harness.finish("benchmarks.random_conv", words, options.out, results, faults)


def measure(images: NDArray[np.uint8], filters: int, repeats: int, quantise: bool) -> dict[str, Any]:
    """Median time of one block of `filters` filters for all images, SGEMM around it, and the check.

    Differences are in units of the largest feature; of quantised features half a step is theirs.
    """
    options = {**RANDOM_CONV_OPTIONS, "n_filters": filters, "n_patches": 20_000, "quantise": quantise}
    net = RandomConv(image_shape=SHAPE, **options).fit(images)
    out = np.empty((len(images), net.n_features_out_), np.uint8 if quantise else np.float32)
    rate_before = gemm_rate.measure(np.float32)
    timing = harness.timed(lambda: net.filter_block(images, 0, filters, out=out), repeats)
    rate = max(rate_before, gemm_rate.measure(np.float32))
    expected = reference(net, images[:CHECKED])
    computed, largest = out[:CHECKED].astype(np.float64), np.abs(expected).max()
    if quantise:
        computed, expected = computed * net.step_, np.minimum(expected, 255 * net.step_)
    flops = net.flops_per_image * len(images) / timing.median
    return {
        "quantise": quantise,
        "filters": filters,
        **timing.describe(),
        "flops_per_second": flops,
        "sgemm_flops_per_second": rate,
        "share_of_sgemm": flops / rate,
        "largest_difference": float(np.abs(computed - expected).max() / largest),
        "tolerance": TOLERANCE + float(0.5 * net.step_ / largest),
    }


def measure_products(n: int, repeats: int, features: int = 9_216) -> dict[str, Any]:
    """Median time of K += Z Z^T, lower triangle, for one block of features (n, features) as floats and as bytes.

    The rate counts n^2 features operations.
    """
    layout = PanelLayout.of_order(n)
    steps = np.random.default_rng(1).integers(0, 256, (n, features), dtype=np.uint8)
    no_rows = steps[:0]
    rate_before = gemm_rate.measure(np.float32)
    results: dict[str, Any] = {"n": n, "features": features}
    with CpuBackend() as backend:
        for form, z, step in (("float32", steps.astype(np.float32), 0.0), ("bytes", steps, 0.5)):
            panels = [np.zeros(layout.shape(j)) for j in range(layout.count)]
            cross = np.zeros((0, n), np.float32)
            product = partial(
                multiply, (z, no_rows), step, layout, panels, cross, backend, lambda amount: None
            )
            timing = harness.timed(product, repeats, before=partial(clear, panels))
            rate = float(n) * n * features / timing.median
            results[form] = {**timing.describe(), "flops_per_second": rate}
    sgemm = max(rate_before, gemm_rate.measure(np.float32))
    for form in ("float32", "bytes"):
        results[form]["share_of_sgemm"] = results[form]["flops_per_second"] / sgemm
    few = steps[: min(n, layout.width)][:CHECKED].astype(np.int64)
    exact = np.array_equal(np.tril(panels[0][: len(few), : len(few)]), np.tril(few @ few.T) / 4)
    results["bytes"]["exact"] = bool(exact)
    return {**results, "sgemm_flops_per_second": sgemm}


def clear(panels: list[NDArray[np.float64]]) -> None:
    for panel in panels:
        panel[...] = 0


def reference(net: RandomConv, rows: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The net as its documentation defines it, step by step in float64."""
    height, width, channels = SHAPE
    images = rows.reshape(-1, height, width, channels).astype(np.float64)
    size = net.patch_size
    patches = sliding_window_view(images, (size, size), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    shape = patches.shape[:3]
    patches = patches.reshape(*shape, -1) - patches.reshape(*shape, -1).mean(axis=-1, keepdims=True)
    patches /= np.linalg.norm(patches, axis=-1, keepdims=True)
    responses = (patches - net.mean_) @ net.whitening_ @ net.filters_.T
    starts = range(0, shape[1] - net.pool_size + 1, net.pool_stride)
    windows = [
        np.maximum(sign * responses[:, y : y + net.pool_size, x : x + net.pool_size] - net.threshold, 0).mean(
            (1, 2)
        )
        for sign in (1, -1)
        for y in starts
        for x in starts
    ]
    return np.array(windows).transpose(1, 2, 0).reshape(len(rows), -1)


if __name__ == "__main__":
    main()
