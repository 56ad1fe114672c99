"""Section 5's claims as a table."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kernelfit.report.tables import MISSING, kernel_formula

_HOLDS = {True: "yes", False: "no", None: MISSING}


def table(record: dict[str, Any]) -> RenderableType:
    """A line a claim: the paper's figure, ours, and whether ours bears it out."""
    grid = Table(box=None, pad_edge=False)
    # Sentences are wrapped wherever there is room for all of one: a verdict far to the right is not seen.
    grid.add_column("claim", overflow="fold", ratio=3, max_width=36)
    grid.add_column("paper", overflow="fold", ratio=2, max_width=24)
    grid.add_column("here", overflow="fold", ratio=4, max_width=48)
    grid.add_column("holds")
    for claim in record["claims"]:
        grid.add_row(claim["claim"], claim["paper"] or MISSING, claim["ours"], _HOLDS[claim["holds"]])
    about = (
        f"{record['n_train']:,} training rows of {record['dataset']}; {kernel_formula(record['kernel'])}; gradient "
        f"methods and complexities: the first {record['n_spectral']:,}"
    )
    return Group(grid, Text(about, style="dim"))
