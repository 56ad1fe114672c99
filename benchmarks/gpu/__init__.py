"""What is claimed of a GPU, measured and checked: `python -m benchmarks.gpu`."""
