"""RMSProp by its formula; label smoothing and optimisers survive a resume."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kernelfit.deep.data.sources import load_resident  # noqa: E402
from kernelfit.deep.recipe import default  # noqa: E402
from kernelfit.deep.training import optimizers  # noqa: E402
from kernelfit.deep.training.engine import Training  # noqa: E402
from kernelfit.deep.training.hardware import Hardware  # noqa: E402

CPU = torch.device("cpu")
SMALL = {"dataset": "digits", "side": 8, "n": 100, "n_test": 20, "batch": 32, "epochs": 2}


def trained(recipe, folder=None, stop_after=None):
    training = Training(
        [recipe], load_resident([recipe], CPU), folder=folder, hardware=Hardware(device="cpu")
    )
    with training.hardware.session(CPU):
        steps = training.steps_taken()
        for count, _ in enumerate(steps, start=1):
            if count == stop_after:
                steps.close()
    return training


def test_rmsprop_is_tensorflows():
    recipe = default("mlp-1x512", optimizer="rmsprop", momentum=0.8, rms_decay=0.7, rms_epsilon=0.5)
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = optimizers.make(recipe, [weight], 0.1)
    w, s, m = np.array([1.0, -2.0]), np.ones(2), np.zeros(2)
    for step in range(1, 6):
        gradient = np.array([math.sin(step), math.cos(step)])
        weight.grad = torch.from_numpy(gradient)
        optimizer.step()
        s = 0.7 * s + 0.3 * gradient**2
        m = 0.8 * m + 0.1 * gradient / np.sqrt(s + 0.5)
        w = w - m
    np.testing.assert_allclose(weight.detach().numpy(), w, rtol=1e-14)


def test_smoothed_labels_cost_what_the_formula_says():
    """One step on all rows: (1 - e) * loss of the label + e * mean loss over the classes."""
    plain, smooth = (
        trained(default("mlp-1x512", **{**SMALL, "batch": 100, "epochs": 1}, label_smoothing=e))
        for e in (0.0, 0.2)
    )
    fresh = trained(default("mlp-1x512", **{**SMALL, "batch": 100, "epochs": 1}), stop_after=None)
    assert fresh.history[0][0]["loss"] == plain.history[0][0]["loss"]
    recipe = plain.recipe
    start = Training([recipe], load_resident([recipe], CPU), hardware=Hardware(device="cpu"))
    with torch.no_grad():
        losses = -start.model(start.source.train_inputs[0][None])[0].log_softmax(1)
    label = losses.gather(1, start.source.labels[0][:, None]).mean()
    assert plain.history[0][0]["loss"] == pytest.approx(label.item(), rel=1e-5)
    assert smooth.history[0][0]["loss"] == pytest.approx((0.8 * label + 0.2 * losses.mean()).item(), rel=1e-5)


@pytest.mark.parametrize("model", ["mlp-1x512", "alexnet"])
def test_rmsprop_resumes_bit_for_bit(tmp_path, model):
    recipe = default(model, optimizer="rmsprop", label_smoothing=0.1, weight_decay=1e-3, **SMALL)
    full = trained(recipe)
    trained(recipe, tmp_path, stop_after=5)
    resumed = trained(recipe, tmp_path)
    assert full.history[0][-1]["loss"] == resumed.history[0][-1]["loss"]
    for one, other in zip(full.model.state_dict().values(), resumed.model.state_dict().values(), strict=True):
        assert torch.equal(one, other)
