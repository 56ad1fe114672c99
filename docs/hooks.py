"""Before the site is built: every example is run, and its picture placed beside the gallery."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"


def on_pre_build(config: Any) -> None:
    """Run examples/*.py that are newer than their pictures; an example that fails stops the build."""
    PICTURES.mkdir(exist_ok=True)
    for example in sorted((ROOT / "examples").glob("*.py")):
        picture = PICTURES / f"{example.stem}.png"
        if picture.exists() and picture.stat().st_mtime > example.stat().st_mtime:
            continue
        subprocess.run([sys.executable, str(example)], cwd=PICTURES, check=True)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links out of docs/ are for readers of the repository: on the site they are plain text."""
    return re.sub(r"\[([^\]]+)\]\(\.\./(?:benchmarks|CONTRIBUTING|CHANGELOG|README)[^)]*\)", r"\1", markdown)
