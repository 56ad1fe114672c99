"""Measurements that have a process of their own, started by other benchmarks."""
