"""Evaluation, batch-norm statistics, and what is known of single examples."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kernelfit.deep.data.sources import load_resident  # noqa: E402
from kernelfit.deep.models.build import build  # noqa: E402
from kernelfit.deep.models.runs import OneRun  # noqa: E402
from kernelfit.deep.recipe import default  # noqa: E402
from kernelfit.deep.training.evaluate import evaluate, fresh_statistics  # noqa: E402
from kernelfit.deep.training.hardware import Hardware  # noqa: E402
from kernelfit.deep.training.memorisation import Memory  # noqa: E402
from kernelfit.deep.world import World  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def source():
    return load_resident([default("inception", dataset="digits", side=8, n=60, n_test=45)], CPU)


def test_statistics_are_the_training_sets_within_and_the_old_ones_after(source):
    model = OneRun(build("inception", shape=source.shape))
    unit = model.model.stages[0]
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with fresh_statistics(model, source, Hardware(device="cpu"), CPU, World()):
        pre = unit.conv(source.train_inputs[0])  # pads by itself
        torch.testing.assert_close(unit.norm.running_mean, pre.mean((0, 2, 3)), rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(unit.norm.running_var, pre.var((0, 2, 3)), rtol=1e-3, atol=1e-5)
        assert not model.training
        assert not unit.norm.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert unit.norm.momentum == pytest.approx(0.0003)


def test_statistics_are_the_cumulative_average_without_a_question_to_the_device(source, monkeypatch):
    model = OneRun(build("inception", shape=source.shape))
    norm = model.model.stages[0].norm
    hardware = Hardware(device="cpu", evaluation_rows=25)
    with fresh_statistics(model, source, hardware, CPU, World()):
        found = norm.running_mean.clone(), norm.running_var.clone()
    norm.reset_running_stats()
    norm.momentum = None
    norm.train()
    with torch.no_grad():
        for first in (0, 25):
            norm(model.model.stages[0].conv(source.train_inputs[0][first : first + 25]))
    assert torch.equal(found[0], norm.running_mean)
    assert torch.equal(found[1], norm.running_var)

    def asked(self):
        pytest.fail("the host asked a tensor for its value")

    monkeypatch.setattr(torch.Tensor, "__float__", asked)
    monkeypatch.setattr(torch.Tensor, "item", asked)
    with fresh_statistics(model, source, hardware, CPU, World()):
        pass


@pytest.mark.parametrize("rows", [7, 45, 1000])
def test_accuracies_and_loss_whatever_the_blocks(source, rows):
    model = OneRun(build("mlp-1x512", shape=source.shape))
    found = evaluate(model, source, "test", Hardware(device="cpu", evaluation_rows=rows), CPU, World())
    with torch.no_grad():
        logits = model.model(source.test_inputs[0])
    labels = source.test_labels[0]
    order = logits.argsort(descending=True)
    assert found["accuracy"] == [pytest.approx((order[:, 0] == labels).float().mean().item())]
    assert found["top5"] == [pytest.approx((order[:, :5] == labels[:, None]).any(1).float().mean().item())]
    assert found["loss"] == [
        pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)
    ]


def test_what_was_learned_when_and_forgotten():
    memory = Memory.empty(1, 4, CPU)
    for epoch, row in enumerate([[0, 1, 0, 1], [1, 0, 0, 1], [1, 1, 0, 0]], start=1):
        memory.see(torch.tensor([row]).bool(), epoch)
    np.testing.assert_array_equal(memory.first_learned, [[2, 1, -1, 1]])
    np.testing.assert_array_equal(memory.forgotten, [[0, 1, 0, 1]])
    (summary,) = memory.summaries(torch.tensor([[False, False, True, True]]))
    assert summary == {
        "clean_accuracy": 1.0,
        "clean_first_learned": 1.5,
        "clean_forgotten": 0.5,
        "corrupted_accuracy": 0.0,
        "corrupted_first_learned": 1.0,
        "corrupted_forgotten": 0.5,
    }
    (summary,) = memory.summaries(torch.zeros(1, 4, dtype=torch.bool))
    assert summary["corrupted_accuracy"] is None
    assert summary["clean_accuracy"] == 0.5


def test_runs_side_by_side_have_a_summary_each():
    memory = Memory.empty(2, 3, CPU)
    memory.see(torch.tensor([[True, True, False], [False, False, True]]), 1)
    memory.see(torch.tensor([[True, False, True], [False, False, False]]), 2)
    one, other = memory.summaries(torch.tensor([[True, False, False], [False, True, True]]))
    assert (one["corrupted_accuracy"], one["clean_accuracy"]) == (1.0, 0.5)
    assert (one["clean_first_learned"], one["clean_forgotten"]) == (1.5, 0.5)
    assert (other["clean_first_learned"], other["corrupted_first_learned"]) == (None, 1.0)
    assert (other["corrupted_accuracy"], other["corrupted_forgotten"]) == (0.0, 0.5)
