"""Random convolution nets on CIFAR-10 towards the paper's 50,000 images and 32,000 filters: error by n and filters.

    python -m benchmarks.learning_curve --n 16000 --filters 8000 --out benchmarks/results/learning_curve.json
    python -m benchmarks.learning_curve --gram RUN/gram.h5 --n 25000   # by n, from the sums of a finished run

One pass over the filters sums up K; the systems of the first rows, and of the filters done so far, are solved on the
way. Filters are training patches drawn from all `--n` images without their labels. Each system is solved without a
ridge and with `--ridge` mean diagonals; no choice depends on a test label. The figure shows both.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import harness
from kernelfit import solve
from kernelfit.cpu.pool import CpuBackend
from kernelfit.datasets import training_targets
from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.experiments.experiment import Experiment
from kernelfit.experiments.paper import RANDOM_CONV_OPTIONS, PaperRow, find
from kernelfit.features.random_conv import RandomConv
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.source import PanelGram
from kernelfit.gram.submatrix import submatrix
from kernelfit.metrics import error_rate
from kernelfit.progress import TerminalProgress
from kernelfit.report import figures
from kernelfit.storage.hdf5 import array_digest
from kernelfit.streaming import gram_file
from kernelfit.streaming.host_sums import HostSums
from kernelfit.streaming.plan import filters_per_block
from kernelfit.streaming.protocol import streaming
from kernelfit.streaming.sums import FeaturePass, Seconds

MAX_BACKWARD_ERROR = 1e-14


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--n", type=int, default=16_000, help="training images, halved three times")
    parser.add_argument("--filters", type=int, default=8_000, help="filters, halved three times")
    parser.add_argument("--n-test", type=int, default=None, help="test images; all by default")
    parser.add_argument("--ridge", type=float, default=1e-3, help="of the mean diagonal of K")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--gram", type=Path, help="sums that `kernelfit solve --features random-conv --out` stored"
    )
    options = parser.parse_args(words)
    if options.gram is None and (options.filters < 8 or options.filters % 8):
        parser.error(
            f"--filters: got {options.filters}, expected a multiple of 8, which is halved three times"
        )
    started = time.perf_counter()
    with_ridge = f"ridge {options.ridge:g}"
    print(
        f"{'n':>7} {'filters':>8} {'features':>9} {'ridge 0':>9} {with_ridge:>11} {'norm':>8} {'backward':>9}",
        flush=True,
    )
    measured = summed(options) if options.gram is None else stored(options)
    measured["seconds"]["total"] = time.perf_counter() - started
    whole = paper()
    results = {
        "ridge_of_mean_diagonal": options.ridge,
        "paper": {
            "n": whole.n_train,
            "filters": whole.filters,
            "interpolation": whole.test_error,
            "ridge": whole.test_error_with_ridge,
        },
        **measured,
    }
    if options.out:
        figures.save(plot(results), options.out.with_suffix(".png"))
    harness.finish("benchmarks.learning_curve", words, options.out, results, faults(measured["rows"]))


def faults(rows: list[dict[str, Any]]) -> list[str]:
    """Solutions that solve their system less exactly than they must."""
    return [
        f"n {row['n']}, {row['filters']} filters, {name}: backward error {row[name]['backward_error']:.1e}"
        for row in rows
        for name in ("interpolation", "ridge")
        if row[name] is not None and not row[name]["backward_error"] <= MAX_BACKWARD_ERROR
    ]


def stored(options: argparse.Namespace) -> dict[str, Any]:
    """Halvings of `--n` rows, with all filters of a finished run."""
    sums = gram_file.read(options.gram)
    data = Experiment("cifar10", n_train=sums.layout.n, n_test=len(sums.cross())).inputs.load()
    mine = {"train": array_digest(data.X_train), "test": array_digest(data.X_test)}
    if not sums.finished or any(sums.identity[key] != digest for key, digest in mine.items()):
        sys.exit(f"{options.gram}: not the finished sums of these rows of CIFAR-10")
    targets, cross, gram, rows = training_targets(data), sums.cross(), sums.gram(), []
    # Fitted on a few rows, as it is asked for the number of its windows alone.
    net = RandomConv(**{**sums.identity["net"], "n_patches": 1, "n_filters": 1, "quantise": False})
    n_features = sums.of * net.fit(data.X_train[:2]).n_features_out_
    for n in halvings(min(options.n, sums.layout.n)):
        rows.append(measure(gram, cross, targets, data.y_test, n, sums.of, n_features, options.ridge))
        show(rows[-1])
    return {
        "n_test": data.n_test,
        "feature_options": sums.identity["net"],
        "seconds": sums.seconds,
        "notes": data.notes,
        "rows": rows,
    }


def summed(options: argparse.Namespace) -> dict[str, Any]:
    """Halvings of `--n` rows and of `--filters` filters, in one pass over the filters."""
    progress = TerminalProgress()
    inputs = Experiment(
        "cifar10",
        n_train=options.n,
        n_test=options.n_test,
        features="random-conv",
        feature_options={
            **RANDOM_CONV_OPTIONS,
            "n_filters": options.filters,
            "random_state": options.seed,
        },
    ).inputs
    data = inputs.load(progress)
    targets = training_targets(data)
    fitted = inputs.features.fit(data, None, progress)
    net = streaming(fitted)
    layout = PanelLayout.of_order(data.n_train)
    panels = [np.zeros(layout.shape(j)) for j in range(layout.count)]
    cross = np.zeros((data.n_test, data.n_train), np.float32)
    seconds, rows = Seconds(), list[dict[str, Any]]()

    def after_block(filters: int) -> None:
        if filters in halvings(options.filters):
            gram = PanelGram(layout, panels)
            for n in halvings(data.n_train):
                rows.append(
                    measure(
                        gram,
                        cross,
                        targets,
                        data.y_test,
                        n,
                        filters,
                        net.columns(0, filters).stop,
                        options.ridge,
                    )
                )
                show(rows[-1])

    smallest = halvings(options.filters)[0]
    largest = filters_per_block(net, data.n_train, data.n_test)
    per_block = max(size for size in range(1, smallest + 1) if smallest % size == 0 and size <= largest)
    features = FeaturePass(
        net,
        data.X_train,
        data.X_test,
        per_block=per_block,
        on_block=after_block,
        seconds=seconds,
        progress=progress,
    )
    HostSums(layout, panels, cross).add(features)
    return {
        "n_test": data.n_test,
        "feature_options": fitted.get_params(),
        "seconds": {"features": seconds.features, "gram": seconds.gram},
        "notes": data.notes,
        "rows": rows,
    }


def paper() -> PaperRow:
    """What the paper has for whole CIFAR-10."""
    row = find("cifar10", "random-conv")
    assert row is not None
    return row


def halvings(largest: int) -> list[int]:
    """Ascending: an eighth, a quarter, a half and the whole."""
    return [largest // 8, largest // 4, largest // 2, largest]


def measure(
    gram: PanelGram,
    cross: NDArray[np.float32],
    targets: NDArray[np.float64],
    labels: NDArray[Any],
    n: int,
    filters: int,
    n_features: int,
    relative: float,
) -> dict[str, Any]:
    """Both solutions of the first n rows, from K of all rows and the filters so far."""
    if n < gram.n:
        with CpuBackend() as backend:
            part: Any = submatrix(gram, np.arange(n), backend)
    else:
        part = gram
    row: dict[str, Any] = {"n": n, "filters": filters, "n_features": n_features}
    mean = float(gram.diagonal()[:n].mean())
    for name, ridge in (("interpolation", 0.0), ("ridge", relative * mean)):
        try:
            solution = solve(part, targets[:n], kernel="precomputed", ridge=ridge, condition=False)
        except NotPositiveDefiniteError:
            row[name] = None  # fewer features than rows
            continue
        # A few rows at a time, as they become float64.
        scores = [solution.predict(rows[:, :n]) for rows in np.array_split(cross, 20)]
        solution.close()
        row[name] = {
            "test_error": error_rate(np.concatenate(scores), labels),
            "rkhs_norm": solution.rkhs_norm,
            "backward_error": solution.certificate.backward_error,
        }
    return row


def show(row: dict[str, Any]) -> None:
    def percent(name: str) -> str:
        return "singular" if row[name] is None else f"{100 * row[name]['test_error']:.2f} %"

    shown = row["interpolation"] or row["ridge"]
    print(
        f"{row['n']:>7} {row['filters']:>8} {row['n_features']:>9} {percent('interpolation'):>9} "
        f"{percent('ridge'):>11} {shown['rkhs_norm']:>8.2f} {shown['backward_error']:>9.1e}",
        flush=True,
    )


def plot(record: dict[str, Any]) -> Any:
    """Error against n, a line for each number of filters, without and with the ridge; the paper's figures as stars."""
    from matplotlib.figure import Figure

    rows, ridge, whole = record["rows"], record["ridge_of_mean_diagonal"], paper()
    figure = Figure(figsize=(10.0, 4.2), layout="constrained")
    for axes, name, title, theirs in zip(
        figure.subplots(1, 2, sharey=True),
        ("interpolation", "ridge"),
        ("interpolation", f"ridge {ridge:g} of the mean diagonal"),
        (whole.test_error, whole.test_error_with_ridge),
        strict=True,
    ):
        for filters in sorted({row["filters"] for row in rows}):
            line = [row for row in rows if row["filters"] == filters and row[name] is not None]
            errors = [100 * row[name]["test_error"] for row in line]
            axes.plot([row["n"] for row in line], errors, marker="o", label=f"{filters:,} filters")
        axes.plot(whole.n_train, 100 * theirs, "k*", markersize=11, label=f"paper: {whole.filters:,} filters")
        axes.set(xscale="log", xlabel="training images", title=title)
        ticks = [*sorted({row["n"] for row in rows}), whole.n_train]
        axes.set_xticks(ticks, [f"{n:,}" for n in ticks])
        axes.set_xticks([], minor=True)
        axes.grid(alpha=0.25)
    figure.axes[0].set_ylabel("test error, %")
    figure.axes[1].legend()
    return figure


if __name__ == "__main__":
    main()
