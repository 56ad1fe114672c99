"""CUDA C++ sources, read through importlib.resources."""
