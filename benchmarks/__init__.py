"""Benchmarks: each checks its result, names its hardware and prints the line that reproduces it.

`python -m benchmarks list` names them, `python -m benchmarks run NAME --help` has the options of one.
"""
