"""Times that are predicted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kernelfit.gram.costs import Costs
from kernelfit.gram.plan import Plan
from kernelfit.iterative import timing
from kernelfit.iterative.plan import plan_iterations
from kernelfit.iterative.sketch_plan import plan_blocks


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


def test_what_is_timed_once_has_run_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling it took 150 of 177 seconds that were predicted on a machine whose cache was empty."""
    monkeypatch.setattr(timing, "_ORDER", 1_200)
    monkeypatch.setattr(timing, "_RANK", 64)
    orders: dict[str, list[int]] = {}

    def recorded(name: str) -> None:
        method = getattr(timing._Trial, name)

        def call(trial: Any, *arguments: Any) -> Any:
            orders.setdefault(name, []).append(trial.n)
            return method(trial, *arguments)

        monkeypatch.setattr(timing._Trial, name, call)

    for name in ("gram", "low_rank", "inverse", "true_residual"):
        recorded(name)
    timing.timed(plan_of(50_000, 10**11), exact=True)
    assert orders == {name: [1_024, 1_200] for name in orders}


def test_a_product_goes_as_the_tiles() -> None:
    assert timing._tiles(512) == 1
    assert timing._tiles(1_025) == 6


def test_the_trial_stays_within_the_memory_of_the_plan() -> None:
    plan = replace(plan_of(20_000, 10**11), d=1_000, memory_limit=32 * 1_000 * 600)
    assert timing._Trial(plan, exact=False).n == 600


def test_blocks_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """There were no seconds."""
    monkeypatch.setattr(timing, "_ORDER", 600)
    monkeypatch.setattr(timing, "_BLOCK", 64)
    costs = Costs.of(n=50_000, d=20, n_rhs=10, threads=1, bytes_points=20 * 50_000)
    plan = timing.timed_blocks(plan_blocks(costs, 10**10), exact=True)
    assert plan.predicted_seconds is not None
    assert plan.seconds_iteration is not None
    # An eighth of the rows of K, and their factor, beside half of K.
    assert 1e-3 < plan.seconds_iteration < plan.predicted_seconds * 100
    assert "s for each iteration" in plan.summary()
