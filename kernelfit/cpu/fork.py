"""What a forked child starts anew: locks and threads of its parent's other threads do not come along."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol
from weakref import WeakSet


class Renewable(Protocol):
    """An object with locks or threads, which only the process that made them has."""

    def renew(self) -> None:
        """Called in a forked child, while it has one thread: locks are new, threads are to be started again."""
        ...


_OBJECTS: WeakSet[Renewable] = WeakSet()
#: how many forks lie between the first process and this one, in a list of one: for objects that are too many, and live
#: too short, to be renewed one by one, and look for themselves
FORKS = [0]


def renew_in_children(renewable: Renewable) -> None:
    """`renewable.renew()` is called in every child forked while the object lives."""
    _OBJECTS.add(renewable)


def hold_while_forking(acquire: Callable[[], object], release: Callable[[], object]) -> None:
    """No child is forked while another thread holds this lock: it would never be released there."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=acquire, after_in_parent=release, after_in_child=release)


def before_forking(prepare: Callable[[], object]) -> None:
    """`prepare()` is called before every fork, in the thread that forks."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=prepare)


def _renew_all() -> None:
    FORKS[0] += 1
    for renewable in list(_OBJECTS):
        renewable.renew()


if hasattr(os, "register_at_fork"):  # not on Windows, which forks nothing
    os.register_at_fork(after_in_child=_renew_all)
