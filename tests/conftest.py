"""Fixtures shared by all tests: real data where it can be found, and one seeded source of randomness."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        skip = pytest.mark.skip(reason="takes minutes; run with --slow")
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(skip)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20161110)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """A folder that holds real data sets; skips where there is none."""
    candidates = [os.environ.get("KERNELFIT_DATA"), Path(__file__).parents[2] / "shared" / "data"]
    for candidate in candidates:
        if candidate and Path(candidate).is_dir():
            return Path(candidate)
    pytest.skip("no data sets: neither $KERNELFIT_DATA nor ../shared/data is a folder")
