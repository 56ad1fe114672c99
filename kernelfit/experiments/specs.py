"""The parts of an experiment: which rows, what is done to them, their features, and the kernel of these.

Each is checked when it is made, in the words of `Experiment`'s arguments, and reads no file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernelfit import datasets
from kernelfit.arguments import at_home, bytes_of, choice, finite, flag, integer
from kernelfit.cluster.connect import Engine
from kernelfit.datasets import Dataset
from kernelfit.datasets.corruptions import CORRUPTIONS, OF_LABELS, corrupt, shuffle_pixels
from kernelfit.datasets.file_options import FileOptions
from kernelfit.datasets.registry import REGISTRY
from kernelfit.datasets.table import is_table
from kernelfit.device.choose import check_device
from kernelfit.errors import InputError, shown
from kernelfit.features import feature_class
from kernelfit.features.options import make, options
from kernelfit.gram.placement import TIERS
from kernelfit.gram.precision import before_choice
from kernelfit.kernels import named, parameter_names
from kernelfit.kernels.base import COORDINATES
from kernelfit.progress import ProgressLike, as_progress
from kernelfit.solver.inputs import as_shift
from kernelfit.solver.method import Method
from kernelfit.storage import json_output
from kernelfit.typing import (
    Array,
    Corruption,
    EngineName,
    GammaRule,
    Missing,
    PrecisionLike,
    RidgeRule,
    SolverName,
    TaskName,
    Tier,
)

if TYPE_CHECKING:  # scikit-learn comes with it
    from kernelfit.features.images import ImageFeatures

NONE = "none"
#: arguments that say where and by how much of a machine, and not what is solved
MACHINE = ("tier", "memory", "scratch", "device", "device_memory", "threads", "engine", "scheduler")
TRUE: Corruption = "true"


@dataclass(frozen=True)
class DataSpec:
    """Rows and labels: a data set by name or path, or the user's own `train` and `test` files, and how many of each.

    `target`, `drop`, `task`, `keys` and `missing` say how the user's own files are read, see `kernelfit.datasets.load`.
    """

    dataset: str = "digits"
    n_train: int | None = None
    n_test: int | None = None
    data_dir: Path | None = None
    train: Path | None = None
    test: Path | None = None
    target: str | int | None = None
    drop: str | Sequence[str | int] | None = None
    task: TaskName | None = None
    keys: Mapping[str, str] | None = field(default=None, hash=False)
    missing: Missing = "refuse"

    def __post_init__(self) -> None:
        options = self.of_files
        object.__setattr__(self, "target", options.target)
        object.__setattr__(self, "drop", options.drop)
        object.__setattr__(self, "keys", dict(options.keys))
        for name in ("data_dir", "train", "test"):
            path = getattr(self, name)
            object.__setattr__(self, name, None if path is None else at_home(path))
        if self.dataset not in REGISTRY and os.path.exists(at_home(self.dataset)):
            object.__setattr__(self, "dataset", os.path.expanduser(self.dataset))
        # Beside `train` another name is a title.
        is_data = self.dataset in REGISTRY or os.path.exists(self.dataset)
        if self.train is not None and is_data and self.dataset != DataSpec.dataset:
            raise InputError(
                f"dataset, train: got {self.dataset} and {self.train}, expected one of them; leave the other out"
            )
        for name, rows in (("n_train", self.n_train), ("n_test", self.n_test)):
            if rows is not None:
                object.__setattr__(self, name, integer(name, rows, 0))

    @property
    def of_files(self) -> FileOptions:
        """How the user's own files are read. Raises `InputError`."""
        return FileOptions.of(self.target, self.drop, self.task, self.keys, self.missing)

    @property
    def called(self) -> str:
        """What the training rows come from: the path or the name that was given."""
        return self.dataset if self.train is None else str(self.train)

    def load(self, seed: int, progress: ProgressLike = None) -> Dataset:
        """The data set; `seed` chooses the rows held out where there is no test part."""
        arguments = {name: value for name, value in vars(self).items() if name != "dataset"}
        return datasets.load(self.dataset, **arguments, seed=seed, progress=progress)

    def file_options(self, path: Path) -> dict[str, Any]:
        """How another file of the user's own is read like this one; a folder of images has nothing to be said."""
        if path.is_dir():
            return {"task": self.task}
        of_table = {"target": self.target, "drop": self.drop, "missing": self.missing}
        return {**(of_table if is_table(path) else {"keys": self.keys}), "task": self.task}

    def to_dict(self) -> dict[str, Any]:
        """The arguments that make it anew, from whatever folder: paths are absolute."""
        is_path = self.train is None and self.dataset not in REGISTRY and os.path.exists(self.dataset)
        return {
            "dataset": str(Path(self.dataset).absolute()) if is_path else self.dataset,
            "n_train": self.n_train,
            "n_test": self.n_test,
            **{name: absolute(getattr(self, name)) for name in ("data_dir", "train", "test")},
            "target": self.target,
            "drop": list(self.drop or ()),
            "task": self.task,
            "keys": dict(self.keys or {}),
            "missing": self.missing,
        }


@dataclass(frozen=True)
class CorruptionSpec:
    """One of `kernelfit.datasets.corruptions`; `p` is the share of labels of `corrupt-labels`.

    `seed` draws it; that of the inputs where it is None.
    """

    name: Corruption = TRUE
    p: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        choice("corruption", self.name, CORRUPTIONS)
        if not 0 <= finite("corruption_p", self.p) <= 1:
            raise InputError(f"corruption_p: got {self.p}, expected a share of the labels from 0 to 1")
        if self.p != 1 and self.name != "corrupt-labels":
            raise InputError(
                f"corruption_p: got {self.p}, but {self.name} has no share; leave it out or take corrupt-labels"
            )
        if self.seed is None:
            return
        object.__setattr__(self, "seed", integer("corruption_seed", self.seed, 0))
        if not self:
            raise InputError(
                f"corruption_seed: got {self.seed}, but {self.name} draws nothing; leave it out or name a corruption"
            )

    def __bool__(self) -> bool:
        return self.name != TRUE

    def apply(self, dataset: Dataset, seed: int) -> Dataset:
        """The data set as this corruption leaves it; the same seed always gives the same."""
        if not self:
            return dataset
        return corrupt(dataset, self.name, p=self.p, seed=seed if self.seed is None else self.seed)

    def apply_to_rows(
        self, rows: Array, seed: int, channels: int, note: Callable[[str], None], name: str
    ) -> Array:
        """New rows (m, d) as a run of this corruption takes them: pixels move by the permutation of all its rows; what
        is drawn for each row is not drawn again, with a note. `name` is what holds them."""
        if not self or self.name in OF_LABELS:
            return rows
        if self.name != "shuffled-pixels":
            note(f"{name}: taken as they stand; {self.name} of the run drew each of its rows on its own")
            return rows
        if rows.ndim != 2 or rows.shape[1] % channels:
            return rows  # refused as rows of another width
        note(f"{name}: pixels are moved as in the run: {self.name}")
        return shuffle_pixels(rows, seed if self.seed is None else self.seed, channels)

    def to_dict(self) -> dict[str, Any]:
        return {"corruption": self.name, "corruption_p": self.p, "corruption_seed": self.seed}


@dataclass(frozen=True)
class FeatureSpec:
    """A feature map by name and all its options, those not given by their defaults; `none` leaves rows as they are."""

    name: str = NONE
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        given = {
            key: tuple(value) if isinstance(value, list) else value for key, value in self.options.items()
        }
        if not self:
            if given:
                raise InputError(
                    f"feature_options: got {', '.join(given)}, but features 'none' has no options; name features"
                )
            return
        feature = make(self.name, given=given)
        object.__setattr__(self, "options", {key: getattr(feature, key) for key in options(self.name)})

    def __bool__(self) -> bool:
        return not (isinstance(self.name, str) and self.name == NONE)

    @property
    def streams(self) -> bool:
        """Whether there may be too many features to hold at once."""
        return bool(self) and feature_class(self.name).streams

    @property
    def default_kernel(self) -> str:
        """The kernel that is taken where none is named."""
        return feature_class(self.name).default_kernel if self else "gaussian"

    @property
    def given(self) -> dict[str, Any]:
        """The options that are not at their defaults."""
        if not self:
            return {}
        known = options(self.name)
        return {key: value for key, value in self.options.items() if value != known[key].default}

    def unseeded(self, seed: int) -> str:
        """What is to be said where `seed` was chosen, and the filters are drawn by a default of their own."""
        drawn = self.options.get("random_state") if self else None
        if drawn is None or seed in (0, drawn) or "random_state" in self.given:
            return ""
        return f"the filters of {self.name} are those of every seed: the option random_state, {drawn}, draws them"

    def fit(self, dataset: Dataset, threads: int | None, progress: ProgressLike = None) -> ImageFeatures:
        """The map, fitted on the training rows; the same rows and options always give the same features."""
        if dataset.image_shape is None:
            raise InputError(
                f"features: {self.name} needs images, and {dataset.name} has none; take features 'none'"
            )
        feature = make(
            self.name,
            image_shape=dataset.image_shape,
            scale=dataset.scale,
            threads=threads,
            given=self.options,
        )
        return feature.fit(dataset.X_train, progress=progress)

    def to_dict(self) -> dict[str, Any]:
        return {"features": self.name, "feature_options": dict(self.options)}


@dataclass(frozen=True)
class Inputs:
    """What comes before the kernel. `seed` is for the rows held out and the corruption."""

    data: DataSpec
    corruption: CorruptionSpec
    features: FeatureSpec
    seed: int
    standardise: bool = False
    centre: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", integer("seed", self.seed, 0))
        for name in ("standardise", "centre"):
            object.__setattr__(self, name, flag(name, getattr(self, name)))

    def load(self, progress: ProgressLike = None) -> Dataset:
        """The data set, corrupted where that was asked for."""
        progress = as_progress(progress)
        dataset = self.data.load(self.seed, progress)
        if self.corruption:
            progress.note(f"corruption: {self.corruption.name}; test labels stay as they are")
        return self.corruption.apply(dataset, self.seed)

    def fit_again(self, threads: int | None, progress: ProgressLike = None) -> tuple[ImageFeatures, Array]:
        """The fitted features of a solve that is over, and its training rows."""
        progress = as_progress(progress)
        dataset = self.load(progress)
        return self.features.fit(dataset, threads, progress), dataset.X_train


@dataclass(frozen=True)
class KernelSpec:
    """A kernel by name with its parameters; `gamma` may be "median" (the default) or "auto", as for `solve`."""

    name: str = "gaussian"
    gamma: float | GammaRule | None = None
    gamma_factor: float | None = None
    params: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        known = parameter_names(self.name)
        for name in self.params:
            if name not in known:
                owned = ", ".join(known) or "none"
                raise InputError(f"{name}: the {self.name} kernel does not have it; its parameters: {owned}")
        for name in ("gamma", "gamma_factor"):
            if getattr(self, name) is not None and "gamma" not in known:
                raise InputError(
                    f"{name}: the {self.name} kernel has no gamma; leave it out or take the gaussian kernel"
                )

    @property
    def linear(self) -> bool:
        return named(self.name).linear

    @property
    def of_products(self) -> bool:
        """Whether k is a function of inner products and lengths."""
        return not named(self.name).needs & COORDINATES

    def arguments(self, features_factor: float) -> dict[str, Any]:
        """As `kernelfit.solve` takes them. A factor belongs to the median rule; features may have their own."""
        factor = self.gamma_factor
        if factor is None:
            by_median = self.gamma in (None, "median") and "gamma" in parameter_names(self.name)
            factor = features_factor if by_median else 1.0
        return {**self.to_dict(), "gamma_factor": factor}

    def to_dict(self) -> dict[str, Any]:
        return {
            "kernel": self.name,
            "gamma": self.gamma,
            "gamma_factor": self.gamma_factor,
            "kernel_params": dict(self.params),
        }


@dataclass(frozen=True)
class SolverSettings:
    """What `kernelfit.solve` gets besides rows, targets and kernel.

    `ridge` is a number or "auto"; for features that may stream, held or not, it counts in units of K's
    mean diagonal.
    """

    ridge: float | RidgeRule = 0.0
    jitter: float = 0.0
    precision: PrecisionLike = "float64"
    tier: Tier = "auto"
    memory: int | str | None = None
    scratch: Path | None = None
    device: str = "auto"
    device_memory: int | str | None = None
    threads: int | None = None
    engine: EngineName = "process"
    scheduler: str | None = None
    solver: SolverName = "cholesky"
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.ridge, str) and self.ridge == "auto"):
            object.__setattr__(self, "ridge", as_shift("ridge", self.ridge))
        as_shift("jitter", self.jitter)
        before_choice(self.precision)
        choice("tier", self.tier, TIERS)
        bytes_of(self.memory)
        bytes_of(self.device_memory, "device_memory")
        if self.threads is not None:
            integer("threads", self.threads, 1)
        check_device(self.device)
        Engine.of(self.engine, self.scheduler)
        if not (self.scheduler is None or isinstance(self.scheduler, (str, Path))):
            raise InputError(
                f"scheduler: got {shown(self.scheduler)}, expected an address or a scheduler file, as an experiment is "
                "stored as text; give client.scheduler.address"
            )
        Method.of(self.solver, self.tolerance)

    def arguments(self) -> dict[str, Any]:
        """As `kernelfit.solve` takes them."""
        return dict(vars(self))

    @property
    def chooses_ridge(self) -> bool:
        """Whether the ridge is to be chosen by leave-one-out."""
        return self.ridge == "auto"

    def to_dict(self) -> dict[str, Any]:
        return {**self.arguments(), "scratch": absolute(self.scratch)}


@dataclass(frozen=True)
class Settings:
    """All that an experiment is: what comes in, the kernel, how it is solved, and whether leave-one-out is reported."""

    inputs: Inputs
    kernel: KernelSpec
    solver: SolverSettings
    loo: bool = False

    def __post_init__(self) -> None:
        if flag("loo", self.loo) and self.solver.solver == "askotch":
            raise InputError(
                "loo: got True with solver 'askotch', which has nothing to estimate it by; leave it out, or take "
                "solver='pcg'"
            )

    @property
    def streams(self) -> bool:
        """Whether K may be summed up over blocks of features that are never held all at once."""
        if not self.inputs.features.streams:
            return False
        return self.kernel.linear or (self.kernel.of_products and not self.inputs.standardise)

    def to_dict(self) -> dict[str, Any]:
        """The constructor's arguments in JSON's types; paths hold from any folder. `Experiment(**it)` is this one."""
        plain: dict[str, Any] = json_output.plain(
            {
                **self.inputs.data.to_dict(),
                **self.inputs.corruption.to_dict(),
                **self.inputs.features.to_dict(),
                "standardise": self.inputs.standardise,
                "centre": self.inputs.centre,
                **self.kernel.to_dict(),
                **self.solver.to_dict(),
                "seed": self.inputs.seed,
                "loo": self.loo,
            }
        )
        return plain


def absolute(path: Path | None) -> str | None:
    """A path as text that holds from any folder."""
    return None if path is None else str(path.absolute())
