"""How long work tells the outside how far it is, and what shows that on a terminal or in a notebook.

Public functions take `progress=True`, or an object of your own with the two methods of `Progress`.
"""

from kernelfit.progress.choose import ProgressLike, as_progress
from kernelfit.progress.notebook import NotebookProgress
from kernelfit.progress.notes import Aside, Notes, Once, Recorded
from kernelfit.progress.protocol import Advance, Progress, Silent
from kernelfit.progress.terminal import TerminalProgress

__all__ = [
    "Advance",
    "Aside",
    "NotebookProgress",
    "Notes",
    "Once",
    "Progress",
    "ProgressLike",
    "Recorded",
    "Silent",
    "TerminalProgress",
    "as_progress",
]
