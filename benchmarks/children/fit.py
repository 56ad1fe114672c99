"""One fit and one prediction on MNIST by one library; prints a JSON object. Run by `benchmarks.peers.scikit_learn`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit import datasets
from kernelfit.cpu.environment import peak_rss_bytes
from kernelfit.storage.json_output import plain

#: kernelfit with a float64 factor, with a float32 factor refined to float64's backward error, and KernelRidge
LIBRARIES = ("kernelfit", "kernelfit-mixed", "sklearn")


def main() -> None:
    import json

    parser = argparse.ArgumentParser()
    parser.add_argument("--library", choices=LIBRARIES, required=True)
    parser.add_argument("--n", type=int, required=True)
    parser.add_argument("--gamma", type=float, required=True)
    parser.add_argument("--predictions", type=Path, required=True)
    arguments = parser.parse_args()
    data = datasets.load("mnist", n_train=arguments.n)
    assert data.classes is not None
    targets = np.eye(len(data.classes))[data.y_train]
    if arguments.library == "sklearn":
        record, predictions = fit_sklearn(data, targets, arguments.gamma)
    else:
        precision = "mixed" if arguments.library == "kernelfit-mixed" else "float64"
        record, predictions = fit_kernelfit(data, targets, arguments.gamma, precision)
    np.save(arguments.predictions, predictions)
    record["seconds"] = record["fit_seconds"] + record["predict_seconds"]
    record["test_error"] = float(np.mean(predictions.argmax(axis=1) != data.y_test))
    record["peak_rss_bytes"] = peak_rss_bytes()
    print(json.dumps(plain(record)))


def fit_kernelfit(
    data: datasets.Dataset, targets: NDArray[np.float64], gamma: float, precision: str
) -> tuple[dict[str, Any], NDArray[Any]]:
    from kernelfit import solve

    start = time.perf_counter()
    solution = solve(
        data.X_train, targets, kernel="gaussian", gamma=gamma, scale=data.scale, precision=precision
    )
    fitted = time.perf_counter()
    predictions = solution.predict(data.X_test)
    seconds = {"fit_seconds": fitted - start, "predict_seconds": time.perf_counter() - fitted}
    return {**seconds, "backward_error": solution.certificate.backward_error}, predictions


def fit_sklearn(
    data: datasets.Dataset, targets: NDArray[np.float64], gamma: float
) -> tuple[dict[str, Any], NDArray[Any]]:
    from sklearn.kernel_ridge import KernelRidge

    train, test = data.X_train * data.scale, data.X_test * data.scale
    start = time.perf_counter()
    model = KernelRidge(alpha=0.0, kernel="rbf", gamma=gamma).fit(train, targets)
    fitted = time.perf_counter()
    predictions = model.predict(test)
    return {"fit_seconds": fitted - start, "predict_seconds": time.perf_counter() - fitted}, predictions


if __name__ == "__main__":
    main()
