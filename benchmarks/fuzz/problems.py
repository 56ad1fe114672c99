"""Random small problems against long double: entries of K, alpha, predictions, norms and what else a solve claims.

    python -m benchmarks.fuzz.problems --count 20000 --seed 0 --out benchmarks/results/fuzz_problems.json

Problems follow from the seed and their index alone: `--seed S --first I --count 1` meets one again. The exit code is 1
where a claim does not hold.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence

from benchmarks import harness
from benchmarks.fuzz.checks import check
from benchmarks.fuzz.random_problems import draw
from benchmarks.fuzz.reference import has_long_double

# Violations that are printed and recorded.
_SHOWN = 200


def main(words: Sequence[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--count", type=int, default=1_000, help="problems")
    parser.add_argument("--first", type=int, default=0, help="index of the first one")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(words)
    if not has_long_double():
        sys.exit(
            "problems: long double is float64 on this machine, expected more digits; take an x86-64 machine"
        )
    states: Counter[str] = Counter()
    faults: list[str] = []
    started = time.perf_counter()
    for index in range(arguments.first, arguments.first + arguments.count):
        problem = draw(arguments.seed, index)
        outcome = check(problem)
        states[outcome.state] += 1
        if outcome.violations:
            faults += [f"--seed {arguments.seed} --first {index}: {text}" for text in outcome.violations]
            if len(faults) <= _SHOWN:
                print(index, problem.describe(), *outcome.violations, sep="\n    ", flush=True)
        if (index + 1) % 1_000 == 0:
            print(f"{index + 1}: {dict(states)}, {len(faults)} violations", file=sys.stderr, flush=True)
    results = {
        "count": arguments.count,
        "seed": arguments.seed,
        "states": dict(states),
        "violations": len(faults),
        "seconds": time.perf_counter() - started,
    }
    print(results)
    harness.finish("benchmarks.fuzz.problems", words, arguments.out, results, faults[:_SHOWN])


if __name__ == "__main__":
    main()
