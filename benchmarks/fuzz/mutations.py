"""Damage done to valid files: flipped bits, cuts, repeats, forged sizes, and JSON whose values make no sense."""

from __future__ import annotations

import json
import random
from typing import Any

#: what a forged size, shape, index or number may be
NUMBERS = (0, 1, -1, 2, 7, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63, 2**64, 10**30)
_ODD = (
    None,
    True,
    "",
    "a",
    "/etc/passwd",
    "x" * 4000,
    "\x00",
    "é\ud800",
    0.5,
    -0.0,
    -1,
    "1",
    [1],
    [[0, 1]],
    10**400,
    1e308,
    -1e308,
    float("nan"),
    float("inf"),
    [],
    {},
    [[[[]]]],
    {"name": "gaussian"},
    *NUMBERS,
)


def mutate(rng: random.Random, originals: list[bytes], tokens: tuple[bytes, ...] = ()) -> bytes:
    """One of the originals with one to six changes; now and then arbitrary bytes."""
    if rng.random() < 0.02:
        return rng.randbytes(rng.randint(0, 400))
    data = bytearray(rng.choice(originals))
    # Headers are where sizes stand, and a small part of most files.
    reach = len(data) if rng.random() < 0.5 else min(len(data), 512)
    for _ in range(rng.randint(1, 6)):
        at = rng.randint(0, max(0, min(reach, len(data)) - 1))
        match rng.choice(("bit", "byte", "number", "cut", "end", "insert", "repeat", "splice", "token")):
            case "bit" if data:
                data[at] ^= 1 << rng.randrange(8)
            case "byte":
                data[at : at + 1] = rng.randbytes(1)
            case "number":
                width = rng.choice((1, 2, 4, 8))
                number = rng.choice(NUMBERS) % 256**width
                data[at : at + width] = number.to_bytes(width, rng.choice(("little", "big")))
            case "cut":
                del data[at : at + rng.randint(1, 500)]
            case "end" if rng.random() < 0.3:
                del data[at:]
            case "insert":
                data[at:at] = rng.randbytes(rng.randint(1, 40))
            case "repeat":
                data[at:at] = data[at : at + rng.randint(1, 64)] * rng.randint(1, 4)
            case "splice":
                other = rng.choice(originals)
                begin = rng.randint(0, len(other))
                piece = other[begin : begin + rng.randint(1, 200)]
                data[at : at + len(piece)] = piece
            case "token" if tokens:
                token = rng.choice(tokens)
                data[at : at + rng.choice((0, len(token)))] = token
    return bytes(data)


def forge(rng: random.Random, value: Any) -> Any:
    """A copy with one of its values replaced, left out or doubled: what a checksum that was computed again allows."""
    return mutate_json(rng, value, changes=1)


def mutate_json(rng: random.Random, value: Any, changes: int = 3) -> Any:
    """A copy with one to `changes` of its values, at any depth, replaced, left out or doubled."""
    copy = json.loads(json.dumps(value))
    for _ in range(rng.randint(1, changes)):
        holder = copy
        while isinstance(holder, dict | list) and holder:
            key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
            inner = holder[key]
            if not isinstance(inner, dict | list) or not inner or rng.random() < 0.25:
                _replace(rng, holder, key)
                break
            holder = inner
    return copy


def _replace(rng: random.Random, holder: Any, key: Any) -> None:
    value = holder[key]
    match rng.choice(("odd", "odd", "odd", "remove", "double", "shift")):
        case "remove":
            del holder[key]
        case "double" if isinstance(holder, list):
            holder.append(value)
        case "shift" if isinstance(value, int | float):
            holder[key] = value + rng.choice((-1, 1, 0.5))
        case _:
            holder[key] = rng.choice(_ODD)
