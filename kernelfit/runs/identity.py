"""What makes two runs the same run: equal identities give the same factor, bit for bit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from kernelfit.cpu.linked_blas import accelerate_version, linked_libraries
from kernelfit.cpu.pool import CpuBackend
from kernelfit.cpu.registers import compiled_for
from kernelfit.gram.plan import Plan
from kernelfit.gram.protocol import GramSource
from kernelfit.storage.hdf5 import array_digest
from kernelfit.typing import Float

_PACKAGES = ("kernelfit", "numba", "numpy", "scipy")


def identity(
    source: GramSource, plan: Plan, ridge: float, jitter: float, weights: Float | None = None
) -> dict[str, Any]:
    """Rows, kernel, plan, precision, shift, weights and versions as JSON. Targets are left out: any may come later."""
    if source.points is not None:
        digests = {f"values{end}": array_digest(part) for end, part in source.points.arrays().items()}
        rows = {**digests, "scale": source.points.scale}
    else:
        rows = {"gram": gram_digest(source, plan)}
    described: dict[str, Any] = {
        "rows": rows,
        "kernel": source.kernel.describe() if source.kernel is not None else {"name": "precomputed"},
        "ridge": ridge,
        "jitter": jitter,
        "plan": {"n": plan.n, "panel_width": plan.panel_width, "precision": plan.precision},
        "versions": versions(),
    }
    if source.formula is not None:
        described["formula"] = source.formula.describe()
    if not plan.has_factor:
        described["plan"] |= {"solver": plan.solver, "rank": plan.rank, "tier": plan.tier}
    if weights is not None:
        described["weights"] = array_digest(weights)
    same: dict[str, Any] = json.loads(json.dumps(described))
    return same


def versions() -> dict[str, str]:
    """Versions of everything that does arithmetic, and the processor that it is compiled for.

    A library that no one here calls does not count, wherever it came from.
    """
    libraries = {
        f"{library.internal_api} {library.version} {getattr(library, 'architecture', None) or ''}".strip()
        for library in linked_libraries()
    }
    if accelerate := accelerate_version(libraries):
        libraries = {f"accelerate {accelerate}"}
    blas = ", ".join(sorted(libraries))
    return {name: version(name) for name in _PACKAGES} | {"blas": blas, "processor": compiled_for()}


def gram_digest(source: GramSource, plan: Plan) -> str:
    """A hash of the lower triangle of K."""
    layout = plan.layout
    digest = hashlib.blake2b(f"{layout.n}".encode(), digest_size=16)
    with CpuBackend(1) as backend:
        for j in range(layout.count):
            first, last = layout.start(j), layout.stop(j)
            columns = source.columns(first, last, backend)
            for start, stop in [(first, last), *layout.strips(last)]:
                tile = np.empty((stop - start, last - first))
                columns.fill(start, stop, tile)
                digest.update((np.tril(tile) if start == first else tile).data)
    return digest.hexdigest()


def differences(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """What differs between two identities: `name: value here, value there`."""
    ours, theirs = _flat(here), _flat(there)
    return [
        f"{name} is {ours.get(name, 'absent')}, the run has {theirs.get(name, 'absent')}"
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    ]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
