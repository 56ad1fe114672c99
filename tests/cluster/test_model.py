"""The scaling model: pure arithmetic, held to what any simulation of these steps has to give."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner

from kernelfit.cli import root
from kernelfit.cluster.deal import Deal
from kernelfit.cluster.model import Machines, predict
from kernelfit.errors import InputError
from kernelfit.experiments.planning import Shape, plan_cluster
from kernelfit.experiments.specs import SolverSettings
from kernelfit.gram.costs import Costs
from kernelfit.gram.layout import PanelLayout

FAST = Machines(workers=1, rate=1e11, bandwidth=1e15, latency=0.0)


def costs(n: int = 20_000) -> Costs:
    return Costs.of(n=n, d=10, n_rhs=1, bytes_points=n * 80)


@pytest.mark.parametrize("shares", [1, 2, 3, 5, 8])
def test_a_row_reaches_every_share_that_wants_it_once_and_each_sends_it_twice_at_most(shares: int) -> None:
    deal = Deal(PanelLayout(1000, 50), shares)
    for j in range(deal.layout.count):
        wanting = set(range(0, shares, 2))
        messages = deal.receivers(j, wanting)
        reached = {deal.owner(j)}
        for sender, receiver in messages:
            assert sender in reached
            assert receiver not in reached
            reached.add(receiver)
        assert reached == wanting | {deal.owner(j)}
        assert all(sum(sender == p for sender, _ in messages) <= 2 for p in range(shares))


def test_one_worker_is_as_fast_as_its_arithmetic() -> None:
    alone = predict(costs(), FAST)
    assert alone.efficiency == pytest.approx(1.0, abs=0.02)
    assert alone.bytes_link == 0
    assert alone.bytes_memory > alone.bytes_disk > 0.5 * 8 * 20_000**2


def test_links_without_limit_leave_nearly_all_of_the_workers_speed_and_slow_ones_bound_it() -> None:
    two = replace(FAST, workers=2)
    assert 0.9 < predict(costs(), two).efficiency <= 1.0
    slow = predict(costs(), replace(two, bandwidth=1e6))
    # Each block row crosses one of two links, which carry half of the bytes each, at the same time.
    assert slow.seconds_factor == pytest.approx(slow.bytes_link / 1e6, rel=0.1)
    assert predict(costs(), replace(two, latency=0.1)).seconds > predict(costs(), two).seconds


def test_all_wait_for_a_slow_worker_unless_it_gets_fewer_rows() -> None:
    equal = predict(costs(), replace(FAST, workers=4)).seconds_factor
    slow = replace(FAST, workers=4, slow=3.0)
    assert 2.5 * equal < predict(costs(), replace(slow, weighed=False)).seconds_factor < 3.0 * equal
    # Together they have 3 1/3 times the speed of one.
    assert 1.1 * equal < predict(costs(), slow).seconds_factor < 1.35 * equal


def test_bandwidths_are_bits_or_bytes() -> None:
    shape, solver = Shape(5000, 10, 1), SolverSettings(threads=1)
    times = {
        text: plan_cluster(shape, solver, 2, text, 1e11).seconds_factor
        for text in ("8Gbit", "1GB", "1GB/s", "2GB")
    }
    assert times["8Gbit"] == times["1GB"] == times["1GB/s"] > times["2GB"]
    with pytest.raises(InputError, match="bandwidth: got"):
        plan_cluster(shape, solver, 2, "fast", 1e11)


def test_the_command_plans_what_no_machine_holds() -> None:
    words = "plan --n 1e6 --d 784 --workers 100 --rate 1e12 --bandwidth 100Gbit"
    result = CliRunner().invoke(root, words.split())
    assert result.exit_code == 0, result.output
    assert "of their rate in the factor" in result.output
