"""Commands that are called as their tests want it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from kernelfit.cli import root
from kernelfit.experiments import gemm_rate


@pytest.fixture
def small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """GEMM rates from products of order 256: their value is not what is tested here."""
    monkeypatch.setattr(gemm_rate.measure, "__defaults__", (np.float64, None, 256))


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(root, list(arguments), catch_exceptions=False)


def read(*arguments: str) -> dict[str, Any]:
    result = invoke(*arguments, "--json", "-")
    assert result.exit_code == 0, result.stderr
    record: dict[str, Any] = json.loads(result.stdout)
    return record
