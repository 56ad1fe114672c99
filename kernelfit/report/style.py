"""Figures as matplotlib draws them by itself: a user's matplotlibrc may ask for LaTeX, or other colours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


@contextmanager
def own_style(settings: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Within it, or in a function that it decorates, matplotlib's own settings hold, and these; then the user's."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # all but the backend
        matplotlib.rcParams.update(settings or {})
        yield
