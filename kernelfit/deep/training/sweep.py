"""Run recipes, each once, and store what they gave: FOLDER/<key>/result.json.

A sweep that is interrupted resumes: finished recipes are read, the others resume from their checkpoint.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from kernelfit.arguments import integer, path_of, positive
from kernelfit.deep.data.image_files import find_images
from kernelfit.deep.data.imagenet import Images
from kernelfit.deep.data.images import image_shape
from kernelfit.deep.data.reading import Fetch, reader
from kernelfit.deep.data.sources import InputCache, Source, check_images, load_resident
from kernelfit.deep.models.build import HIDDEN, build, check_network, draws
from kernelfit.deep.own_network import is_own
from kernelfit.deep.processes import leads, processes
from kernelfit.deep.recipe import Recipe, check_sources
from kernelfit.deep.training import checkpoint, epoch_log
from kernelfit.deep.training.checkpoint import CheckpointError
from kernelfit.deep.training.engine import Training, check_single_rows, check_step
from kernelfit.deep.training.hardware import Hardware
from kernelfit.deep.training.outcome import FAILED, Outcome
from kernelfit.deep.training.results import (
    check_data,
    finished,
    machine,
    note_other_precision,
    record,
    settings,
)
from kernelfit.deep.training.turns import Job, finish, take_turns
from kernelfit.deep.world import World, joined
from kernelfit.errors import DataError, InputError, StorageError
from kernelfit.progress import Progress, ProgressLike, as_progress
from kernelfit.storage import atomic, json_output
from kernelfit.storage.folders import make_folder

Trained = tuple[list[Outcome], list[nn.Module]]

STACK = 8  # MLP runs side by side; more would need more device memory for no more speed per run


def stackable(recipe: Recipe) -> bool:
    """Whether a run may share a batched product with others: its numbers must not depend on them.

    Masks of dropout come from one generator, and a stack ends when all of its runs do.
    """
    ends_early = recipe.plateau or recipe.stop_when_fitted or len(recipe.rates) > 1
    draws = recipe.varied or recipe.dropout
    return recipe.model in HIDDEN and recipe.dataset != "imagenet" and not (ends_early or draws)


def stacks(recipes: Sequence[Recipe], size: int = STACK) -> list[list[Recipe]]:
    """Recipes in groups that train together: MLPs that differ in seed, corruption and weight decay only."""
    groups: dict[Recipe, list[Recipe]] = {}
    result: list[list[Recipe]] = []
    for recipe in recipes:
        if not stackable(recipe):
            result.append([recipe])
            continue
        shape = _shape(recipe)
        together = groups.setdefault(shape, [])
        if not together:
            result.append(together)
        together.append(recipe)
        if len(together) == size:
            del groups[shape]
    return result


def _stored(
    recipes: Sequence[Recipe], folder: Path, refuse: Callable[[DataError], None]
) -> dict[Recipe, dict[str, Any] | None]:
    """The result of every run, None where it has none yet; runs of a damaged one are refused and left out."""
    stored: dict[Recipe, dict[str, Any] | None] = {}
    for recipe in recipes:
        try:
            stored[recipe] = finished(recipe, folder)
        except DataError as error:
            refuse(error)
    return stored


def _begun(missing: Sequence[Recipe], folder: Path, note: Callable[[str], None]) -> list[list[Recipe]]:
    """The stacks of `folder` that have a run which is missing, as they were begun, and the runs that were begun alone:
    where a sweep has got other runs since, another size of its stacks, or was killed between two of their results,
    grouping them anew would train these from their start again.
    """
    begun: list[list[Recipe]] = []
    left = list(filter(stackable, missing))

    def lost(fault: str) -> None:
        note(f"{fault}; those of its runs that are now in another stack begin at their start")

    for group in _stored_stacks(folder, lost) if left else ():
        if any(recipe in group for recipe in left):
            left = [recipe for recipe in left if recipe not in group]
            begun.append(group)
    alone = ((recipe, _folders([recipe], folder, recipe.rates[0])[0]) for recipe in left)
    return [*begun, *([recipe] for recipe, own in alone if (own / "checkpoint.pt").exists())]


def _stored_stacks(folder: Path, note: Callable[[str], None]) -> Iterator[list[Recipe]]:
    """The recipes of every stack in `folder` whose checkpoint can be read; a note says what is wrong with another."""
    for path in sorted(folder.glob("stack-*/checkpoint.pt")):
        try:
            yield [Recipe.from_json(record) for record in checkpoint.recipes(path)]
        except (CheckpointError, StorageError) as error:
            note(str(error))
        except (InputError, LookupError, TypeError):
            note(f"checkpoint: {path} has recipes of another version; delete it to start over")


def _or_refused(job: Job[Trained], refuse: Callable[[DataError], None]) -> Job[Trained]:
    """The job, or no outcome where its runs cannot resume: this concerns them alone."""
    try:
        return (yield from job)
    except CheckpointError as error:
        refuse(error)
        return [], []


def _shape(recipe: Recipe) -> Recipe:
    """The same for runs that differ in seed, corruption and weight decay only."""
    return dataclasses.replace(recipe, seed=0, corruption="true", p=1.0, weight_decay=0.0)


def run(
    recipes: Sequence[Recipe],
    folder: str | Path,
    *,
    hardware: Hardware | None = None,
    data_dir: str | Path | None = None,
    stack: int = STACK,
    at_once: int = 1,
    minutes: float | None = None,
    progress: ProgressLike = None,
) -> dict[str, dict[str, Any]]:
    """Results by recipe key: those stored in `folder`, and the others trained (or resumed) now, in the given order.

    `stack` MLP runs share a batched product; of such stacks and of other runs, `at_once` train at a time. After
    `minutes` no run is begun and those under way are saved: the result then lacks the unfinished ones, and the same
    call resumes them. FOLDER/sweep.jsonl gets a line with the seconds of each call. A damaged result or checkpoint is
    raised as DataError once all other runs are trained.
    """
    hardware = hardware or Hardware()
    folder, data_dir = _paths(folder, data_dir)
    progress = as_progress(progress if leads() else None)
    unique = list(dict.fromkeys(recipes))
    integer("stack", stack, 1)
    _check_turns(unique, at_once, minutes)
    refused: list[DataError] = []

    def refuse(error: DataError) -> None:
        refused.append(error)
        progress.note(f"{error}; the other runs go on")

    stored = _stored(unique, folder, refuse)
    fetch, inputs = reader(data_dir, progress), InputCache()
    for recipe, result in stored.items():
        if result is not None:
            check_data(recipe, result, fetch)
    results = {recipe.key: result for recipe, result in stored.items() if result is not None}
    missing = [recipe for recipe, result in stored.items() if result is None]
    if results:
        progress.note(f"{len(results)} of {len(unique)} runs were finished before, in {folder}")
        note_other_precision(results.values(), hardware, progress)
    _note_caution(hardware, progress)
    _check_networks(missing, fetch, data_dir, at_once)
    begun = _begun(missing, folder, progress.note)
    others = [recipe for recipe in missing if not any(recipe in group for group in begun)]

    def begin(group: list[Recipe]) -> Job[Trained]:
        means: dict[str, Any] = {"hardware": hardware, "data_dir": data_dir, "fetch": fetch, "inputs": inputs}
        return _or_refused(training(group, folder, **means, progress=progress), refuse)

    jobs = (functools.partial(begin, group) for group in [*begun, *stacks(others, stack)])
    device = hardware.resolve()
    start = time.monotonic()
    done: list[str] = []

    def call() -> dict[str, Any]:
        line = {"seconds": time.monotonic() - start, "finished": done, "at_once": at_once, "stack": stack}
        return {**line, "system": settings(hardware), "machine": machine()}

    try:
        with progress.phase("runs", max(len(missing), 1), "runs") as advance, hardware.session(device):
            deadline = None if minutes is None else start + 60 * minutes
            for outcomes, _ in take_turns(jobs, device, at_once=at_once, deadline=deadline):
                ended = [outcome for outcome in outcomes if outcome.recipe in missing]
                for outcome in ended:
                    results[outcome.recipe.key] = finished(outcome.recipe, folder) or record(
                        outcome, hardware
                    )
                    done.append(outcome.recipe.key)
                advance(len(ended))
    except BaseException:
        # Where a checkpoint found no room the line finds none, and its error would take the place of the first.
        with contextlib.suppress(StorageError):
            _append_call(folder, call())
        raise
    if missing:
        _append_call(folder, call())
    if refused:
        raise refused[0]
    return results


def _paths(folder: str | Path, data_dir: str | Path | None) -> tuple[Path, Path | None]:
    return path_of("folder", folder), None if data_dir is None else path_of("data_dir", data_dir)


def _check_turns(recipes: Sequence[Recipe], at_once: int, minutes: float | None) -> None:
    integer("at_once", at_once, 1)
    if minutes is not None:
        positive("minutes", minutes)
    if at_once > 1 and any(recipe.dropout for recipe in recipes):
        raise InputError("at_once: runs with dropout draw from one generator; train them one at a time")
    if processes() > 1 and (at_once > 1 or minutes is not None):
        raise InputError(
            "at_once, minutes: processes of torchrun would stop at different steps; use them in one process"
        )


def _check_networks(recipes: Sequence[Recipe], fetch: Fetch, data_dir: Path | None, at_once: int) -> None:
    """Raise InputError for images that no network takes, for networks that cannot be made for theirs or are no longer
    their recipe's, and for those of the user's own that draw while they train, where runs train at once and would share
    a generator.
    """
    for recipe in recipes:
        if recipe.dataset != "imagenet":  # now, and not after the runs before it
            check_images(recipe, fetch(recipe.dataset, recipe.n, recipe.n_test))
    check_sources(recipes)
    distinct = dict.fromkeys((r.model, r.dropout, *_images_of(r, fetch, data_dir)) for r in recipes)
    for model, dropout, shape, n_classes in distinct:
        check_network(model, shape)
        if not is_own(model) or not n_classes:
            continue
        net = build(model, shape=shape, n_classes=n_classes, dropout=dropout)
        if at_once > 1 and draws(net, shape):
            raise InputError(
                f"at_once: {model} takes random numbers while it trains, such as dropout, and runs side by side "
                "would share a generator; train them one at a time"
            )
    for recipe in recipes:
        if recipe.dataset != "imagenet":  # whose images are counted when their run begins
            n, images = (
                fetch(recipe.dataset, recipe.n, recipe.n_test).n_train,
                _images_of(recipe, fetch, data_dir),
            )
            check_step(recipe, *images)
            check_single_rows(recipe, n, *images, processes())


def _images_of(recipe: Recipe, fetch: Fetch, data_dir: Path | None) -> tuple[tuple[int, int, int], int]:
    """(height, width, channels) of the images that the network sees, and their number of classes; 0 where
    nobody asks.
    """
    if recipe.dataset != "imagenet":
        dataset = fetch(recipe.dataset, recipe.n, recipe.n_test)
        height, width, channels = image_shape(dataset)
        return (min(recipe.side, height), min(recipe.side, width), channels), len(dataset.classes or ())
    # Folders are listed for a network of the user's own alone, which is made here.
    classes = find_images(data_dir / "train").classes if is_own(recipe.model) and data_dir is not None else ()
    return (recipe.side, recipe.side, 3), len(classes)


def _note_caution(hardware: Hardware, progress: Progress) -> None:
    caution = hardware.caution(hardware.resolve())
    if caution:
        progress.note(caution)


def _append_call(folder: Path, line: dict[str, Any]) -> None:
    """Replace FOLDER/sweep.jsonl by itself and one line: half a line would hide those after it. The first process of
    torchrun does, for all.
    """
    if not leads():
        return
    path = folder / "sweep.jsonl"
    before = epoch_log.whole_lines(path) if path.exists() else []
    make_folder(folder)
    atomic.write_bytes(path, b"\n".join([*before, json.dumps(json_output.plain(line)).encode(), b""]))


def seconds_so_far(folder: Path) -> float:
    """Seconds of all calls of `run` that trained anything in `folder`; DataError where a line does not say."""
    path = folder / "sweep.jsonl"
    if not path.exists():
        return 0.0
    try:
        return sum(float(json.loads(line)["seconds"]) for line in epoch_log.whole_lines(path))
    except (ValueError, LookupError, TypeError, RecursionError):
        raise DataError(f"{path}: a line has no seconds, it is damaged; remove it") from None


def train(
    recipes: Sequence[Recipe],
    folder: str | Path,
    *,
    hardware: Hardware,
    data_dir: str | Path | None = None,
    progress: ProgressLike = None,
) -> Trained:
    """Train one group of recipes to the end; see `training`. A group of several must be stackable."""
    if not recipes:
        raise InputError("recipes: got none, expected at least one")
    if len(recipes) > 1 and not all(map(stackable, recipes)):
        raise InputError(
            "recipes: only MLP runs of one rate without crops, augmentation, dropout and early ends can be stacked; "
            "run them one by one"
        )
    folder, data_dir = _paths(folder, data_dir)
    # Read now: a damaged one is refused before hours of work.
    if [finished(recipe, folder) for recipe in recipes] == [None]:
        _note_stack(recipes[0], folder, as_progress(progress))
    return _trained(recipes, folder, hardware=hardware, data_dir=data_dir, progress=progress)


def _note_stack(recipe: Recipe, folder: Path, progress: Progress) -> None:
    """Say so where a run that a stack has begun is trained alone, from its start."""
    alone, _ = _folders([recipe], folder, recipe.rates[0])
    of_stack = (folder / recipe.key / "log.jsonl").exists() and any(folder.glob("stack-*/checkpoint.pt"))
    if of_stack and not (alone / "checkpoint.pt").exists():
        progress.note(
            f"{recipe.key} was begun in a stack in {folder}, which a sweep resumes; alone it begins at its start"
        )


def _trained(
    recipes: Sequence[Recipe],
    folder: Path,
    *,
    hardware: Hardware,
    data_dir: Path | None,
    progress: ProgressLike,
) -> Trained:
    _note_caution(hardware, as_progress(progress))
    with hardware.session(hardware.resolve()):
        return finish(training(recipes, folder, hardware=hardware, data_dir=data_dir, progress=progress))


def network(
    recipe: Recipe,
    folder: str | Path,
    *,
    hardware: Hardware,
    data_dir: str | Path | None = None,
    progress: ProgressLike = None,
) -> tuple[Outcome, nn.Module]:
    """How a run ended and its trained network. Trains or resumes what is not finished; the network of a finished run is
    in its checkpoint or that of its stack, and is trained again, with a note, where these are gone. A stored result
    stays.
    """
    progress = as_progress(progress)
    folder, data_dir = _paths(folder, data_dir)
    group = [recipe]
    stored = finished(recipe, folder)
    if stored is None:
        _note_stack(recipe, folder, progress)
    else:
        check_data(recipe, stored, reader(data_dir, None))
        rungs = [_folders(group, folder, rate)[0] for rate in recipe.rates[: stored["rung"] + 1]]
        if not all((rung / "checkpoint.pt").exists() for rung in rungs):
            stack = _stack_of(recipe, folder, progress.note)
            if stack is None:
                progress.note(
                    f"{recipe.key} is finished without a checkpoint in {folder}: its network is trained again, the "
                    "result stays, and analyses of earlier calls are of the network before"
                )
            group = stack or group
    outcomes, networks = _trained(group, folder, hardware=hardware, data_dir=data_dir, progress=progress)
    index = group.index(recipe)
    return outcomes[index], networks[index]


def _stack_of(recipe: Recipe, folder: Path, note: Callable[[str], None]) -> list[Recipe] | None:
    """The recipes of the stack in `folder` that this one was trained in; None where there is none."""
    return next((group for group in _stored_stacks(folder, note) if recipe in group), None)


def training(
    recipes: Sequence[Recipe],
    folder: Path,
    *,
    hardware: Hardware,
    data_dir: Path | None = None,
    fetch: Fetch | None = None,
    inputs: InputCache | None = None,
    progress: ProgressLike = None,
) -> Job[Trained]:
    """Train one group of recipes, down the ladder of rates where there is one, pausing after every step (inside one
    `Hardware.session`); outcomes and trained models.

    Writes FOLDER/<key>/result.json, unless it is there already, and log.jsonl. Checkpoints lie in
    FOLDER/<key>/rate-<rate>, or in FOLDER/stack-<hash> for several runs. Under torchrun the first process writes.
    """
    first = recipes[0]
    device = hardware.resolve()
    with joined(device.type) as world:
        # Under torchrun one process speaks and writes for all.
        progress = as_progress(progress if world.leads else None)
        source: Source
        if first.dataset == "imagenet":
            source = Images(first, data_dir, device, workers=hardware.workers)
        else:
            source = load_resident(
                recipes, device, data_dir=data_dir, progress=progress, fetch=fetch, inputs=inputs
            )
        attempt = yield from _down_the_ladder(recipes, source, folder, hardware, world, progress)
        outcomes = attempt.outcomes()
        if world.leads:
            for outcome in outcomes:
                target = folder / outcome.recipe.key / "result.json"
                if target.exists():
                    continue
                make_folder(target.parent)
                json_output.write(record(outcome, hardware), target)
        world.wait()
    return outcomes, attempt.members


def _down_the_ladder(
    recipes: Sequence[Recipe],
    source: Source,
    folder: Path,
    hardware: Hardware,
    world: World,
    progress: Progress,
) -> Job[Training]:
    """The first training, from the largest rate on, that is neither stuck nor diverged; else the last."""
    first = recipes[0]
    for rung, rate in enumerate(first.rates):
        checkpoints, logs = _folders(recipes, folder, rate)
        attempt = Training(
            recipes,
            source,
            rate=rate,
            folder=checkpoints,
            logs=logs,
            hardware=hardware,
            world=world,
            progress=progress,
        )
        yield from attempt.steps_taken()
        status = attempt.outcomes()[0].status
        if status not in FAILED or rung + 1 == len(first.rates):
            break
        progress.note(f"{first.key}: {status} at rate {rate:g}, trying {first.rates[rung + 1]:g}")
    return attempt


def _folders(recipes: Sequence[Recipe], folder: Path, rate: float) -> tuple[Path, list[Path]]:
    """Where the checkpoint lies, and the log of each run."""
    if len(recipes) == 1:
        own = folder / recipes[0].key / f"rate-{rate:g}"
        return own, [own]
    name = hashlib.sha256(" ".join(r.key for r in recipes).encode()).hexdigest()[:10]
    return folder / f"stack-{name}", [folder / r.key for r in recipes]
