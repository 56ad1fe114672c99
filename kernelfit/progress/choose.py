"""What the argument `progress` of public functions means."""

from __future__ import annotations

import sys

from kernelfit.errors import InputError, shown
from kernelfit.progress.first_use import announce
from kernelfit.progress.notebook import NotebookProgress
from kernelfit.progress.protocol import Progress, Silent
from kernelfit.progress.terminal import TerminalProgress

#: what the public functions take: True shows bars and notes, None and False nothing
ProgressLike = Progress | bool | None


def as_progress(progress: ProgressLike) -> Progress:
    """What receives the progress: bars in a notebook or on standard error for True, nothing for None and False.

    Where standard error is no terminal, a line every ten seconds shows that the work goes on. Raises InputError for
    what is neither a flag nor a `Progress`.
    """
    if progress is True:
        drawn = NotebookProgress() if _in_notebook() else TerminalProgress()
        announce(drawn)
        return drawn
    if progress is None or progress is False:
        return Silent()
    if not callable(getattr(progress, "phase", None)) or not callable(getattr(progress, "note", None)):
        raise InputError(
            f"progress: got {shown(progress)}, expected True, False or an object with phase and note, as a "
            "kernelfit.progress.Progress"
        )
    return progress


def _in_notebook() -> bool:
    """Whether cells of a notebook show what is displayed: IPython runs with a kernel, not on a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"
