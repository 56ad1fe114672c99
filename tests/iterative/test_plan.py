"""Memory of an iterative solve."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.errors import PlanError, StorageError
from kernelfit.gram.costs import Costs
from kernelfit.gram.placement import Limits
from kernelfit.gram.points import Points
from kernelfit.iterative.formed_gram import FormedGram
from kernelfit.iterative.plan import (
    bytes_of_gram,
    bytes_of_preconditioner,
    bytes_of_rows,
    plan_either,
    plan_iterations,
)
from kernelfit.iterative.sketch_plan import plan_blocks
from kernelfit.iterative.stored_gram import StoredGram
from kernelfit.kernels import Gaussian


def costs(n: int) -> Costs:
    return Costs.of(n=n, d=784, n_rhs=10, threads=2, bytes_points=n * 784)


@pytest.mark.parametrize("n", [3, 512, 1_500])
def test_bytes_of_k(n: int) -> None:
    assert StoredGram(n).nbytes <= bytes_of_gram(n) <= 2 * 4 * (n + 512) ** 2


@pytest.mark.parametrize(("n", "exact"), [(4_096, True), (4_097, False)])
def test_k_in_float64_beside_its_tiles_counts(n: int, exact: bool) -> None:
    """A solve of 4,096 rows took 67 MB more than its limit."""
    plan = plan_iterations(costs(n), 10**10, generated=True)
    beside = plan.bytes_factor - bytes_of_gram(n) - bytes_of_preconditioner(n, plan.rank)
    assert (beside >= 4 * n * n) == exact


def test_mnist_fits_into_9_gb() -> None:
    plan = plan_iterations(costs(60_000), 9_000_000_000, generated=True)
    assert (plan.solver, plan.tier) == ("pcg", "ram")
    assert plan.bytes_memory <= 9_000_000_000
    assert plan.rank == 2_560


def test_a_smaller_rank_then_no_k_then_an_error() -> None:
    whole = plan_iterations(costs(20_000), 4_000_000_000, generated=True)
    assert (whole.tier, whole.rank) == ("ram", 1_536)
    tight = plan_iterations(costs(20_000), whole.bytes_memory - 20_000_000, generated=True)
    assert tight.tier == "ram"
    assert tight.rank < whole.rank
    without = plan_iterations(costs(20_000), 900_000_000, generated=True)
    assert (without.tier, without.rank) == ("generated", whole.rank)
    assert without.bytes_factor == bytes_of_preconditioner(20_000, whole.rank) + bytes_of_rows(costs(20_000))
    with pytest.raises(PlanError, match=r"memory: .* bytes needed .* missing; give memory="):
        plan_iterations(costs(20_000), 900_000_000, generated=False)
    with pytest.raises(PlanError):
        plan_iterations(costs(20_000), 400_000_000, generated=True)


def test_small_systems_have_full_rank() -> None:
    assert plan_iterations(costs(10), 1_000_000_000, generated=True).rank == 10


@pytest.mark.parametrize(
    ("n", "tolerance", "solver"),
    [
        (60_000, None, "cholesky"),
        (5_500, 1e-2, "cholesky"),
        (6_500, 1e-2, "pcg"),
        (8_000, 1e-6, "cholesky"),
        (9_000, 1e-6, "pcg"),
    ],
)
def test_a_tolerance_asks_for_iterations_where_they_are_faster(
    n: int, tolerance: float | None, solver: str
) -> None:
    limits = Limits(10**11, 0)
    assert plan_either(costs(n), limits, generated=True, tolerance=tolerance).solver == solver
    # Nothing is formed anew for the sake of speed, and hundreds of targets are a factor's.
    many = Costs.of(n=n, d=784, n_rhs=300, threads=2)
    assert plan_either(many, limits, generated=True, tolerance=tolerance).solver == "cholesky"


@pytest.mark.parametrize(
    ("memory", "disk", "solver", "tier"),
    [
        (16_000_000_000, 0, "cholesky", "ram"),
        (9_000_000_000, 10**12, "pcg", "ram"),
        (4_000_000_000, 10**12, "cholesky", "disk"),
        (4_000_000_000, 0, "pcg", "generated"),
    ],
)
def test_a_factor_or_iterations(memory: int, disk: int, solver: str, tier: str) -> None:
    plan = plan_either(costs(60_000), Limits(memory, disk), generated=True)
    assert (plan.solver, plan.tier) == (solver, tier)
    assert plan.bytes_memory <= memory


def test_a_factor_that_is_stored_wants_the_disk_as_well() -> None:
    factor, none = (
        plan_either(costs(60_000), Limits(16_000_000_000, disk), generated=True, stored=True)
        for disk in (10**12, 0)
    )
    assert (factor.solver, factor.bytes_disk) == ("cholesky", factor.bytes_factor)
    assert (none.solver, none.tier) == ("pcg", "ram")


@pytest.mark.parametrize(
    ("memory", "stored", "tier"), [(4_000_000_000, False, "generated"), (16_000_000_000, True, "ram")]
)
def test_without_a_folder_to_write_to_no_factor_fits_on_the_disk(
    memory: int, stored: bool, tier: str
) -> None:
    """The system's temporary folder may lie in memory, and no other be there: the whole plan was refused, and then it
    was not said that a folder is all that lacks."""
    told: list[str] = []
    limits = Limits(memory, nowhere)
    plan = plan_either(costs(60_000), limits, generated=True, stored=stored, note=told.append)
    assert (plan.solver, plan.tier) == ("pcg", tier)
    assert told == (
        [] if tier == "ram" else ["solver auto: no factor is made: scratch: got none; name a folder"]
    )


@pytest.mark.parametrize(
    ("disk", "lacking"), [(None, "scratch: got none; name a folder"), (9, "disk: .* missing; .*")]
)
def test_a_disk_that_would_do_is_named_where_memory_does_not(disk: int | None, lacking: str) -> None:
    """Of K as it is given more memory was asked for, where a folder would have done."""
    limits = Limits(4_000_000_000, nowhere if disk is None else disk)
    with pytest.raises(
        PlanError, match=rf"^memory: .* for conjugate gradients .*; nor is a factor made: {lacking}$"
    ):
        plan_either(costs(60_000), limits, generated=False)


def nowhere() -> int:
    raise StorageError("scratch: got none; name a folder")


def test_rows_of_bytes_count_twice_where_products_pack_them(rng: np.random.Generator) -> None:
    """A solve knows of its rows more than their bytes: they were taken for floats, and the packed ones not counted."""
    points = Points(rng.integers(0, 256, (700, 30), dtype=np.uint8), 1 / 255)
    floats = Points(rng.standard_normal((700, 30)))
    packed, none = (
        bytes_of_rows(Costs.of(n=700, d=30, n_rhs=1, bytes_points=rows.nbytes)) for rows in (points, floats)
    )
    assert FormedGram(Gaussian(1.0), points).nbytes <= packed
    assert none == 0


def test_blocks_leave_room_for_a_true_residual() -> None:
    """Its tiles and its columns were not counted beside blocks that memory makes small."""
    wide = Costs.of(n=100_000, d=3_072, n_rhs=1, threads=4, bytes_points=100_000 * 3_072)
    plan = plan_blocks(wide, 1_200_000_000)
    assert plan.bytes_workspace >= wide.bytes_workspace
    assert plan.bytes_memory <= 1_200_000_000


def test_wide_rows_are_converted_by_every_thread() -> None:
    """Gigabytes were not counted, and solver auto took conjugate gradients for that."""
    wide = Costs.of(n=10_000, d=50_000, n_rhs=1, threads=16, bytes_points=10_000 * 50_000 * 4)
    converted = 16 * 1_024 * 50_000 * 8
    plan = plan_iterations(wide, 10**11, generated=True)
    assert plan.bytes_workspace >= converted
    assert plan.bytes_memory >= wide.bytes_points + converted + bytes_of_gram(10_000)
    with pytest.raises(PlanError):
        plan_iterations(wide, 8_000_000_000, generated=True)
