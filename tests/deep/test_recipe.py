"""Recipes: the paper's settings, keys, choices."""

from pathlib import Path

import numpy as np
import pytest

from kernelfit.deep.recipe import CHOICES, Recipe, choices, default
from kernelfit.errors import InputError


def test_the_papers_settings():
    inception, alexnet, mlp = default("inception"), default("alexnet"), default("mlp-3x512")
    assert (inception.rates, alexnet.rates, mlp.rates) == ((0.1,), (0.01,), (0.01,))
    assert (inception.epochs, alexnet.epochs, mlp.epochs) == (100, 100, 200)
    assert {r.momentum for r in (inception, alexnet, mlp)} == {0.9}
    assert {r.rate_decay for r in (inception, alexnet, mlp)} == {0.95}
    assert {r.batch for r in (inception, alexnet, mlp)} == {128}
    assert default("inception-no-bn").rates == (0.1, 0.05, 0.02, 0.01)
    assert default("inception", weight_decay=True).weight_decay == 4e-5
    assert default("alexnet", weight_decay=True).weight_decay == 0.004
    assert default("inception-v3").side == 299


def test_no_and_full_corruption_are_shared_with_the_other_tables():
    assert default("alexnet", corruption="corrupt-labels", p=0.0) == default("alexnet")
    assert default("alexnet", corruption="corrupt-labels", p=1.0) == default(
        "alexnet", corruption="random-labels"
    )
    assert default("alexnet", corruption="random-labels", p=0.3).p == 1.0


def test_the_key_names_every_field():
    base = default("mlp-1x512")
    others = [
        default("mlp-1x512", **change)
        for change in ({"seed": 1}, {"n": 10}, {"epochs": 3}, {"weight_decay": 1e-3}, {"threshold": 0.2})
    ]
    assert len({base.key, *(other.key for other in others)}) == 6
    assert Recipe.from_json(base.to_json()) == base
    assert default("mlp-1x512").key == base.key


def test_keys_of_older_runs_stay():
    assert default("mlp-1x512").key == "mlp-1x512-true-seed0-41c0f6d799"
    assert "optimizer" not in default("mlp-1x512").to_json()
    assert default("mlp-1x512", label_smoothing=0.1).to_json()["label_smoothing"] == 0.1


def test_every_choice_is_reported():
    listed = choices(default("inception-no-bn"))
    assert {entry["name"] for entry in listed} == {choice.name for choice in CHOICES}
    assert all(entry["mark"] in ("C", "R", "G", "C/G") for entry in listed)
    assert next(entry for entry in listed if entry["name"] == "batch")["value"] == 128


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rates": (0.1, float("nan"))}, "rates"),
        ({"rates": (float("inf"),)}, "rates"),
        ({"rate_decay": -1.0}, "rate_decay"),
        ({"rate_decay": float("nan")}, "rate_decay"),
        ({"weight_decay": float("nan")}, "weight_decay"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed: got 9223372036854775808"),
        ({"dropout": 1.0}, "dropout: got 1.0"),
        ({"optimizer": "adam"}, "optimizer: got 'adam', expected one of sgd, rmsprop"),
        ({"label_smoothing": 1.0}, "label_smoothing: got 1.0"),
        ({"rms_epsilon": 0.0}, "rms_epsilon: got 0.0"),
        ({"corruption": "noise"}, "corruption: got 'noise'"),
        ({"crop": True, "corruption": "gaussian"}, "crop: random crops of gaussian"),
        ({"augment": True, "corruption": "random-pixels"}, "augment: flips and rotations of random-pixels"),
        ({"corruption": "corrupt-labels", "p": 1.5}, "p: got 1.5"),
        ({"epochs": 0}, "epochs: got 0"),
        ({"rates": (0.0,)}, "rates: got"),
        ({"weight_decay": -1.0}, "weight_decay: got"),
        ({"rates": 0.1}, "rates: got 0.1, expected a ladder"),
        ({"n": 0}, "n: got 0, expected an integer >= 1"),
        ({"n_test": 2.5}, "n_test: got 2.5"),
        ({"epochs": 1.5}, "epochs: got 1.5"),
        ({"seed": True}, "seed: got True"),
        ({"plateau": -1}, "plateau: got -1"),
        ({"decay_every": 0}, "decay_every: got 0"),
        ({"threshold": float("nan")}, "threshold: got nan"),
        ({"crop": 1}, "crop: got 1, expected True or False"),
    ],
)
def test_refusals(change, message):
    with pytest.raises(InputError, match=message):
        default("mlp-1x512", **change)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"seed": np.int64(3)}, {"seed": 3}),
        ({"n": np.int32(7), "batch": 64.0}, {"n": 7, "batch": 64}),
        ({"weight_decay": 1}, {"weight_decay": 1.0}),
        ({"rates": [np.float64(0.5), 1]}, {"rates": (0.5, 1.0)}),
        ({"corruption": "corrupt-labels", "p": np.float32(0.5)}, {"corruption": "corrupt-labels", "p": 0.5}),
        ({"crop": np.True_}, {"crop": True}),
        ({"dataset": Path("rows.csv")}, {"dataset": "rows.csv"}),
    ],
)
def test_equal_recipes_have_one_key(change, same):
    ours, theirs = default("mlp-1x512", **change), default("mlp-1x512", **same)
    assert ours == theirs
    assert ours.key == theirs.key
    assert len({ours, theirs}) == 1


def test_unknown_model():
    with pytest.raises(InputError, match="model: got 'resnet'"):
        default("resnet")
