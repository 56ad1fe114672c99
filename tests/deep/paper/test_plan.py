"""What a reproduction would take: on a CPU from steps that are timed, on CUDA from the peak."""

import io

import pytest
from rich.console import Console

torch = pytest.importorskip("torch")

from kernelfit.deep.paper import plan, tables  # noqa: E402
from kernelfit.deep.recipe import default  # noqa: E402
from kernelfit.deep.training.hardware import Hardware  # noqa: E402


def text_of(record):
    text = io.StringIO()
    console = Console(width=80, file=text)
    for part in tables.plan(record):
        console.print(part)
    return " ".join(text.getvalue().split())


def test_a_cpu_is_measured_and_stacks_count_together(monkeypatch):
    asked = []

    def rate(recipe, hardware, stack):
        asked.append((recipe.model, stack))
        return 1000.0

    monkeypatch.setattr(plan, "images_per_second", rate)
    runs = [default("mlp-1x512", n=500, epochs=4, seed=seed) for seed in range(3)] + [
        default("alexnet", n=100)
    ]
    record = plan.plan(runs, Hardware(device="cpu"), stack=2)
    assert asked == [("mlp-1x512", 2), ("alexnet", 1)]
    assert record["models"]["mlp-1x512"]["seconds"] == 3 * 500 * 4 / 1000
    assert record["seconds"] == 6 + 100 * 100 / 1000
    assert "measured on this CPU" in text_of(record)
    assert "peak" not in text_of(record)


def test_the_peak_counts_on_cuda(monkeypatch):
    monkeypatch.setattr(Hardware, "resolve", lambda self: torch.device("cuda"))
    monkeypatch.setattr(plan, "images_per_second", lambda *_: pytest.fail("measured"))
    record = plan.plan([default("inception")], Hardware())
    assert record["seconds"] == pytest.approx(record["petaflop"] * 1e15 / 790e12)
    assert "the peak is 790 TFLOP/s" in text_of(record)


@pytest.mark.parametrize(("model", "stack"), [("mlp-1x512", 3), ("alexnet", 3)])
def test_steps_are_timed_in_the_engine_itself(model, stack):
    recipe = default(model, batch=4, augment=True, corruption="random-labels")
    assert plan.images_per_second(recipe, Hardware(device="cpu"), stack) > 0
