"""The notebook of examples/: it runs in a kernel as it stands, and gives what it shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("pandas")

NOTEBOOK = Path(__file__).parents[2] / "examples" / "digits.ipynb"


def texts(notebook: Any) -> list[list[str]]:
    """What each cell of code shows as text, without the times, which are those of the machine."""
    shown = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            outputs = [
                output.get("text", output.get("data", {}).get("text/plain", "")) for output in cell.outputs
            ]
            lines = [line for text in outputs for line in text.splitlines()]
            shown.append([line for line in lines if not re.match(r"  seconds|<IPython|<Figure", line)])
    return shown


@pytest.mark.filterwarnings("ignore")  # of the client of the kernel
def test_it_gives_what_it_shows(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stored = nbformat.read(NOTEBOOK, as_version=4)
    executed = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(
        executed, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output
    shown, expected = texts(executed), texts(stored)
    # Digits of a residual hang on the processor; errors, norms, notes and predictions do not.
    exact = (
        "residual",
        "backward error",
        "condition",
        "smallest pivot",
        "log det",
        "kernel",
        "gamma",
        "ridge",
    )
    for cell, wanted in zip(shown, expected, strict=True):
        for line, want in zip(cell, wanted, strict=True):
            if not line.strip().startswith(exact):
                assert line == want
    pictures = [
        output
        for cell in executed.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 2
