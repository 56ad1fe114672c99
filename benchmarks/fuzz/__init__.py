"""Damaged inputs for every reader (`python -m benchmarks.fuzz`) and runs that are killed (`benchmarks.fuzz.kills`)."""
