"""`python -m benchmarks.gpu`."""

from benchmarks.gpu.acceptance import main

main()
