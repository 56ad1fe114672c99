"""Benchmarks: each checks its result, names its hardware and prints the line that reproduces it."""
