"""One library in a process and an environment of its own: fits, predictions, peak memory. Prints a JSON object.

    INTERPRETER benchmarks/peers/fit.py scikit-learn --problem problem.npz --repeats 5 --out answer.npz

Runs without kernelfit, whose own fits are two of the models. The first fit, of few rows, loads and compiles, and tells
whether the library takes bytes: the others' rows are made floats before any time is taken. Fits follow each other, then
predictions: each is timed as a loop over it finds it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from models import Problem, model  # beside this file, which is run as a script

WARM_UP_ROWS = 200
#: seconds after which no further repeat begins
ENOUGH = 20.0
#: seconds that calls of less are repeated for, and how often at most: the first of a loop find cold caches
SPAN, MOST = 0.1, 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", help="a name of models.MODELS, or name@setting")
    parser.add_argument(
        "--problem", type=Path, required=True, help="rows, targets, test rows, scale, gamma, ridge"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True, help="predictions, and alpha where there is one")
    arguments = parser.parse_args()
    fit = model(arguments.model)
    stored = np.load(arguments.problem)
    training = problem_of(stored, stored["rows"], stored["targets"])
    new = problem_of(stored, stored["test_rows"], None)
    few = slice(WARM_UP_ROWS)
    small = problem_of(stored, training.rows[few], training.Y[few])
    fit(small).predict(problem_of(stored, new.rows[few], None))
    if small.holds_floats:
        training.X, new.X  # noqa: B018
    fitted, fits = repeated(lambda: fit(training), arguments.repeats)
    predictions, predicted = repeated(lambda: fitted.predict(new), arguments.repeats)
    seconds = {"fit": fits, "predict": predicted}
    answer = {"predictions": np.asarray(predictions, dtype=np.float64)}
    if fitted.alpha is not None:
        answer["alpha"] = np.asarray(fitted.alpha, dtype=np.float64)
    np.savez(arguments.out, **answer)
    print(json.dumps({"seconds": seconds, "peak_rss_bytes": peak_rss_bytes()}))


def repeated(call: Callable[[], Any], repeats: int) -> tuple[Any, list[float]]:
    """What the last of `repeats` calls in a row gave, of more where they are short, and the seconds of each."""
    seconds: list[float] = []
    while (len(seconds) < repeats and sum(seconds) <= ENOUGH) or (
        len(seconds) < MOST and sum(seconds) < SPAN
    ):
        result = None  # two of them at once would count as memory that one takes
        started = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - started)
    return result, seconds


def problem_of(stored: Any, rows: Any, targets: Any) -> Problem:
    return Problem(rows, targets, *(float(stored[name]) for name in ("scale", "gamma", "ridge")))


def peak_rss_bytes() -> int:
    """Of this process; getrusage's peak would include that of the process which started it on Linux."""
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(fields["VmHWM"].split()[0]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
