"""The planner: pure arithmetic, checked against its own memory formula; no array of the planned size exists."""

from __future__ import annotations

import dataclasses
import json
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kernelfit.cpu.memory import INTERPRETER
from kernelfit.errors import InputError, PlanError
from kernelfit.gram.costs import Costs
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.placement import Limits, max_order, place
from kernelfit.gram.plan import Plan

GB = 10**9


CACHED = {"none": 0, "inner products": 4, "gram": 8}  # bytes of one number kept between refinements


def plan_of(n=20_000, memory=10**13, disk=10**13, tier="auto", cacheable_products=False, **changes):
    costs = Costs.of(**{"n": n, "d": 784, "n_rhs": 10, "threads": 2} | changes)
    return place(costs, Limits(memory, disk), tier=tier, cacheable_products=cacheable_products)


def test_nothing_of_the_planned_size_is_allocated():
    plan_of(1000)
    tracemalloc.start()
    plan_of(1_000_000, tier="disk")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize("precision", ["float64", "float32", "mixed"])
@pytest.mark.parametrize("tier", ["ram", "disk"])
@pytest.mark.parametrize("n", [1, 100, 1501, 60_000])
def test_bytes_add_up(n, tier, precision):
    plan = plan_of(n, tier=tier, precision=precision, bytes_points=n * 784)
    size = 8 if precision == "float64" else 4
    elements = PanelLayout.of_order(n).elements
    assert plan.bytes_factor == elements * size
    cache = elements * CACHED[plan.cache]
    held = INTERPRETER + n * 784 + plan.bytes_workspace + cache
    assert plan.bytes_memory == held + (plan.bytes_factor if tier == "ram" else 0)
    assert plan.bytes_disk == plan.bytes_written == (plan.bytes_factor if tier == "disk" else 0)
    assert (plan.bytes_read > 0) == (tier == "disk" and plan.panels > 1)
    assert plan.flops_factor == n**3 / 3
    assert plan.layout == PanelLayout.of_order(n)
    assert plan.to_dict()["bytes_memory"] == plan.bytes_memory


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("n", [10_000, 60_000, 200_000])
def test_leave_one_out_takes_no_more_than_is_left(n, precision):
    generous = plan_of(n, tier="ram", precision=precision, memory=1000 * GB)
    assert generous.inverse_columns == generous.panel_width
    tight = dataclasses.replace(generous, memory_limit=generous.bytes_memory)
    taken = tight.inverse_columns * n * (8 if precision == "float64" else 4)
    assert 64 <= tight.inverse_columns <= tight.panel_width
    assert tight.bytes_memory - tight.bytes_workspace + taken <= tight.memory_limit
    assert plan_of(n, tier="disk", precision=precision).inverse_columns == generous.panel_width


def test_mnist_needs_half_of_what_the_full_matrix_would():
    plan = plan_of(60_000, bytes_points=60_000 * 784)
    assert plan.bytes_memory <= 16.6e9
    assert plan.bytes_memory < 0.6 * 8 * 60_000**2


def test_stream_elements_is_what_the_factorisation_reads():
    layout = PanelLayout(111, 19)
    read = sum(
        (111 - layout.start(j)) * (layout.stop(k) - layout.start(k))
        for j in range(layout.count)
        for k in range(j)
    )
    assert layout.stream_elements() == read


@pytest.mark.parametrize("precision", ["float64", "mixed"])
def test_costs_need_no_memory(precision):
    """Whoever wants the arithmetic alone asks no placement; what is placed costs the same."""
    costs = Costs.of(n=20_000, d=784, n_rhs=10, threads=2, precision=precision)
    nowhere = Plan.in_memory(costs, 0)
    placed = plan_of(precision=precision, memory=nowhere.bytes_memory)
    assert dataclasses.replace(nowhere, memory_limit=placed.memory_limit) == placed
    assert costs.bytes_held + costs.bytes_factor == nowhere.bytes_memory


def test_auto_takes_memory_where_it_fits_and_disk_where_it_does_not():
    ram = plan_of(tier="ram").bytes_memory
    assert plan_of(memory=ram).tier == "ram"
    below = plan_of(memory=ram - 1)
    assert below.tier == "disk"
    assert below.bytes_memory < ram
    assert plan_of(memory=ram // 2).tier == "disk"
    with pytest.raises(PlanError, match=r"^memory: "):
        plan_of(memory=400_000_000)


@pytest.mark.parametrize(("products", "kept"), [(False, "gram"), (True, "inner products")])
def test_mixed_precision_keeps_what_there_is_room_for(products, kept):
    roomy = plan_of(precision="mixed", tier="ram", cacheable_products=products)
    assert roomy.cache == kept
    tight = plan_of(precision="mixed", memory=roomy.bytes_memory - 1, cacheable_products=products)
    assert tight.cache == "none"
    assert roomy.bytes_memory - tight.bytes_memory == roomy.layout.elements * CACHED[kept]
    assert tight.flops_refine > roomy.flops_refine
    assert plan_of(precision="mixed", tier="disk", cacheable_products=products).cache == "none"
    assert plan_of(precision="float64", cacheable_products=products).cache == "none"


def numbers(text):
    return [int(found.replace(",", "")) for found in re.findall(r"\d[\d,]*", text)]


@settings(deadline=None, max_examples=150)
@example(n=1200, d=988, n_rhs=1, threads=1, limit=344_415_295, tier="ram", precision="float32", disk_free=0)
@given(
    n=st.integers(1, 300_000),
    d=st.integers(1, 4000),
    n_rhs=st.integers(1, 50),
    threads=st.integers(1, 16),
    limit=st.integers(10**6, 2 * 10**11),
    tier=st.sampled_from(["auto", "ram", "disk"]),
    precision=st.sampled_from(["float64", "float32", "mixed"]),
    disk_free=st.sampled_from([0, 10**10, 10**13]),
)
def test_a_plan_fits_or_its_refusal_says_what_is_missing_and_what_would_fit(
    n, d, n_rhs, threads, limit, tier, precision, disk_free
):
    arguments = {
        "n": n, "d": d, "n_rhs": n_rhs, "threads": threads, "precision": precision, "tier": tier,
        "disk": disk_free, "bytes_points": n * d,
    }  # fmt: skip
    try:
        plan = plan_of(memory=limit, **arguments)
    except PlanError as error:
        message = str(error)
        assert "\n" not in message
        needed, missing = numbers(message)[0], numbers(message.split("missing")[0])[-1]
        free = limit if message.startswith("memory:") else disk_free
        assert missing == needed - free > 0
        advice = message.split("; ", 1)[1]
        if found := re.search(r"tier='(\w+)'(?:, precision='(\w+)')? fits with ([\d,]+) bytes", advice):
            suggestion = {"tier": found[1], "precision": found[2] or precision}
            enough = plan_of(memory=limit, **arguments | suggestion)
            kept = enough.layout.elements * CACHED[enough.cache]
            assert [enough.bytes_memory - kept] == numbers(found[3])
        if found := re.search(r"n = ([\d,]+) rows fit", advice):
            smaller = int(found[1].replace(",", ""))
            assert smaller < n or tier == "disk"
            less = arguments | {"n": smaller, "bytes_points": smaller * d, "tier": "ram"}
            assert plan_of(memory=limit, **less).bytes_memory >= 0.0
            more = arguments | {"n": smaller + 1, "bytes_points": (smaller + 1) * d, "tier": "ram"}
            with pytest.raises(PlanError):
                plan_of(memory=limit, **more)
        if found := re.search(r"give memory='([\d,]+)'", advice):
            enough = int(found[1].replace(",", ""))
            assert plan_of(memory=enough, **arguments | {"tier": "auto", "disk": 10**15})
    else:
        assert plan.bytes_memory <= limit
        assert plan.bytes_disk <= disk_free


def test_a_refused_plan_reads_well():
    with pytest.raises(
        PlanError,
        match=r"^memory: [\d,]+ bytes needed on the ram tier for n = 60,000 in float64, got 8,000,000,000: "
        r"[\d,]+ missing; tier='disk' fits with [\d,]+ bytes$",
    ):
        plan_of(60_000, memory=8 * GB, tier="ram")
    with pytest.raises(
        PlanError,
        match=r"^disk: [\d,]+ bytes needed .* 5 free: [\d,]+ missing; .*memory='[\d,]+', or take solver='pcg'",
    ):
        plan_of(60_000, memory=8 * GB, disk=5)


def test_max_order_grows_with_memory_and_is_zero_where_nothing_fits():
    costs = Costs.of(n=1, d=784, n_rhs=1)
    found = [max_order(costs, limit) for limit in (10**8, GB, 4 * GB, 16 * GB, 64 * GB)]
    assert found[0] == 0
    assert found == sorted(found)
    assert 55_000 < found[3] < 63_000  # 8 n^2 / 2 bytes


@pytest.mark.parametrize(
    ("argument", "value", "says"),
    [
        ("tier", "tape", "tier: got 'tape', expected one of auto, ram, disk"),
        ("precision", "half", "precision: got 'half', expected one of float64, float32, mixed"),
        ("n", 0, "n: got 0 rows, expected at least 1"),
    ],
)
def test_unknown_choices_are_named(argument, value, says):
    with pytest.raises(InputError, match=re.escape(says)):
        plan_of(**{argument: value})


def test_predicted_seconds_scale_with_the_rate():
    assert plan_of().predicted_seconds is None
    slow, fast = (plan_of(60_000).timed(rate).predicted_seconds for rate in (5e10, 1e11))
    assert slow > 1.8 * (fast - 6 * 8 * PanelLayout.of_order(60_000).elements / 20e9)
    assert plan_of(60_000).timed(1e11).predicted_seconds > 60_000**3 / 3 / 1e11
    assert plan_of(60_000, precision="float32").timed(1e11).predicted_seconds < fast


def test_the_plan_holds_plain_numbers():
    assert json.loads(json.dumps(plan_of().timed(1e11).to_dict()))["n"] == 20_000
    assert not any(isinstance(value, np.generic) for value in plan_of().to_dict().values())


def test_the_disk_is_asked_only_where_it_matters():
    costs = Costs.of(n=2_000, d=10, n_rhs=1)

    def asked() -> int:
        raise AssertionError("the disk was asked")

    assert place(costs, Limits(10**10, asked)).tier == "ram"
    assert place(costs, Limits(10**10, lambda: 10**9), tier="disk").bytes_disk == costs.bytes_factor
    with pytest.raises(AssertionError, match="was asked"):
        place(costs, Limits(10**10, asked), tier="disk")
