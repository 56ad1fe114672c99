"""`python -m benchmarks.fuzz`."""

from benchmarks.fuzz.fuzz import main

main()
