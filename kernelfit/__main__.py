"""`python -m kernelfit` is the `kernelfit` command."""

from kernelfit.cli import main

if __name__ == "__main__":
    main()
