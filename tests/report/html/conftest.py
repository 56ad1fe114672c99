"""A small run that was looked at row by row, shared by the tests of the page and of the browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernelfit import Experiment
from kernelfit.experiments.examination import Examination, examine


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "run"
    Experiment("digits", n_train=150, n_test=60, loo=True, ridge="auto").run(folder)
    return folder


@pytest.fixture(scope="session")
def examination(run: Path) -> Examination:
    return examine(run)
