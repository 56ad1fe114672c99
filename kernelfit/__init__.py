"""Exact kernel interpolation at scale, certified."""

__version__ = "0.1.0"
