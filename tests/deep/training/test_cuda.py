"""What a GPU adds: graphs, compiled networks, bf16, streams. Skipped where torch sees none."""

import dataclasses

import pytest

torch = pytest.importorskip("torch")

from kernelfit.deep.data.sources import load_resident  # noqa: E402
from kernelfit.deep.recipe import default  # noqa: E402
from kernelfit.deep.training import sweep  # noqa: E402
from kernelfit.deep.training.engine import Training  # noqa: E402
from kernelfit.deep.training.hardware import Hardware  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
    # Compilers and libraries give advice here (TF32 is off, a setting has a newer name) that is no failure.
    pytest.mark.filterwarnings("default"),
]

EXACT = Hardware(device="cuda", precision="float32")
# 150 rows in batches of 32: four full steps through the graph and a ragged one beside it.
SMALL = {"dataset": "digits", "side": 8, "n": 150, "n_test": 60, "batch": 32, "epochs": 3}


def train(recipes, hardware, folder=None):
    source = load_resident(recipes, torch.device("cuda"))
    return Training(recipes, source, folder=folder, hardware=hardware).run()


def losses(outcomes):
    return [[record["loss"] for record in outcome.history] for outcome in outcomes]


CASES = [
    [default("mlp-1x512", **SMALL), default("mlp-1x512", **SMALL, seed=1, weight_decay=0.004)],
    [default("alexnet", **{**SMALL, "side": 6}, crop=True, weight_decay=True)],
    [default("inception", **SMALL, rates=(0.01,), weight_decay=True)],
]


@pytest.mark.parametrize("recipes", CASES, ids=lambda recipes: recipes[0].model)
@pytest.mark.parametrize("switches", ["graph", "compile", "graph compile"])
def test_fast_switches_leave_the_numbers(recipes, switches):
    plain = losses(train(recipes, EXACT))
    fast = losses(train(recipes, dataclasses.replace(EXACT, **dict.fromkeys(switches.split(), True))))
    for one, other in zip(plain, fast, strict=True):
        assert other == pytest.approx(one, rel=2e-3)


@pytest.mark.parametrize("recipes", CASES, ids=lambda recipes: recipes[0].model)
def test_the_card_computes_what_the_processor_does(recipes):
    source = load_resident(recipes, torch.device("cpu"))
    processor = losses(Training(recipes, source, hardware=Hardware(device="cpu")).run())
    for one, other in zip(processor, losses(train(recipes, EXACT)), strict=True):
        assert other == pytest.approx(one, rel=2e-3)


def test_bf16_stays_near_float32():
    recipes = CASES[2]
    for one, other in zip(
        losses(train(recipes, EXACT)), losses(train(recipes, Hardware(device="cuda"))), strict=True
    ):
        assert other == pytest.approx(one, rel=0.05)


def test_a_graphed_run_resumes(tmp_path):
    hardware = dataclasses.replace(EXACT, graph=True, checkpoint_seconds=0.0)
    recipes = CASES[1]
    (full,) = train(recipes, hardware)
    source = load_resident(recipes, torch.device("cuda"))
    half = Training(recipes, source, folder=tmp_path, hardware=hardware)
    with hardware.session(torch.device("cuda")):
        steps = half.steps_taken()
        for _ in range(7):
            next(steps)
        steps.close()
    (resumed,) = train(recipes, hardware, tmp_path)
    assert losses([resumed])[0] == pytest.approx(losses([full])[0], rel=2e-3)


def test_runs_side_by_side_are_those_one_by_one(tmp_path):
    # More runs than places: graphs are captured and given back while others are replayed.
    recipes = [
        dataclasses.replace(recipe, seed=recipe.seed + 2 * more)
        for more in range(3)
        for case in CASES
        for recipe in case
    ]
    hardware = dataclasses.replace(EXACT, graph=True)
    alone = sweep.run(recipes, tmp_path / "alone", hardware=hardware, stack=2)
    beside = sweep.run(recipes, tmp_path / "beside", hardware=hardware, stack=2, at_once=4)
    assert alone.keys() == beside.keys()
    for key, one in alone.items():
        for before, after in zip(one["history"], beside[key]["history"], strict=True):
            assert after["loss"] == pytest.approx(before["loss"], rel=2e-3)
