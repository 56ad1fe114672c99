"""The paper's tables and figures as recipes, with its numbers. No torch here.

Accuracies are in per cent, train / test, as the paper prints them. Runs that several tables need are one recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kernelfit.deep.recipe import WEIGHT_DECAY_CANDIDATES, Recipe, default
from kernelfit.errors import InputError

# model -> (crop, weight decay) -> train, test on true labels; and train, test on random labels without both
TABLE1: dict[str, tuple[dict[tuple[bool, bool], tuple[float, float]], tuple[float, float]]] = {
    "inception": (
        {
            (True, True): (100.0, 89.05),
            (True, False): (100.0, 89.31),
            (False, True): (100.0, 86.03),
            (False, False): (100.0, 85.75),
        },
        (100.0, 9.78),
    ),
    "inception-no-bn": ({(False, True): (100.0, 83.00), (False, False): (100.0, 82.00)}, (100.0, 10.12)),
    "alexnet": (
        {
            (True, True): (99.90, 81.22),
            (True, False): (99.82, 79.66),
            (False, True): (100.0, 77.36),
            (False, False): (100.0, 76.07),
        },
        (99.82, 9.86),
    ),
    "mlp-3x512": ({(False, True): (100.0, 53.35), (False, False): (100.0, 52.39)}, (100.0, 10.48)),
    "mlp-1x512": ({(False, True): (99.80, 50.39), (False, False): (100.0, 50.51)}, (99.34, 10.61)),
}
# model, regulariser -> train accuracy on random labels; None: fails to converge
TABLE4: dict[tuple[str, str], float | None] = {
    ("inception", "weight decay"): 100.0,
    ("alexnet", "weight decay"): None,
    ("mlp-3x512", "weight decay"): 100.0,
    ("mlp-1x512", "weight decay"): 99.21,
    ("inception", "random crop"): 99.93,
    ("inception", "augmentation"): 99.28,
}
# labels, (augmentation, dropout, weight decay) -> train top 1, train top 5, test top 1, test top 5, and the best
# test accuracies along training where the paper gives them
TABLE2: dict[tuple[str, str], tuple[float, float, float, float, float | None, float | None]] = {
    ("true", "yyy"): (92.18, 99.21, 77.84, 93.92, None, None),
    ("true", "ynn"): (92.33, 99.17, 72.95, 90.43, None, None),
    ("true", "nny"): (90.60, 100.0, 67.18, 86.44, 72.57, 91.31),
    ("true", "nnn"): (99.53, 100.0, 59.80, 80.38, 63.16, 84.49),
    ("random-labels", "nyy"): (91.18, 97.95, 0.09, 0.49, None, None),
    ("random-labels", "nny"): (87.81, 96.15, 0.12, 0.50, None, None),
    ("random-labels", "nnn"): (95.20, 99.14, 0.11, 0.56, None, None),
}
# Augmentation, dropout and weight decay, on (y) or off (n), in words
SWITCHES = {
    "yyy": "aug, drop, decay",
    "ynn": "aug",
    "nny": "decay",
    "nnn": "none",
    "nyy": "drop, decay",
}
FIGURE1A = ("true", "random-labels", "shuffled-pixels", "random-pixels", "gaussian")
# Steps to a loss of 0.1 at batch 128 in an independent replication of figure 1a.
REPLICATION_STEPS = {
    "true": 4_000,
    "random-labels": 16_600,
    "shuffled-pixels": 5_600,
    "random-pixels": 11_900,
    "gaussian": 8_800,
}
FIGURE1BC_MODELS = ("inception", "alexnet", "mlp-1x512")
NOISE = tuple(k / 10 for k in range(11))
TARGETS = ("table1", "table2", "table4", "fig1", "fig2")
# Fresh augmentation each epoch converges slowly: slower decay, more epochs, stop on a plateau.
VARIED = {"epochs": 400, "rate_decay": 0.999, "plateau": 20}


@dataclass(frozen=True)
class Cell:
    """One entry of a table: the runs of all seeds, and the paper's numbers by metric, in per cent.

    A metric without a number is measured and the paper has none; `fails`: the paper reports no convergence.
    """

    row: str
    column: str
    recipes: tuple[Recipe, ...]
    paper: dict[str, float | None]
    fails: bool = False


def _seeds(seeds: Sequence[int], model: str, scale: dict[str, Any], **changes: Any) -> tuple[Recipe, ...]:
    return tuple(default(model, seed=seed, **{**changes, **scale}) for seed in seeds)


def within_gate(cell: Cell, metric: str, ours: float) -> bool | None:
    """Whether a mean of table 1, in per cent, agrees with the paper: within 1 point, 1.5 for the MLPs, and
    10 +- 0.9 for the test accuracy after random labels. None where the paper has no number.
    """
    if metric == "test_accuracy" and cell.recipes[0].corruption == "random-labels":
        # 10.9 is inside the gate although 10.9 - 10 > 0.9 in binary.
        return round(abs(ours - 10), 9) <= 0.9
    paper = cell.paper[metric]
    return (
        None if paper is None else round(abs(ours - paper), 9) <= (1.5 if cell.row.startswith("mlp") else 1.0)
    )


def table1(seeds: Sequence[int], scale: dict[str, Any]) -> list[Cell]:
    """Table 1: models with and without random crop and weight decay, and on random labels."""
    cells = []
    for model, (true, random) in TABLE1.items():
        for (crop, decay), (train, test) in true.items():
            name = " + ".join(word for word, on in (("crop", crop), ("decay", decay)) if on) or "neither"
            runs = _seeds(seeds, model, scale, crop=crop, weight_decay=decay)
            cells.append(Cell(model, name, runs, {"train_accuracy": train, "test_accuracy": test}))
        runs = _seeds(seeds, model, scale, corruption="random-labels")
        cells.append(
            Cell(model, "random labels", runs, {"train_accuracy": random[0], "test_accuracy": random[1]})
        )
    return cells


def table4(seeds: Sequence[int], scale: dict[str, Any]) -> list[Cell]:
    """Table 4: random labels under regularisers; with varied images the online accuracy counts."""
    cells = []
    for (model, regulariser), train in TABLE4.items():
        changes: dict[str, Any] = {"corruption": "random-labels"}
        metric = "train_accuracy"
        if regulariser == "weight decay":
            changes["weight_decay"] = True
        else:
            changes |= {"crop": True} if regulariser == "random crop" else {"augment": True}
            changes |= VARIED
            metric = "online_accuracy"
        runs = _seeds(seeds, model, scale, **changes)
        cells.append(Cell(model, regulariser, runs, {metric: train}, fails=train is None))
    return cells


def weight_decay_sweep(seeds: Sequence[int], scale: dict[str, Any]) -> list[Cell]:
    """The open coefficients: true and random labels under each candidate."""
    cells = []
    measured: dict[str, float | None] = {"train_accuracy": None, "test_accuracy": None}
    for model, decays in WEIGHT_DECAY_CANDIDATES.items():
        for decay in decays:
            for labels in ("true", "random-labels"):
                runs = _seeds(seeds, model, scale, corruption=labels, weight_decay=decay)
                cells.append(Cell(model, f"{labels.replace('-labels', '')}, {decay:g}", runs, measured))
    return cells


def table2(scale: dict[str, Any], seed: int = 0) -> list[Cell]:
    """Table 2: Inception V3 on ImageNet, one seed."""
    cells = []
    for (labels, switches), numbers in TABLE2.items():
        augment, dropout, decay = (letter == "y" for letter in switches)
        recipe = default(
            "inception-v3",
            corruption=labels,
            seed=seed,
            augment=augment,
            dropout=0.2 if dropout else 0.0,
            weight_decay=decay,
            **scale,
        )
        names = [f"{part}_{kind}" for part in ("train", "test", "best_test") for kind in ("accuracy", "top5")]
        paper = dict(zip(names, numbers, strict=True))
        cells.append(Cell(labels, SWITCHES[switches], (recipe,), paper))
    return cells


def figure1a(
    seeds: Sequence[int], scale: dict[str, Any], model: str = "inception"
) -> dict[str, tuple[Recipe, ...]]:
    """Training loss under the five corruptions."""
    return {name: _seeds(seeds, model, scale, corruption=name) for name in FIGURE1A}


def figure1bc(
    seeds: Sequence[int], scale: dict[str, Any], models: Sequence[str] = FIGURE1BC_MODELS
) -> dict[str, dict[float, tuple[Recipe, ...]]]:
    """Time to overfit and test error against the share of corrupted labels."""
    return {
        model: {p: _seeds(seeds, model, scale, corruption="corrupt-labels", p=p) for p in NOISE}
        for model in models
    }


def figure2(seeds: Sequence[int], scale: dict[str, Any]) -> dict[str, tuple[Recipe, ...]]:
    """Curves with and without batch normalisation, nothing else switched on."""
    return {model: _seeds(seeds, model, scale) for model in ("inception", "inception-no-bn")}


def recipes(target: str, seeds: Sequence[int], scale: dict[str, Any]) -> list[Recipe]:
    """All runs of a target, each once."""
    if target == "table1":
        found = [r for cell in table1(seeds, scale) for r in cell.recipes]
    elif target == "table2":
        found = [r for cell in table2(scale, seeds[0]) for r in cell.recipes]
    elif target == "table4":
        cells = [*table4(seeds, scale), *weight_decay_sweep(seeds, scale)]
        found = [r for cell in cells for r in cell.recipes]
    elif target == "fig1":
        found = [r for runs in figure1a(seeds, scale).values() for r in runs]
        found += [r for by_p in figure1bc(seeds, scale).values() for runs in by_p.values() for r in runs]
    elif target == "fig2":
        found = [r for runs in figure2(seeds, scale).values() for r in runs]
    else:
        raise InputError(f"target: got {target!r}, expected one of {', '.join(TARGETS)}")
    return list(dict.fromkeys(found))
