"""A small classification problem with its solution, shared by the studies' tests."""

import pytest

from kernelfit import Experiment
from kernelfit.study.labelled import kernel_rows


@pytest.fixture(scope="session")
def digits():
    """120 digits, their kernel rows with 60 test rows, and the solution with its factor."""
    with Experiment("digits", n_train=120, n_test=60, gamma=0.1, threads=1).solved() as solved:
        yield solved.solution, kernel_rows(solved)
