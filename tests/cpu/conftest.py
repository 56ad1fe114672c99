"""Tests here change what the system says between two questions."""

import pytest

from kernelfit.cpu import recent


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch):
    monkeypatch.setattr(recent, "SECONDS", 0.0)
