"""The random convolution net beside this machine's own SGEMM rate, and beside a plain NumPy reference.

    python -m benchmarks.random_conv --out benchmarks/results/random_conv.json

Random images of CIFAR-10's size: the work does not depend on what they show. A row is a number of filters a block;
its rate counts the products of patches and filters alone (2 positions d filters), its share is against square SGEMMs
measured right before and after it. Then the products of a block of features with itself, K += Z Z^T: of float32, and of
quantised features as bytes, which are compared with int64.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from kernelfit.cpu import environment
from kernelfit.cpu.pool import CpuBackend
from kernelfit.experiments import gemm_rate
from kernelfit.features.random_conv import RandomConv
from kernelfit.gram.layout import PanelLayout
from kernelfit.report import json_output
from kernelfit.streaming.accumulate import multiply

SHAPE = (32, 32, 3)
CHECKED = 8  # images compared with the reference
TOLERANCE = 1e-5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--n", type=int, default=400, help="images")
    parser.add_argument("--filters", default="256,512,3000", help="filters, separated by commas")
    parser.add_argument("--gram-rows", type=int, default=8192, help="images of the products of features")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    images = np.random.default_rng(0).integers(0, 256, (arguments.n, 32 * 32 * 3), dtype=np.uint8)
    counts = [int(filters) for filters in arguments.filters.split(",")]
    rows = [
        measure(images, filters, arguments.repeats, quantise)
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
    products = measure_products(arguments.gram_rows, arguments.repeats)
    print(f"products of {products['features']:,} features of {products['n']:,} images")
    for kind in ("float32", "bytes"):
        print(
            f"{kind:>8} {products[kind]['seconds']:>9.3f} {products[kind]['flops_per_second'] / 1e9:>8.1f} "
            f"{products['sgemm_flops_per_second'] / 1e9:>7.1f} {100 * products[kind]['share_of_sgemm']:>6.1f} %"
        )
    record = {
        "benchmark": "random_conv",
        "command": "python -m benchmarks.random_conv " + shlex.join(sys.argv[1:]),
        "n": arguments.n,
        "environment": environment.describe(),
        "rows": rows,
        "products": products,
    }
    if arguments.out:
        json_output.write(record, arguments.out)
    wrong = [row["filters"] for row in rows if not row["largest_difference"] <= row["tolerance"]]
    if wrong:
        sys.exit(f"differs from the reference by more than it may with {wrong} filters")
    if not products["bytes"]["exact"]:
        sys.exit("products of bytes differ from those in int64")


def measure(images: NDArray[np.uint8], filters: int, repeats: int, quantise: bool) -> dict[str, Any]:
    """Median time of one block of `filters` filters for all images, SGEMM around it, and the check.

    Differences are in units of the largest feature; of quantised features half a step is theirs.
    """
    net = RandomConv(image_shape=SHAPE, n_filters=filters, n_patches=20_000, quantise=quantise).fit(images)
    out = np.empty((len(images), net.n_features_out_), np.uint8 if quantise else np.float32)
    net.filter_block(images, 0, filters, out=out)  # the warm-up: compiles, and touches the pages of `out`
    rate_before = gemm_rate.measure(np.float32)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        net.filter_block(images, 0, filters, out=out)
        times.append(time.perf_counter() - start)
    rate = max(rate_before, gemm_rate.measure(np.float32))
    expected = reference(net, images[:CHECKED])
    found, largest = out[:CHECKED].astype(np.float64), np.abs(expected).max()
    if quantise:
        found, expected = found * net.step_, np.minimum(expected, 255 * net.step_)
    seconds = statistics.median(times)
    flops = net.flops_per_image * len(images) / seconds
    return {
        "quantise": quantise,
        "filters": filters,
        "seconds": seconds,
        "seconds_all": times,
        "flops_per_second": flops,
        "sgemm_flops_per_second": rate,
        "share_of_sgemm": flops / rate,
        "largest_difference": float(np.abs(found - expected).max() / largest),
        "tolerance": TOLERANCE + float(0.5 * net.step_ / largest),
    }


def measure_products(n: int, repeats: int, features: int = 9_216) -> dict[str, Any]:
    """Median time of K += Z Z^T, lower triangle, for one block of features (n, features) as floats and as bytes.

    The rate counts n^2 features operations.
    """
    layout = PanelLayout.of_order(n)
    steps = np.random.default_rng(1).integers(0, 256, (n, features), dtype=np.uint8)
    nobody = steps[:0]
    rate_before = gemm_rate.measure(np.float32)
    found: dict[str, Any] = {"n": n, "features": features}
    with CpuBackend() as backend:
        for kind, z, step in (("float32", steps.astype(np.float32), 0.0), ("bytes", steps, 0.5)):
            panels = [np.zeros(layout.shape(j)) for j in range(layout.count)]
            cross = np.zeros((0, n), np.float32)
            times = []
            for _ in range(repeats + 1):  # the first one compiles
                for panel in panels:
                    panel[...] = 0
                start = time.perf_counter()
                multiply(z, nobody, step, layout, panels, cross, backend, lambda amount: None)
                times.append(time.perf_counter() - start)
            seconds = statistics.median(times[1:])
            found[kind] = {"seconds": seconds, "seconds_all": times[1:]}
            found[kind]["flops_per_second"] = float(n) * n * features / seconds
    rate = max(rate_before, gemm_rate.measure(np.float32))
    for kind in ("float32", "bytes"):
        found[kind]["share_of_sgemm"] = found[kind]["flops_per_second"] / rate
    few = steps[: min(n, layout.width)][:CHECKED].astype(np.int64)
    exact = np.array_equal(np.tril(panels[0][: len(few), : len(few)]), np.tril(few @ few.T) / 4)
    found["bytes"]["exact"] = bool(exact)
    return {**found, "sgemm_flops_per_second": rate}


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
