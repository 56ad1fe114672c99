"""Times that are predicted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kernelfit.gram.costs import Costs
from kernelfit.gram.plan import Plan
from kernelfit.iterative import timing
from kernelfit.iterative.plan import plan_iterations


def plan_of(n: int, memory: int) -> Plan:
    return plan_iterations(
        Costs.of(n=n, d=20, n_rhs=10, threads=1, bytes_points=20 * n), memory, generated=True
    )


@pytest.mark.parametrize(("memory", "tier"), [(10**11, "ram"), (10**9, "generated")])
@pytest.mark.parametrize("exact", [True, False])
def test_setup_and_iterations(monkeypatch: pytest.MonkeyPatch, memory: int, tier: str, exact: bool) -> None:
    monkeypatch.setattr(timing, "_ORDER", 600)
    monkeypatch.setattr(timing, "_RANK", 64)
    plan = timing.timed(plan_of(50_000, memory), exact=exact)
    assert plan.tier == tier
    assert plan.predicted_seconds is not None
    assert plan.seconds_iteration is not None
    # n^2 d operations of a product at some 10^13 a second and fewer, and those of 600 rows in a minute.
    assert 1e-3 < plan.seconds_iteration < plan.predicted_seconds * 100
    assert "s for each iteration" in plan.summary()


def test_a_product_goes_as_the_tiles() -> None:
    assert timing._tiles(512) == 1
    assert timing._tiles(1_025) == 6


def test_the_trial_stays_within_the_memory_of_the_plan() -> None:
    plan = replace(plan_of(20_000, 10**11), d=1_000, memory_limit=32 * 1_000 * 600)
    assert timing._Trial(plan, exact=False).n == 600
