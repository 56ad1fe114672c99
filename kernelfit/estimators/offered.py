"""Methods that an estimator has under a condition: without it an AttributeError that says what to do.

scikit-learn's `available_if` does the same with a message of its own, and hides that of the condition behind it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import MethodType
from typing import Any, cast


def offered_if(reason: Callable[[Any], str]) -> Callable[[Callable[..., Any]], Any]:
    """A method that is there while `reason` of its object is empty; `hasattr` sees that."""
    return lambda method: _Offered(method, reason)


class _Offered:
    def __init__(self, method: Callable[..., Any], reason: Callable[[Any], str]) -> None:
        functools.update_wrapper(cast(Any, self), method)
        self._method, self._reason = method, reason

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self._method
        if why := self._reason(instance):
            raise AttributeError(f"{self._method.__name__}: {why}")
        return MethodType(self._method, instance)
