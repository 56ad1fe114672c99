"""A recipe: everything that decides the numbers of one run, with the paper's defaults.

What the paper does not state is a field with a default and an entry in `CHOICES`, and every result lists it.
Marks: C from the authors' linked or TensorFlow's code, R from independent replications, G a best guess.
No torch here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kernelfit import arguments
from kernelfit.datasets.corruptions import CORRUPTIONS
from kernelfit.deep import own_network
from kernelfit.deep.options import MODELS, OPTIMIZERS, Optimizer
from kernelfit.errors import InputError
from kernelfit.typing import Corruption

# 4e-5 for Inception [C]; .004 on AlexNet's hidden linear layers [C]; 5e-4 the middle of the MLP's sweep [G].
WEIGHT_DECAY = {
    "inception": 4e-5,
    "inception-no-bn": 4e-5,
    "alexnet": 0.004,
    "mlp-3x512": 5e-4,
    "mlp-1x512": 5e-4,
    "inception-v3": 4e-5,
}
# Candidates around the open coefficients. AlexNet's must fail on random labels and give 77.36 on true ones.
WEIGHT_DECAY_CANDIDATES = {
    "alexnet": (4e-4, 4e-3, 4e-2),
    "mlp-3x512": (4e-5, 5e-4, 4e-3),
    "mlp-1x512": (4e-5, 5e-4, 4e-3),
}
NO_BN_RATES = (0.1, 0.05, 0.02, 0.01)

#: the fields of a recipe that are integers, with the smallest value of each
_COUNTS = {"side": 1, "epochs": 1, "batch": 1, "decay_every": 1, "ladder_patience": 1, "plateau": 0}
#: those that are numbers
_NUMBERS = (
    "p",
    "weight_decay",
    "dropout",
    "rate_decay",
    "momentum",
    "ladder_margin",
    "threshold",
    "rms_decay",
    "rms_epsilon",
    "label_smoothing",
)


@dataclass(frozen=True)
class Choice:
    """A setting that the paper leaves open: the value here, where it comes from, and why."""

    name: str
    mark: str
    reason: str


CHOICES = (
    Choice("batch", "R", "the paper names no batch size; replications use 128"),
    Choice("epochs", "G", "100, and 200 for the MLPs: with the rate x 0.95 training is over by then"),
    Choice(
        "weight_decay",
        "C/G",
        "Inception and AlexNet from code; the MLP's is a guess within a published sweep; on weights alone, in AlexNet "
        "on those of the two hidden linear layers",
    ),
    Choice(
        "rates", "G", "without batch norm the rate is not stated: ladder, next rung on NaN or loss at ln c"
    ),
    Choice(
        "rate_decay",
        "G",
        "the paper's .95; .999 and up to 400 epochs for random labels under fresh crops or augmentation (Table 4)",
    ),
    Choice("ladder_patience", "G", "epochs after which a loss within ladder_margin of ln c counts as stuck"),
    Choice("ladder_margin", "G", "see ladder_patience"),
    Choice("plateau", "G", "stop after that many epochs without 0.1 % better loss; 0 trains all epochs"),
    Choice("stop_when_fitted", "G", "off: the paper's runs have a fixed length"),
    Choice("init", "C", "Inception He, cut at 2 std; AlexNet std .05/.04, cut at 2 std; MLP Glorot normal"),
    Choice(
        "local_response_norm", "C", "AlexNet: radius 4, bias 1, alpha .001 / 9, beta .75, behind each pool"
    ),
    Choice(
        "batch_norm",
        "C",
        "eps .001, decay .9997; statistics recomputed on training images as they are evaluated",
    ),
    Choice(
        "test_crop", "G", "centre crop in every evaluation, of training images too, also after random crops"
    ),
    Choice("augmentation", "G", "flip and rotation of the full image before the crop, bilinear, zero fill"),
    Choice(
        "dropout",
        "C/G",
        "0.2 before the last layer where Table 2 has dropout, as in TensorFlow's Inception V3",
    ),
    Choice(
        "imagenet",
        "C/G",
        "rate .045 x 0.94 every 2 epochs, batch 128, second head at weight 0.4, images in [-1, 1]; augmentation: "
        "random window, flip, brightness, contrast, saturation; test on the central 87.5 %",
    ),
    Choice(
        "optimizer",
        "C",
        "SGD with momentum as for CIFAR-10; public Inception V3 code has RMSProp (decay .9, momentum .9, epsilon 1)",
    ),
    Choice("label_smoothing", "C", "0; public Inception V3 code smooths by 0.1"),
    Choice("last_batch", "G", "the ragged last batch of an epoch is trained on"),
    Choice("threshold", "R", "'converged' is the first window of 50 steps with mean loss <= 0.1"),
    Choice(
        "pixel_corruptions", "G", "act on the centre crop, before whitening; Gaussian uses the data's moments"
    ),
)


@dataclass(frozen=True)
class Recipe:
    """One run. `key` names it; two tables that need the same recipe share the run."""

    model: str
    corruption: Corruption = "true"
    p: float = 1.0  # share of corrupted labels, for "corrupt-labels" alone
    crop: bool = False
    augment: bool = False
    weight_decay: float = 0.0
    dropout: float = 0.0
    seed: int = 0
    dataset: str = "cifar10"
    n: int | None = None
    n_test: int | None = None
    side: int = 28
    epochs: int = 100
    batch: int = 128
    rates: tuple[float, ...] = (0.1,)  # the ladder of learning rates; mostly one
    rate_decay: float = 0.95
    decay_every: int = 1  # epochs
    momentum: float = 0.9
    ladder_patience: int = 10
    ladder_margin: float = 0.002
    plateau: int = 0
    stop_when_fitted: bool = False
    threshold: float = 0.1
    optimizer: Optimizer = "sgd"
    rms_decay: float = 0.9  # of the mean of squared gradients, for "rmsprop" alone
    rms_epsilon: float = 1.0
    label_smoothing: float = 0.0
    network_source: str = ""  # of a network of one's own: the hash of its code

    def __post_init__(self) -> None:
        check_model(self.model)
        if self.corruption not in CORRUPTIONS:
            raise InputError(f"corruption: got {self.corruption!r}, expected one of {', '.join(CORRUPTIONS)}")
        if self.varied and self.corruption in ("shuffled-pixels", "random-pixels", "gaussian"):
            name, words = ("crop", "random crops") if self.crop else ("augment", "flips and rotations")
            raise InputError(
                f"{name}: {words} of {self.corruption} images would leave the fixed centre crop; switch one off"
            )
        for name, minimum in _COUNTS.items():
            self._set(name, arguments.integer(name, getattr(self, name), minimum, 2**63 - 1))
        for name in ("n", "n_test"):
            if getattr(self, name) is not None:
                self._set(name, arguments.integer(name, getattr(self, name), 1))
        self._set("dataset", str(self.dataset))
        self._set("seed", arguments.integer("seed", self.seed, 0, 2**63 - 1))
        for name in _NUMBERS:
            self._set(name, arguments.finite(name, getattr(self, name)))
        for name in ("crop", "augment", "stop_when_fitted"):
            self._set(name, arguments.flag(name, getattr(self, name)))
        try:
            ladder = tuple(self.rates)
        except TypeError:
            ladder = ()
        if not ladder:
            raise InputError(
                f"rates: got {self.rates!r}, expected a ladder of learning rates, such as (0.1,)"
            )
        self._set("rates", tuple(arguments.positive("rates", rate) for rate in ladder))
        if not 0 <= self.p <= 1:
            raise InputError(f"p: got {self.p}, expected a share in [0, 1]")
        arguments.positive("rate_decay", self.rate_decay)
        arguments.non_negative("weight_decay", self.weight_decay)
        if self.optimizer not in OPTIMIZERS:
            raise InputError(f"optimizer: got {self.optimizer!r}, expected one of {', '.join(OPTIMIZERS)}")
        for name in ("dropout", "label_smoothing", "momentum", "rms_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name}: got {getattr(self, name)}, expected a share in [0, 1)")
        arguments.positive("rms_epsilon", self.rms_epsilon)

    def _set(self, name: str, value: Any) -> None:
        """A field in its own type: recipes that are equal have one key."""
        object.__setattr__(self, name, value)

    @property
    def key(self) -> str:
        """A readable name with a hash of every field: the run's folder."""
        digest = hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:10]
        return "-".join([*self.words, digest])

    @property
    def words(self) -> list[str]:
        """What tells this run from its neighbours in a sweep, most fields left out."""
        words = [self.model.replace(":", "-"), self.corruption]
        if self.corruption == "corrupt-labels":
            words.append(f"p{self.p:g}")
        words += [name for name in ("crop", "augment") if getattr(self, name)]
        words += ["wd"] if self.weight_decay else []
        return [*words, f"seed{self.seed}"]

    @property
    def varied(self) -> bool:
        """Whether images change from epoch to epoch."""
        return self.crop or self.augment

    def to_json(self) -> dict[str, Any]:
        """The fields; those that were added later only where they differ from their default, so that the keys of older
        runs stay."""
        record = dataclasses.asdict(self)
        record["rates"] = list(self.rates)
        for name in ADDED_FIELDS:
            if record[name] == getattr(Recipe, name):
                del record[name]
        return record

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Recipe:
        """The inverse of `to_json`."""
        return cls(**{**record, "rates": tuple(record["rates"])})


ADDED_FIELDS = ("optimizer", "rms_decay", "rms_epsilon", "label_smoothing", "network_source")


def names(recipes: Sequence[Recipe]) -> list[str]:
    """Each run in words, and where several have the same words the fields in which these differ: such as two weight
    decays of a sweep."""
    alike: dict[tuple[str, ...], list[Recipe]] = {}
    for recipe in recipes:
        alike.setdefault(tuple(recipe.words), []).append(recipe)
    return [" ".join([*recipe.words, *_differing(recipe, alike[tuple(recipe.words)])]) for recipe in recipes]


def _differing(recipe: Recipe, others: Sequence[Recipe]) -> list[str]:
    """The fields of `recipe` in which the others are not all alike."""
    told = []
    for field in dataclasses.fields(Recipe):
        value = getattr(recipe, field.name)
        if any(getattr(other, field.name) != value for other in others):
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
            told.append(f"{field.name.replace('_', '-')} {shown}")
    return told


def check_model(model: str) -> None:
    """Raise InputError for a name that no network can have."""
    if model not in MODELS and not own_network.is_own(model):
        raise InputError(
            f"model: got {model!r}, expected one of {', '.join(MODELS)}, or package.module:function for your own"
            + arguments.suggestion(model, MODELS)
        )


def check_sources(recipes: Iterable[Recipe]) -> None:
    """Raise InputError where the code of a network of the user's own is no longer that of its recipe."""
    for model, source in dict.fromkeys((r.model, r.network_source) for r in recipes if r.network_source):
        if own_network.source_digest(model) != source:
            raise InputError(
                f"model: the code of {model} has changed since its recipe was made; make the recipe again"
            )


def default(model: str, **changes: Any) -> Recipe:
    """The paper's recipe for `model`, with `changes`; `weight_decay=True` takes the model's own coefficient.

    SGD with momentum 0.9, rate 0.1 for Inception and 0.01 for AlexNet and the MLPs, times 0.95 each epoch.
    A network of your own (`package.module:function`, see `kernelfit.deep.own_network`) is trained as the MLPs are.
    `corrupt-labels` with p = 0 or 1 becomes `true` or `random-labels`, so that runs are shared.
    """
    fields = default_fields(model)
    if model not in MODELS:
        fields["network_source"] = own_network.source_digest(model)
    fields |= changes
    if fields.get("weight_decay") is True:
        if model not in WEIGHT_DECAY:
            raise InputError(f"weight_decay: {model} has no coefficient of its own; give a number")
        fields["weight_decay"] = WEIGHT_DECAY[model]
    if fields.get("weight_decay") is False:
        fields["weight_decay"] = 0.0
    if fields.get("corruption") == "corrupt-labels":
        p = fields.get("p", 1.0)
        if p in (0, 1):
            fields |= {"corruption": "random-labels" if p else "true", "p": 1.0}
    else:
        fields["p"] = 1.0
    return Recipe(**fields)


def default_fields(model: str) -> dict[str, Any]:
    """The fields in which the recipe of `model` differs from the fields' defaults, and its name."""
    check_model(model)
    fields: dict[str, Any] = {"model": model}
    if model not in MODELS:
        fields |= {"rates": (0.01,)}
    if model.startswith("mlp"):
        fields |= {"rates": (0.01,), "epochs": 200}
    elif model == "alexnet":
        fields |= {"rates": (0.01,)}
    elif model == "inception-no-bn":
        fields |= {"rates": NO_BN_RATES}
    elif model == "inception-v3":
        # [G] apart from the image size; the paper gives no schedule for ImageNet.
        fields |= {
            "dataset": "imagenet",
            "side": 299,
            "rates": (0.045,),
            "rate_decay": 0.94,
            "decay_every": 2,
        }
    return fields


def choices(recipe: Recipe) -> list[dict[str, Any]]:
    """What is not the paper's word in this recipe: name, value where it is a field, mark, reason."""
    fields = dataclasses.asdict(recipe) | {"rates": list(recipe.rates)}
    return [
        {"name": c.name, "value": fields.get(c.name), "mark": c.mark, "reason": c.reason} for c in CHOICES
    ]
