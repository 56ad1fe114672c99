"""run.h5: everything a run needs to be resumed, written before its first panel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kernelfit.errors import DataError
from kernelfit.gram.placement import TIERS
from kernelfit.gram.plan import Plan
from kernelfit.gram.precision import CPU_PRECISIONS
from kernelfit.storage import hdf5, schema
from kernelfit.storage.schema import Rule
from kernelfit.typing import Array

FORMAT = "kernelfit run"
VERSION = 1
#: annotation of a field of a plan -> what JSON gives for it
_RULES: dict[str, Rule] = {
    "int": schema.integer(),
    "float": schema.number(0.0),
    "str": schema.TEXT,
    "float | None": schema.optional(schema.number(0.0)),
}
#: what a stored plan holds
PLAN = {key.name: _RULES[str(key.type)] for key in fields(Plan)} | {
    "n": schema.integer(1),
    "panel_width": schema.integer(1),
    "rows_at_once": schema.integer(1),
    "threads": schema.integer(1),
    "tier": schema.one_of([*TIERS, "device", "generated", "cluster"]),
    "precision": schema.one_of(CPU_PRECISIONS),
}

Built = TypeVar("Built")


@dataclass(frozen=True)
class Record:
    """A run as plain data.

    Attributes
    ----------
    plan : what is done
    identity : what must agree for panels to be taken up (see `kernelfit.runs.identity`)
    meta : JSON from which the problem is built again, with `notes` and what is `remembered`
    arrays : targets, indices of rows, and rows unless K is precomputed
    """

    plan: Plan
    identity: dict[str, Any]
    meta: dict[str, Any]
    arrays: dict[str, Array]


def write(path: Path, record: Record, seal: Callable[[str], None] | None = None) -> None:
    """Write a record; the file appears whole or not at all. `seal` is called before it takes its name."""
    meta = {"identity": record.identity, "plan": record.plan.to_dict(), **record.meta}
    hdf5.write(path, form=FORMAT, version=VERSION, meta=meta, arrays=record.arrays, seal=seal)


def read(path: Path, build: Callable[[Record], Built]) -> Built:
    """What `build` makes of the record in a file; raises `DataError` where the file or its contents are unusable."""
    return hdf5.read(
        path,
        partial(_build, path, build),
        form=FORMAT,
        version=VERSION,
        remedy="solve again with the same rows and this folder, or start in another one",
    )


def plan_of(meta: dict[str, Any], path: Path) -> Plan:
    """The plan in the meta of a file; raises `DataError` where it is none that a planner makes."""
    schema.require(path, meta, {"plan": schema.OBJECT})
    schema.require(path, meta["plan"], PLAN, "plan")
    plan = Plan(**{key.name: meta["plan"][key.name] for key in fields(Plan)})
    sized = plan.has_factor or 1 <= plan.rank <= plan.n
    if not (sized and plan.panel_width <= plan.n) or plan.panels != plan.layout.count:
        raise DataError(f"{path}: its plan makes no sense, it is damaged; start again in another folder")
    return plan


def read_entry(path: Path, name: str) -> dict[str, Any] | None:
    """`identity` or `remembered` alone; None where the file is damaged."""
    try:
        return hdf5.read(path, lambda meta, arrays: dict(meta[name]), form=FORMAT, version=VERSION, remedy="")
    except DataError:
        return None


def _build(
    path: Path, build: Callable[[Record], Built], meta: dict[str, Any], arrays: dict[str, Array]
) -> Built:
    schema.require(path, meta, {"identity": schema.OBJECT, "notes": schema.sequence(schema.TEXT)})
    return build(Record(plan_of(meta, path), meta["identity"], meta, arrays))
