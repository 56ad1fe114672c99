"""How a width and a ridge were chosen, as plain data and back: what run.h5 and solution.h5 hold of it."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from kernelfit.solver.ridge import RidgeChoice, RidgeTrial
from kernelfit.solver.search import GammaChoice, GammaTrial
from kernelfit.storage import schema
from kernelfit.storage.schema import Rule

Choice = TypeVar("Choice", RidgeChoice, GammaChoice)

#: annotation of a field -> what JSON gives for it; errors of large targets may overflow
_RULES: dict[str, Rule] = {
    "int": schema.integer(),
    "bool": schema.BOOLEAN,
    "str": schema.TEXT,
    "float": schema.number(),
    "float | None": schema.optional(schema.number(finite=False)),
}
_TRIALS = {RidgeChoice: RidgeTrial, GammaChoice: GammaTrial}


def to_data(choice: RidgeChoice | GammaChoice) -> dict[str, Any]:
    """JSON of a choice with all its trials."""
    return asdict(choice)


def of_data(path: Path, made: type[Choice], record: Any, name: str) -> Choice:
    """The inverse of `to_data`, of what the file `path` calls `name`. Raises `DataError` where a value breaks its
    rule."""
    schema.require(path, record, {**_rules(made), "trials": schema.sequence(schema.OBJECT, 1)}, name)
    trial = _TRIALS[made]
    rules = _rules(trial)
    for each in record["trials"]:
        schema.require(path, each, rules, f"{name}: trials")
    values = {key: record[key] for key in _rules(made)}
    return made(
        **values, trials=tuple(trial(**{key: each[key] for key in rules}) for each in record["trials"])
    )


def _rules(made: type) -> dict[str, Rule]:
    return {each.name: _RULES[str(each.type)] for each in fields(made) if each.name != "trials"}
