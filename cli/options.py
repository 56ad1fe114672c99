"""Options that several commands share, each defined once. Their names are those of `Experiment`'s arguments."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

import click
from click.core import ParameterSource

from kernelfit.arguments import suggestion, without_separators
from kernelfit.datasets.corruptions import CORRUPTIONS
from kernelfit.errors import InputError
from kernelfit.features import names as feature_names
from kernelfit.gram.placement import TIERS
from kernelfit.gram.precision import CPU_PRECISIONS, PRECISION_NAMES
from kernelfit.kernels import KERNELS, named, parameter_names
from kernelfit.typing import EngineName, Missing, SolverName, TaskName

from . import completion


class Count(click.ParamType):
    """An integer, not below `minimum`, that may be written 100000, 100_000, 100,000, 1e5 or 100k."""

    name = "count"
    _UNITS: ClassVar = {"": 1, "k": 10**3, "m": 10**6}

    def __init__(self, minimum: int | None = None) -> None:
        self.minimum = minimum

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value).strip().lower()
        unit = text[-1] if text[-1:] in ("k", "m") else ""
        try:
            number = Decimal(without_separators(text.removesuffix(unit))) * self._UNITS[unit]
            if number != int(number):
                raise ValueError(text)
        except (ArithmeticError, ValueError):
            self.fail(f"got {value!r}, expected an integer such as 50000, 5e4 or 50k", param, ctx)
        if self.minimum is not None and number < self.minimum:
            self.fail(f"got {value}, expected an integer >= {self.minimum}", param, ctx)
        return int(number)


COUNT = Count()


class Keys(click.ParamType):
    """Names of arrays, X=NAME,y=NAME."""

    name = "keys"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, str]:
        if isinstance(value, dict):
            return value
        entries = [entry.partition("=") for entry in str(value).split(",")]
        if not all(separator and name.strip() for _, separator, name in entries):
            self.fail(f"got {value!r}, expected names of arrays such as X=data,y=target", param, ctx)
        return {role.strip(): name.strip() for role, _, name in entries}


class Names(click.ParamType):
    """Names with commas between them, each of which `known` knows."""

    name = "names"

    def __init__(self, known: click.ParamType = click.STRING) -> None:
        self.known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        names = [part.strip() for part in value.split(",")] if isinstance(value, str) else list(value)
        return [self.known.convert(name, param, ctx) for name in names]

    def written(self, value: list[str]) -> str:
        return ",".join(value)


class PathName(click.Path):
    """A path, and no empty word, as `"$OUT"` is where that is not set: it would be the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("got '', expected a path; . is the current folder", param, ctx)
        return super().convert(value, param, ctx)


PATH = PathName()


class Numbers(click.ParamType):
    """Numbers with commas between them, each made by `make`."""

    name = "numbers"

    def __init__(self, make: Callable[[str], float]) -> None:
        self.make = make

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[float]:
        if not isinstance(value, str):
            return list(value)
        try:
            return [self.make(part) for part in value.split(",")]
        except ValueError:
            what = "integers" if self.make is int else "numbers"
            self.fail(f"got {value!r}, expected {what} with commas, such as 1,2,5", param, ctx)

    def written(self, value: list[float]) -> str:
        return ",".join(str(number).removesuffix(".0") for number in value)


Function = TypeVar("Function", bound=Callable[..., Any])

json_option = click.option(
    "--json",
    "json_target",
    metavar="FILE|-",
    help="Also write the result as JSON; with -, standard output holds only that.",
)

data_dir_option = click.option(
    "--data-dir",
    type=PATH,
    help="Folder to look in before $KERNELFIT_DATA and the cache; downloads go there.",
)

device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="auto|cpu|cuda[:i]",
    shell_complete=completion.words("auto", "cpu", "cuda"),
    help="Where to compute; cuda:0,cuda:1 for both. With --engine dask cuda is each worker's own.",
)
device_memory_option = click.option(
    "--device-memory",
    metavar="SIZE",
    help="Bytes of the GPU to stay within, such as 10GB; else what is free.",
)

engine_option = click.option(
    "--engine",
    type=click.Choice(get_args(EngineName)),
    default="process",
    show_default=True,
    help="dask: the workers of a cluster, of which --scheduler has the address, or as many as --threads that are "
    "started here.",
)
scheduler_option = click.option(
    "--scheduler",
    metavar="ADDRESS|FILE",
    help="Of a Dask cluster that runs: tcp://host:8786, tls://host:8786, or a scheduler file.",
)

cpu_precision_option = click.option(
    "--precision",
    type=click.Choice(CPU_PRECISIONS),
    default="float64",
    show_default=True,
    help="Of the factor; mixed: float32, refined to float64.",
)

memory_option = click.option(
    "--memory", metavar="SIZE", help="Memory to stay within, such as 8GB; else what is available."
)
threads_option = click.option(
    "--threads",
    type=int,
    metavar="COUNT",
    help="Threads to use; else the least of cores, CPU quota and OMP_NUM_THREADS.",
)


def _first_rows(text: str) -> Callable[[Function], Function]:
    return click.option("--n", "n_train", type=COUNT, metavar="ROWS", help=text)


_DATA = (
    click.option(
        "--dataset",
        default="digits",
        show_default=True,
        help="Name (kernelfit datasets list) or path.",
        shell_complete=completion.datasets,
    ),
    click.option(
        "--train",
        type=PATH,
        help="Your own training rows: CSV, Parquet, NPZ, HDF5, folder.",
    ),
    click.option("--test", type=PATH, help="Your own test rows; else a fifth is held out."),
    _first_rows("Take the first ROWS training rows."),
    click.option(
        "--n-test",
        type=COUNT,
        metavar="ROWS",
        help="Take the first ROWS test rows; 0: none. Of a folder of images the seed draws them.",
    ),
    click.option(
        "--target",
        metavar="NAME|INDEX",
        help="Label column of a table; else label, target, y, ..., or the last.",
    ),
    click.option(
        "--drop",
        multiple=True,
        metavar="NAME,...",
        help="Columns of a table to leave out, by name or index; repeatable.",
    ),
    click.option(
        "--task",
        type=click.Choice(get_args(TaskName)),
        help="What labels of your own files are; else guessed, with a note.",
    ),
    click.option(
        "--keys",
        type=Keys(),
        metavar="X=NAME,y=NAME",
        help="Arrays of an NPZ or HDF5 file; else found by name or shape.",
    ),
    click.option(
        "--missing",
        type=click.Choice(get_args(Missing)),
        default="refuse",
        show_default=True,
        help="Of a table whose numbers or labels have gaps: rows leaves such rows out.",
    ),
    data_dir_option,
)

_EQUATIONS = (
    click.option(
        "--ridge",
        metavar="NUMBER|auto",
        shell_complete=completion.words("auto"),
        default="0",
        show_default=True,
        help="Added to the diagonal (random-conv: times its mean); 0 interpolates. auto: least leave-one-out "
        "error on training rows.",
    ),
    click.option(
        "--jitter",
        type=float,
        default=0.0,
        show_default=True,
        help="Added for the factor only, then refined away.",
    ),
    click.option(
        "--precision",
        type=click.Choice(PRECISION_NAMES),
        default="float64",
        show_default=True,
        help="mixed and tf32 (on a GPU) factor in fewer bits, then refine to float64; float32 is not refined; auto: "
        "mixed where it is faster and an estimate promises that it succeeds.",
    ),
    click.option(
        "--solver",
        type=click.Choice(get_args(SolverName)),
        default="cholesky",
        show_default=True,
        help="pcg: conjugate gradients, half the memory, 2 n^2 flops for a target and step; askotch: blocks of rows, K "
        "never stored; auto: pcg where no factor fits into memory.",
    ),
    click.option(
        "--tolerance",
        type=float,
        metavar="NUMBER",
        help="Relative residual at which pcg and askotch stop, such as 1e-6.  [default: backward error of a float64 "
        "factor]",
    ),
)

_MACHINE = (
    click.option(
        "--tier", type=click.Choice(TIERS), default="auto", show_default=True, help="Where the factor lives."
    ),
    memory_option,
    click.option(
        "--scratch",
        type=PATH,
        metavar="DIR",
        help="Folder for panels of the disk tier.",
    ),
    device_option,
    device_memory_option,
    threads_option,
    engine_option,
    scheduler_option,
)


def _seed_option(words: str) -> Callable[[Function], Function]:
    return click.option("--seed", type=int, default=0, show_default=True, help=words)


def data_options(function: Function) -> Function:
    """--dataset, --train, --test, --n, --n-test, --target, --drop, --task, --keys, --missing, --data-dir."""
    return _apply(_DATA, function)


def drawn_data_options(function: Function) -> Function:
    """As `data_options`, but that --n rows are drawn."""
    drawn = _first_rows("Compare on so many training rows, drawn by the seed.  [default: 2,000]")
    return _apply((*_DATA[:3], drawn, *_DATA[4:]), function)


def file_options(function: Function) -> Function:
    """As `data_options`, but --dataset and --train, in whose place an argument stands."""
    return _apply(_DATA[2:], function)


def comparison_options(function: Function) -> Function:
    """--kernels, --standardise/--as-they-are, --baselines/--no-baselines."""
    decorators = (
        click.option(
            "--kernels",
            type=Names(),
            metavar="NAME,...",
            help="Of gaussian, laplacian, matern-1/2, ...  [default: all]",
        ),
        click.option(
            "--standardise/--as-they-are",
            default=None,
            help="Columns of mean 0 and standard deviation 1, or not.  [default: what leave-one-out prefers]",
        ),
        click.option(
            "--baselines/--no-baselines",
            default=True,
            help="Also ridge regression, kernel ridge regression and support vector machines of scikit-learn.",
        ),
    )
    return _apply(decorators, function)


def corruption_options(function: Function) -> Function:
    """--corruption, --corruption-p, --corruption-seed."""
    decorators = (
        click.option(
            "--corruption",
            type=click.Choice(list(CORRUPTIONS)),
            default="true",
            show_default=True,
            help="Of training labels, or of the pixels of both parts.",
        ),
        click.option(
            "--corruption-p",
            type=float,
            default=1.0,
            show_default=True,
            metavar="SHARE",
            help="Of the labels, for corrupt-labels.",
        ),
        click.option(
            "--corruption-seed",
            type=int,
            metavar="SEED",
            help="Draws the corruption; rows that are held out are drawn by --seed.  [default: that of --seed]",
        ),
    )
    return _apply(decorators, function)


def solver_options(function: Function) -> Function:
    """--ridge, --jitter, --precision, --solver, --tolerance, --tier, --memory, --scratch, --device, --device-memory,
    --threads, --engine, --scheduler, --seed."""
    seed = _seed_option(
        "For every choice drawn at random but filters, which --option random_state=... draws."
    )
    return _apply((*_EQUATIONS, *_MACHINE, seed), function)


def machine_options(function: Function) -> Function:
    """--tier, --memory, --scratch, --device, --device-memory, --threads, --engine,
    --scheduler, --seed."""
    return _apply((*_MACHINE, _seed_option("For every choice drawn at random.")), function)


def comparison_machine_options(function: Function) -> Function:
    """--memory, --threads, --seed: kernels are compared in memory, on the CPU."""
    return _apply(
        (memory_option, threads_option, _seed_option("For every choice drawn at random.")), function
    )


def kernel_options(function: Function) -> Function:
    """--kernel, --gamma-factor, and one option for every parameter that some kernel has."""
    decorators = [
        click.option(
            "--kernel",
            type=KernelName(list(KERNELS)),
            help="[default: gaussian; of random-conv: ntk]",
        ),
        click.option(
            "--gamma",
            metavar="NUMBER|median|auto",
            help=_gamma_help(),
            shell_complete=completion.words("median", "auto"),
        ),
        click.option(
            "--gamma-factor",
            type=float,
            help="With the median rule: times this.  [default: the features' own]",
        ),
    ]
    for name, (kind, users) in kernel_parameters().items():
        if name == "length_scale":  # words are read where the rows are known
            words = " median, or auto: least leave-one-out error on training rows."
            decorators.append(
                click.option(_flag(name), metavar="NUMBER|median|auto", help=_users_help(users) + words)
            )
            continue
        decorators.append(click.option(_flag(name), type=kind, help=_users_help(users)))
    return _apply(tuple(decorators), function)


class KernelName(click.Choice):
    """A kernel's name, or one of its aliases."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return named(value).name
        except InputError as error:
            self.fail(str(error).removeprefix("kernel: "), param, ctx)


class KnownName(click.Choice):
    """One of a few names; a wrong one is told which is near."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.choices:
            known = ", ".join(self.choices)
            self.fail(f"got {value!r}, expected one of {known}{suggestion(value, self.choices)}", param, ctx)
        return str(value)


class FeatureName(click.ParamType):
    """`none`, or a name of the registry as it is when the command runs."""

    name = "features"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return f"[{'|'.join(('none', *feature_names()))}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        known = ("none", *feature_names())
        if value not in known:
            self.fail(
                f"got {value!r}, expected one of {', '.join(known)}{suggestion(str(value), known)}",
                param,
                ctx,
            )
        return str(value)


def feature_options(function: Function) -> Function:
    """--features, --filters, --option, --standardise, --centre."""
    decorators = (
        click.option(
            "--features",
            type=FeatureName(),
            default="none",
            show_default=True,
            shell_complete=completion.features,
            help="What the kernel sees of images (kernelfit features list); none: rows as they are.",
        ),
        click.option(
            "--filters",
            "n_filters",
            type=COUNT,
            metavar="COUNT",
            help="Filters, of --features that have them.",
        ),
        click.option(
            "--option",
            "feature_options",
            multiple=True,
            metavar="NAME=VALUE",
            help="Of the features (kernelfit features list); repeatable.",
            shell_complete=completion.options_of_features,
        ),
        click.option(
            "--standardise",
            is_flag=True,
            help="Bring each column to mean 0 and standard deviation 1 over the training rows.",
        ),
        click.option(
            "--centre",
            is_flag=True,
            help="Subtract the mean of a regression's targets, and add it to predictions.",
        ),
    )
    return _apply(decorators, function)


def command_line(context: click.Context) -> str:
    """The command as a shell line: what the user gave, in the order of the options."""
    words = context.command_path.split()
    for parameter in context.command.params:
        if context.get_parameter_source(str(parameter.name)) is not ParameterSource.COMMANDLINE:
            continue
        value = context.params.get(str(parameter.name))
        values = list(value) if isinstance(value, tuple) else [value]
        if isinstance(parameter, click.Argument):
            words += [str(item) for item in values]
        elif isinstance(parameter, click.Option) and parameter.is_flag:
            words.append(parameter.opts[0] if value else parameter.secondary_opts[0])
        else:
            for item in values:
                written = getattr(parameter.type, "written", str)  # of a type of ours, as it was typed
                text = (
                    ",".join(f"{key}={name}" for key, name in item.items())
                    if isinstance(item, dict)
                    else written(item)
                )
                words += [parameter.opts[0], text]
    return shlex.join(words)


def _apply(decorators: tuple[Callable[[Any], Any], ...], function: Function) -> Function:
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


def _flag(parameter: str) -> str:
    return f"--{parameter.replace('_', '-')}"


def _users_help(users: list[str]) -> str:
    return f"Of the kernel{'s' if len(users) > 1 else ''} {', '.join(users)}."


def _gamma_help() -> str:
    users = ", ".join(name for name in KERNELS if "gamma" in parameter_names(name))
    return f"Of the kernels {users}. auto: least leave-one-out error on training rows.  [default: median]"


def kernel_parameters() -> dict[str, tuple[type, list[str]]]:
    """Parameter -> (its type, the kernels that have it), `gamma` left out: it takes words as well."""
    parameters: dict[str, tuple[type, list[str]]] = {}
    for kernel, cls in KERNELS.items():
        for name, definition in inspect.signature(cls).parameters.items():
            if name != "gamma":
                kind = int if isinstance(definition.default, int) else float
                parameters.setdefault(name, (kind, []))[1].append(kernel)
    return parameters
