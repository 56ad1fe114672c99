"""What data sets must be like for networks."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kernelfit.datasets import Dataset, load  # noqa: E402
from kernelfit.deep.data.sources import check_images  # noqa: E402
from kernelfit.deep.recipe import default  # noqa: E402
from kernelfit.deep.training import sweep  # noqa: E402
from kernelfit.deep.training.hardware import Hardware  # noqa: E402
from kernelfit.errors import InputError  # noqa: E402


def made(**changes):
    X, y = np.ones((4, 48)), np.arange(4) % 2
    data = Dataset("made", X, y, X[:2], y[:2], ("a", "b"), (4, 4, 3), 1.0)
    return dataclasses.replace(data, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"classes": None, "y_train": np.zeros(4), "y_test": np.zeros(2)},
            "dataset: made has numeric targets",
        ),
        ({"image_shape": None}, "dataset: made holds no images"),
        ({"X_test": np.full((2, 48), 1e30)}, r"X_test: got values up to 1e\+30 .* overflow in float32"),
    ],
)
def test_data_that_networks_cannot_take(changes, message):
    with pytest.raises(InputError, match=message):
        check_images(default("mlp-1x512"), made(**changes))


def test_a_random_crop_needs_images_larger_than_it():
    with pytest.raises(InputError, match=r"crop: got images of 4 x 4 in made, .* choose a side below 4"):
        check_images(default("mlp-1x512", crop=True), made())
    check_images(default("mlp-1x512", crop=True, side=3), made())


def test_a_sweep_refuses_before_it_trains_anything(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "training", lambda *_, **__: pytest.fail("trained"))
    assert load("digits").image_shape[:2] == (8, 8)
    small = {"dataset": "digits", "n": 20, "n_test": 10, "epochs": 1}
    recipes = [default("mlp-1x512", **small), default("alexnet", crop=True, **small)]
    with pytest.raises(InputError, match="crop: got images of 8 x 8"):
        sweep.run(recipes, tmp_path, hardware=Hardware(device="cpu"))
