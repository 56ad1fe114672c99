"""What is stored of a finished run: FOLDER/<key>/result.json. No torch here."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernelfit.arguments import at_home
from kernelfit.cpu.environment import describe, gpus
from kernelfit.datasets import REGISTRY
from kernelfit.datasets.corruptions import expected_test_error
from kernelfit.deep.data.reading import Fetch, data_digest
from kernelfit.deep.processes import processes
from kernelfit.deep.recipe import Recipe, choices
from kernelfit.deep.training import epoch_log
from kernelfit.deep.training.outcome import Outcome
from kernelfit.errors import DataError
from kernelfit.progress import Progress
from kernelfit.storage import json_output
from kernelfit.storage.atomic import storage_error

if TYPE_CHECKING:
    from kernelfit.deep.training.hardware import Hardware  # which imports torch

FIGURES = (
    "loss",
    "online_accuracy",
    "train_accuracy",
    "train_top5",
    "test_accuracy",
    "test_top5",
    "best_test_accuracy",
    "best_test_top5",
)
#: what tables and figures read of every result, and of each of its epochs
_FIELDS = {
    *("key", "status", "rate", "epochs", "steps", "seconds", "converged_step", *FIGURES),
    *("corrupted_test_error", "history"),
}
_EPOCH_FIELDS = {
    *("epoch", "step", "seconds", "online_accuracy", "window_steps", "window_losses"),
    *(
        f"{part}_{name}"
        for part in ("clean", "corrupted")
        for name in ("accuracy", "first_learned", "forgotten")
    ),
}


def record(outcome: Outcome, hardware: Hardware) -> dict[str, Any]:
    """The stored result. Accuracies are fractions; `history` has one entry per epoch.

    `seconds` are those of the run and of all that were trained beside it. `system` is that of the training, `hardware`
    where a run was stored without; after a resume under other settings it is the last one, and its precision and device
    name them all.
    """
    recipe, final = outcome.recipe, outcome.final
    systems = outcome.systems or [settings(hardware)]
    every = {name: " then ".join(dict.fromkeys(s[name] for s in systems)) for name in ("device", "precision")}
    return {
        "key": recipe.key,
        "recipe": recipe.to_json(),
        "status": outcome.status,
        "rate": outcome.rate,
        "rung": recipe.rates.index(outcome.rate),
        "epochs": final["epoch"],
        "steps": final["step"],
        "seconds": final["seconds"],
        "converged_step": outcome.converged_step,
        **{name: final.get(name) for name in FIGURES},
        "corrupted_test_error": _corrupted_error(outcome),
        "data_digest": outcome.data_digest,
        "choices": choices(recipe),
        "system": systems[-1] | every,
        "machine": machine(),
        "history": outcome.history,
    }


def settings(hardware: Hardware) -> dict[str, Any]:
    """How the machine was used, as far as it can change rounding or time."""
    device = hardware.resolve()
    return {
        "device": device.type,
        "precision": hardware.resolved_precision(device),
        "compile": hardware.compile,
        "graph": hardware.graph,
        "threads": hardware.threads,
        "processes": processes(),
        "evaluate_every": hardware.evaluate_every,
    }


def note_other_precision(stored: Iterable[dict[str, Any]], hardware: Hardware, progress: Progress) -> None:
    """Say so where results that are reused were computed with another precision than is asked for."""
    ours = hardware.resolved_precision(hardware.resolve())
    others = {result.get("system", {}).get("precision", ours) for result in stored} - {ours}
    if others:
        progress.note(
            f"finished runs were trained in {', '.join(sorted(others))}, not in {ours}; use another folder"
        )


def machine() -> dict[str, Any]:
    """The machine, with its GPUs."""
    return describe(_gpus())


@functools.cache
def _gpus() -> list[dict[str, Any]]:
    """Asked for once: runs under way stand still meanwhile."""
    return gpus()


def history_so_far(recipe: Recipe, folder: Path) -> list[dict[str, Any]]:
    """The epochs in the log of a run that is not finished, on the last rung of its ladder that was tried."""
    own = folder / recipe.key
    logs = [own / "log.jsonl", *(own / f"rate-{rate:g}" / "log.jsonl" for rate in recipe.rates)]
    there = [log for log in logs if log.is_file()]
    records = epoch_log.read(there[-1]) if there else []
    return list(itertools.takewhile(_is_epoch, records))


def analyses_so_far(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """The analyses of earlier calls; raises `DataError` where the file is not one of this program."""
    path = folder / recipe.key / "analysis.json"
    if not path.exists():
        return {}
    try:
        earlier: Any = json.loads(_content(path))
    except (ValueError, RecursionError):
        earlier = None
    if not isinstance(earlier, dict):
        raise DataError(f"analysis: {path} is not one of this program; delete it and analyse again")
    return earlier


def add_analysis(recipe: Recipe, folder: Path, analysis: dict[str, Any]) -> dict[str, Any]:
    """Write FOLDER/<key>/analysis.json with these analyses of a run, and those of earlier calls that it lacks."""
    together = analyses_so_far(recipe, folder) | analysis
    json_output.write(together, folder / recipe.key / "analysis.json")
    return together


def _corrupted_error(outcome: Outcome) -> float | None:
    """Beside the error on clean test labels: the one on test labels corrupted like the training labels."""
    noise = {"random-labels": 1.0, "corrupt-labels": outcome.recipe.p}.get(outcome.recipe.corruption)
    accuracy = outcome.final.get("test_accuracy")
    if noise is None or accuracy is None:
        return None
    return expected_test_error(1 - accuracy, noise, outcome.n_classes)


def finished(recipe: Recipe, folder: Path) -> dict[str, Any] | None:
    """The stored result of a recipe; None where it has not been finished in `folder`. Raises DataError for a file that
    is another's or damaged, StorageError for one that cannot be read.
    """
    path = folder / recipe.key / "result.json"
    if not path.exists():
        return None
    try:
        stored: dict[str, Any] = json.loads(_content(path))
        owner = Recipe.from_json(stored["recipe"])
        if not (stored.keys() >= _FIELDS and stored["history"] and all(map(_is_epoch, stored["history"]))):
            raise ValueError("fields")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise DataError(f"result: {path} is not a result of this program; delete it to run again") from None
    if owner != recipe:
        raise DataError(f"result: {path} belongs to another recipe; delete it to run again")
    return stored


def _is_epoch(record: Any) -> bool:
    """Whether a record of a history has the fields of one."""
    return isinstance(record, dict) and record.keys() >= _EPOCH_FIELDS


def _content(path: Path) -> bytes:
    """What a file holds. Raises StorageError, whose remedy is not to delete it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise storage_error("read", path, error) from None


def check_data(recipe: Recipe, stored: dict[str, Any], fetch: Fetch) -> None:
    """Raise DataError where a stored result is of other data than the user's own file or folder holds now.

    One that is gone contradicts nothing; data sets with a name are always the same, and older results do not say.
    """
    digest = stored.get("data_digest")
    named = recipe.dataset in (*REGISTRY, "imagenet")
    if digest is None or named or not at_home(recipe.dataset).exists():
        return
    if data_digest(fetch(recipe.dataset, recipe.n, recipe.n_test)) != digest:
        raise DataError(
            f"result: {stored['key']} was trained on other data than {recipe.dataset} holds now; restore that data, or "
            "use another folder"
        )
