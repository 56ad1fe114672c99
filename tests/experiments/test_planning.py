"""A plan refuses the tiers that a solve refuses."""

import pytest

from kernelfit.errors import InputError
from kernelfit.experiments.planning import Shape, plan_solve
from kernelfit.experiments.specs import SolverSettings


@pytest.mark.parametrize(("solver", "tier"), [("pcg", "disk"), ("askotch", "disk"), ("askotch", "ram")])
def test_a_tier_that_iterations_have_not(solver, tier):
    with pytest.raises(InputError, match=f"tier: got '{tier}' with solver '{solver}'"):
        plan_solve(Shape(1_000, 10, 1), SolverSettings(solver=solver, tier=tier), predict_time=False)
