"""Frozen dataclasses that are made fast."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, asdict, field, replace

import pytest

from kernelfit.frozen import frozen


@frozen
class Pair:
    first: int
    second: float = 2.0
    names: dict[str, int] = field(default_factory=dict)


def test_fields_are_those_of_a_frozen_dataclass():
    pair = Pair(1)
    assert (pair.first, pair.second, pair.names) == (1, 2.0, {})
    assert pair.names is not Pair(1).names
    assert pair == Pair(first=1, second=2.0)
    assert pair != replace(pair, first=3)
    assert asdict(Pair(1, 3.0, {"a": 1})) == {"first": 1, "second": 3.0, "names": {"a": 1}}
    assert repr(pair) == "Pair(first=1, second=2.0, names={})"
    assert pickle.loads(pickle.dumps(pair)) == pair


def test_a_field_is_not_set_again_and_none_is_left_out():
    with pytest.raises(FrozenInstanceError):
        Pair(1).first = 2
    with pytest.raises(TypeError, match="first"):
        Pair()
    with pytest.raises(TypeError, match="third"):
        Pair(1, third=3)
