"""The studies asked of an experiment: each gives one record, stored row by row where a folder is named."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from kernelfit.arguments import bytes_of, integer
from kernelfit.cpu import environment
from kernelfit.datasets import Dataset
from kernelfit.errors import InputError
from kernelfit.experiments.experiment import Experiment
from kernelfit.experiments.finished_rows import FinishedRows
from kernelfit.experiments.specs import MACHINE, TRUE
from kernelfit.experiments.task import whole_digest
from kernelfit.progress import Once, Progress, Silent
from kernelfit.solver.method import require_factor
from kernelfit.storage import json_output
from kernelfit.storage.folders import make_writable, scratch_folder
from kernelfit.study import curve, descent, double_descent, settings
from kernelfit.study.complexity import DELTA, Spectral, complexity
from kernelfit.study.interpolants import SCALES, interpolants
from kernelfit.study.labelled import KernelRows, kernel_rows, require_true_labels
from kernelfit.study.spectrum import ends

StudyName = Literal["interpolants", "sgd", "complexity", "curve", "double-descent", "inputs", "norms"]
STUDIES: tuple[StudyName, ...] = get_args(StudyName)


class Study:
    """One study of an experiment, its rows in a folder or in memory alone.

    Parameters
    ----------
    name : of `STUDIES`
    experiment : a classification data set with test rows
    out : a folder for every finished row and the record; a row that is there is not computed again
    command : what the record says it came from
    options : what was asked, for the record: which rows there are, not what one of them is

    Raises
    ------
    InputError : a folder with rows of another experiment, of data that have changed since, or of another version
    """

    def __init__(
        self,
        name: StudyName,
        experiment: Experiment,
        out: str | Path | None = None,
        command: str = "",
        progress: Progress | None = None,
        **options: Any,
    ) -> None:
        self.name, self.experiment, self.command = name, experiment, command
        self.progress = progress or Silent()
        self.options = options
        self.folder = None if out is None else Path(out).absolute()
        self._rows = None if self.folder is None else FinishedRows(self.folder)

    @property
    def threads(self) -> int | None:
        return self.experiment.solver.threads

    @property
    def memory(self) -> int | None:
        """The limit in bytes, where there is one."""
        return bytes_of(self.experiment.solver.memory)

    @property
    def solver_options(self) -> dict[str, Any]:
        """What `kernelfit.solve` takes for systems of other rows, which have no ridge."""
        return {name: value for name, value in self.experiment.solver.to_dict().items() if name != "ridge"}

    def drawn(self, seeds: Sequence[int]) -> list[int]:
        """The seeds of draws 0, 1, ...: the experiment's own is added to each."""
        return [self.experiment.inputs.seed + integer("seeds", seed, 0) for seed in seeds]

    @cached_property
    def _parameters(self) -> dict[str, Any]:
        """What every row depends on: the experiment, the data as they are now, and this version."""
        about = self.experiment.to_dict()
        return {
            "study": self.name,
            **{key: about[key] for key in about if key not in _WHERE},
            "data": whole_digest(self.experiment.inputs.load()),
            "version": version("kernelfit"),
        }

    def row(self, name: str, make: Callable[[], dict[str, Any]], **own: Any) -> dict[str, Any]:
        """The row `name`: taken from the folder, or made and stored there; `own` is what else it depends on."""
        if self._rows is None:
            return dict(json_output.plain(make()))
        file = "".join(
            letter if letter.isalnum() or letter in "-.=" else "_" for letter in f"{self.name} {name}"
        )
        parameters = self._parameters | own
        stored = self._rows.read(file, parameters)
        if stored is None:
            stored = {"row": json_output.plain(make()), "parameters": json_output.plain(parameters)}
            self._rows.write(file, stored)
        return dict(stored["row"])

    def record(self, content: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
        """The whole as JSON, written to the folder as NAME.json."""
        record: dict[str, Any] = json_output.plain(
            {
                "study": self.name,
                **about,
                **content,
                "options": self.options,
                "experiment": self.experiment.to_dict(),
                "versions": environment.versions(),
                "command": self.command,
            }
        )
        if self.folder is not None:
            json_output.write(record, self.folder / f"{self.name}.json")
        return record


# Memorised images, and pairs of a test image and the training image that it hangs on, that a record shows.
_PICTURES = 8
# What the numbers do not depend on, as the folder of a run has it.
_WHERE = (*MACHINE, "data_dir", "sums")


# What the settings of a solver may be where K is taken apart by its eigenvectors; the first is what is expected.
_SPECTRAL: dict[str, tuple[Any, ...]] = {
    "jitter": (0,),
    "precision": ("float64", "auto"),
    "solver": ("cholesky", "auto"),
    "tolerance": (None,),
    "tier": ("ram", "auto"),
    "device": ("cpu", "auto"),
    "device_memory": (None,),
    "engine": ("process",),
}


def ask_interpolants(
    study: Study, scales: Sequence[float] = SCALES, seeds: Sequence[int] = (0,)
) -> dict[str, Any]:
    """Other functions that fit the training labels, drawn once for each seed; see `kernelfit.study.interpolants`."""
    _interpolating(study)
    require_factor(study.experiment.solver.solver, "a study of interpolants")
    with study.experiment.solved(study.progress) as solved:
        rows, plan = kernel_rows(solved), solved.solution.plan
        options = study.solver_options
        if study.memory is not None and plan.tier == "ram":  # the factor stays
            options["memory"] = max(1, study.memory - plan.bytes_factor)

        def make(seed: int) -> dict[str, Any]:
            notes: list[str] = []
            made = interpolants(
                solved.solution,
                rows,
                seed=seed,
                scales=tuple(scales),
                notes=notes,
                progress=study.progress,
                **options,
            )
            return {"rows": [{"seed": seed, **asdict(each)} for each in made], "notes": notes}

        def hessian() -> dict[str, Any]:
            curved = ends(solved.solution)
            return {
                "parameters": rows.every.shape[0],
                "rank": rows.n,
                "largest": curved.largest / rows.n,
                "smallest": curved.smallest / rows.n,
            }

        drawn = [
            study.row(f"seed={seed}", partial(make, seed), scales=list(scales)) for seed in study.drawn(seeds)
        ]
        content = {
            "rows": [row for each in drawn for row in each["rows"]],
            "notes": list(dict.fromkeys(note for each in drawn for note in each["notes"])),
            "hessian": study.row("hessian", hessian),
        }
        return study.record(content, _about(solved.dataset.name, rows))


def ask_sgd(study: Study, steps: int = descent.STEPS, passes: int = descent.PASSES) -> dict[str, Any]:
    """Where gradient methods go; see `kernelfit.study.descent`."""
    _by_eigenvectors(study)
    rows, name = _kernel_rows(study)

    def make() -> dict[str, Any]:
        of = descent.Coordinates.of(rows, study.threads, study.memory)
        paths = descent.descend(
            of, steps=steps, passes=passes, seed=study.experiment.inputs.seed, progress=study.progress
        )
        least, step = float(np.linalg.norm(of.least_norm)), 1.0 / of.largest
        return {
            "rows": [asdict(path) | {"reached": path.reached, "best": path.best} for path in paths],
            "step_sizes": descent.step_sizes(of),
            "condition": of.largest / of.smallest,
            "least_norm": least,
            "steps_by_the_spectrum": of.steps_to(descent.REACHED * least, step),
            "coordinates_error": of.error,
        }

    return study.record(study.row("all", make, steps=steps, passes=passes), _about(name, rows))


def ask_complexity(study: Study) -> dict[str, Any]:
    """Bounds, spectrum, stability and memorisation; see `kernelfit.study.complexity`."""
    _by_eigenvectors(study)
    require_true_labels(study.experiment)
    with study.experiment.solved(study.progress) as solved:
        rows, dataset, kept = kernel_rows(solved), solved.dataset, solved.solution.kept

    def make() -> dict[str, Any]:
        told = complexity(Spectral(rows, study.threads, study.memory), seed=study.experiment.inputs.seed)
        memory = told.memorisation.of_rows(kept)
        images = None
        if dataset.image_shape is not None:
            memorised, pairs = list(memory.memorised[:_PICTURES]), memory.hanging[:_PICTURES]
            trained, tested = [i for i, _ in pairs], [j for _, j in pairs]
            images = {
                "shape": dataset.image_shape,
                "memorised": dataset.X_train[memorised].tolist(),
                "hanging_train": dataset.X_train[trained].tolist(),
                "hanging_test": dataset.X_test[tested].tolist(),
                "labels": {
                    "memorised": list(dataset.y_train[memorised]),
                    "hanging_train": list(dataset.y_train[trained]),
                    "hanging_test": list(dataset.y_test[tested]),
                },
                "classes": dataset.classes,
            }
        return replace(told, memorisation=memory).to_dict() | {"images": images}

    return study.record({**study.row("all", make), "delta": DELTA}, _about(dataset.name, rows))


def ask_curve(
    study: Study, sizes: Sequence[int] | None = None, seeds: Sequence[int] = (0,)
) -> dict[str, Any]:
    """Test error, norm and time against n; see `kernelfit.study.curve`. Raises `InputError` for sizes above n."""
    _interpolating(study)
    rows, name = _kernel_rows(study)
    wanted = curve.sizes_up_to(rows.n) if sizes is None else sorted({int(size) for size in sizes})
    if not wanted or wanted[0] < 2 or wanted[-1] > rows.n:
        raise InputError(f"sizes: got {wanted}, expected numbers of rows from 2 to n_train = {rows.n}")
    made = []
    with study.progress.phase("curve", float(len(wanted) * len(seeds)), "solves") as advance:
        for seed in study.drawn(seeds):
            for n in wanted:
                made.append(
                    study.row(
                        f"n={n} seed={seed}",
                        partial(_curve_point, rows, n, seed, study.solver_options),
                    )
                )
                advance(1.0)
    points = [curve.CurvePoint(**row) for row in made]
    fitted = [curve.extrapolate(points, quantity) for quantity in ("test_error", "rkhs_norm")]
    beyond = [2 * wanted[-1], 10 * wanted[-1]]
    extrapolated = [
        asdict(fit) | {"at": {n: fit.at(n) for n in beyond}, "error": {n: fit.error(n) for n in beyond}}
        for fit in fitted
        if fit is not None
    ]
    return study.record({"rows": made, "extrapolated": extrapolated}, _about(name, rows))


def ask_double_descent(
    study: Study, shares: Sequence[float] = double_descent.SHARES, seeds: Sequence[int] = (0,)
) -> dict[str, Any]:
    """Test error against the number of random features; see `kernelfit.study.double_descent`."""
    _interpolating(study)
    shares = double_descent.checked(shares)
    rows, name = _kernel_rows(study)
    counts, made = double_descent.counts_of(rows.n, shares), []
    with study.progress.phase("features", float(len(counts) * len(seeds)), "fits") as advance:
        for seed in study.drawn(seeds):
            for p in counts:
                made.append(
                    study.row(
                        f"p={p} seed={seed}",
                        partial(_random_features, rows, p, seed, study.solver_options),
                    )
                )
                advance(1.0)
    limit = study.row("kernel", partial(_curve_point, rows, rows.n, 0, study.solver_options))
    return study.record({"rows": made, "kernel_limit": limit}, _about(name, rows))


def ask_inputs(
    study: Study, features: Sequence[str] | None = None, seeds: Sequence[int] = (0,)
) -> dict[str, Any]:
    """Corruptions of labels and pixels under feature maps (default: none, and gabor for images): what each loses."""
    _not_overwritten(
        study, "corruption", study.experiment.inputs.corruption.name, TRUE, "compares all of them"
    )
    maps, notes, dataset = _maps(study, features)
    of_labels = dataset.classes is not None
    if not of_labels:
        notes.append("corruptions of labels are left out, as numeric targets have no classes to draw from")
        study.progress.note(notes[-1])
    return _settings(study, settings.corruption_settings(maps, study.drawn(seeds), of_labels), dataset, notes)


def ask_norms(
    study: Study,
    kernels: Sequence[str] = settings.KERNELS,
    features: Sequence[str] | None = None,
    ridges: Sequence[float] = settings.RIDGES,
    loo: bool = False,
    sums: str | Path | None = None,
) -> dict[str, Any]:
    """Norm against test error over kernels, feature maps (default: the experiment's, or none, and gabor for images) and
    ridges, with rank correlations.

    With `loo` the record names the setting of least leave-one-out error, the first of equals. Features of the
    experiment that stream are summed once for all of its kernels: in the file `sums`, which may be there already.
    """
    experiment = study.experiment
    default = experiment.inputs.features.default_kernel
    _not_overwritten(study, "kernel", experiment.kernel.name, default, "names its own as kernels")
    _not_overwritten(study, "ridge", experiment.solver.ridge, 0, "names its own as ridges")
    maps, notes, dataset = _maps(study, features)
    wanted = settings.norm_settings(kernels, maps, ridges, loo or study.experiment.loo)
    if sums is not None and not _streams(study, kernels):
        raise InputError(
            f"sums: got {sums}, expected features that stream and a kernel of inner products, such as random-conv with "
            "ntk; name them as the experiment's, or leave it out"
        )
    if not study.experiment.inputs.features:
        return _settings(study, wanted, dataset, notes)
    with _sums(study, sums) as file:
        return _settings(study, wanted, dataset, notes, file)


def _streams(study: Study, kernels: Sequence[str]) -> bool:
    """Whether the features of the experiment are summed up for some of the kernels."""
    base = study.experiment.to_dict()
    streams = study.experiment.inputs.features.streams
    return streams and any(Experiment(**{**base, "kernel": kernel}).streams for kernel in kernels)


@contextmanager
def _sums(study: Study, sums: str | Path | None) -> Iterator[Path]:
    """A file for sums of features: the one that was named, one beside the study's rows, or one for the while."""
    named = sums if sums is not None else study.folder and study.folder / "sums.h5"
    if named is not None:
        yield Path(named)
        return
    scratch = make_writable(scratch_folder(study.experiment.solver.scratch, study.progress.note))
    with tempfile.TemporaryDirectory(prefix="kernelfit-", dir=scratch) as folder:
        yield Path(folder) / "sums.h5"


def _maps(study: Study, asked: Sequence[str] | None) -> tuple[Sequence[str], list[str], Dataset]:
    """The feature maps to compare, what is to be said where the data set has decided them, and the data set."""
    inputs = study.experiment.inputs
    dataset = inputs.data.load(inputs.seed)
    images, notes = dataset.image_shape is not None, []
    if dataset.classes is None:
        notes.append(
            f"dataset: {dataset.name} has numeric targets, which have no error rates: norms alone are shown, and no "
            "setting is chosen"
        )
        study.progress.note(notes[0])
    if asked is not None:
        unfit = [name for name in asked if name != "none" and not images]
        if unfit:
            raise InputError(
                f"maps: got {', '.join(unfit)}, expected none, as {dataset.name} has no images; leave it out"
            )
        return asked, notes, dataset
    if inputs.features:
        return (inputs.features.name,), notes, dataset
    if images:
        return ("none", "gabor"), notes, dataset
    note = f"features: {dataset.name} has no images: its columns are taken as they are, no feature map beside them"
    study.progress.note(note)
    return ("none",), [*notes, note], dataset


def _curve_point(rows: KernelRows, n: int, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    return asdict(curve.curve_point(rows, n, seed, **options))


def _random_features(rows: KernelRows, p: int, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    return asdict(double_descent.random_features(rows, p, seed, **options))


def _settings(
    study: Study,
    wanted: Iterable[settings.Setting],
    dataset: Dataset,
    notes: list[str],
    sums: Path | None = None,
) -> dict[str, Any]:
    wanted, base = list(wanted), study.experiment.to_dict()
    inputs = study.experiment.inputs
    others = [setting for setting in wanted if setting.changes["features"] != inputs.features.name]
    if inputs.corruption or (inputs.features and others):
        raise InputError(
            "features, corruption: are what this study goes through, expected none; name maps instead"
        )
    for setting in wanted:  # refused before anything is computed
        Experiment(**{**base, **setting.changes})
    if note := _one_width(study, wanted):
        study.progress.note(note)
        notes = [*notes, note]
    made, progress = [], Once(study.progress)
    with progress.phase("settings", float(len(wanted)), "solves") as advance:
        for setting in wanted:
            make = partial(settings.run_setting, base, setting, progress, sums)
            # A row without leave-one-out does not stand for one with it.
            name = f"{setting.name}, loo" if setting.changes.get("loo") else setting.name
            made.append(study.row(name, make, **setting.changes))
            advance(1.0)
    judged = [row for row in made if row.get("loo_error") is not None]
    groups = {"every setting": made}
    if len(features := dict.fromkeys(row["features"] for row in made)) > 1:
        groups |= {f"features {name}": [row for row in made if row["features"] == name] for name in features}
    content = {
        "rows": made,
        "chosen": min(judged, key=lambda row: row["loo_error"])["name"] if judged else None,
        "norm_against_test_error": {
            name: settings.rank_correlation(rows, "rkhs_norm", "test_error") for name, rows in groups.items()
        },
        "notes": notes,
    }
    about = {"dataset": dataset.name, "n_train": dataset.n_train, "n_test": dataset.n_test}
    return study.record(content, about)


def _one_width(study: Study, wanted: Sequence[settings.Setting]) -> str:
    """What is to be said of a width that is a number and serves several feature maps or kernels; else nothing."""
    kernel = study.experiment.kernel
    widths = {"gamma": kernel.gamma, "length_scale": kernel.params.get("length_scale")}
    given = [f"{name} {value}" for name, value in widths.items() if value not in (None, "median", "auto")]
    for argument in ("features", "kernel"):
        names = list(dict.fromkeys(str(setting.changes.get(argument)) for setting in wanted))
        if given and len(names) > 1:
            return (
                f"{given[0]} serves {', '.join(names)} alike, whose distances differ; leave it out, and each gets that "
                "of its median distance, or ask for one at a time"
            )
    return ""


def _kernel_rows(study: Study) -> tuple[KernelRows, str]:
    """The rows, with the kernel's parameters as the experiment's own solve decides them."""
    with study.experiment.solved(study.progress) as solved:
        return kernel_rows(solved), solved.dataset.name


def _interpolating(study: Study) -> None:
    ridge = study.experiment.solver.ridge
    if study.experiment.solver.chooses_ridge or float(ridge) != 0:
        raise InputError(f"ridge: got {ridge}, expected 0: this study is of interpolants; leave it out")


def _not_overwritten(study: Study, name: str, value: Any, default: Any, reason: str) -> None:
    """Refuse an argument of the experiment that every setting of the study has a value of its own for."""
    if value != default:
        raise InputError(f"{name}: got {value}, but a study of {study.name} {reason}; leave it out")


def _by_eigenvectors(study: Study) -> None:
    """Refuse what eigenvectors of K itself, in float64, in memory and on the CPU, would leave aside."""
    _interpolating(study)
    for name, expected in _SPECTRAL.items():
        value = getattr(study.experiment.solver, name)
        if value not in expected:
            raise InputError(
                f"{name}: got {value}, expected {expected[0]}: this study takes eigenvectors of K in float64, in "
                "memory and on the CPU; leave it out"
            )


def _about(dataset: str, rows: KernelRows) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "n_train": rows.n,
        "n_test": len(rows.y_test),
        "n_classes": rows.n_classes,
        "kernel": rows.kernel.describe(),
    }
