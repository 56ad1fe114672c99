"""The streams of the stand-in: what is queued runs late, in a random order that streams and events allow.

Every operation has a vector clock: for each stream, how many of its operations come before. Two operations that touch
the same bytes, one of them writing, with no order between them are a `Race`, found when the second one is queued.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.device.protocol import Block

Clock = dict[int, int]

# Accesses remembered before those that the host has waited for are forgotten.
_REMEMBERED = 256


class Race(AssertionError):
    """Two operations touch the same bytes, one of them writes, and nothing orders them."""


@dataclass
class HostStream:
    """`clock` holds, for each stream, how many of its operations come before whatever is queued here next."""

    index: int
    name: str
    clock: Clock = field(default_factory=dict)
    queued: int = 0
    pending: deque[tuple[int, Clock, Callable[[], None]]] = field(default_factory=deque)
    finished: int = 0


@dataclass(frozen=True)
class Access:
    """Bytes lo:hi of a slab or of the host, in rows of `width` bytes that lie `pitch` bytes apart."""

    space: str
    lo: int
    hi: int
    pitch: int
    width: int
    writes: bool

    @classmethod
    def of_block(cls, block: Block, writes: bool, slab: str = "slab") -> Access:
        size = block.dtype.itemsize
        return cls(slab, *block.span, block.stride * size, block.columns * size, writes)

    @classmethod
    def of_host(cls, array: NDArray[Any], writes: bool) -> Access:
        start = int(array.ctypes.data)
        return cls("host", start, start + array.nbytes, 0, 0, writes)

    def meets(self, other: Access) -> bool:
        if self.hi <= other.lo or other.hi <= self.lo:
            return False
        if self.pitch != other.pitch or self.pitch == 0:
            return True
        # Rows of one matrix: only the columns can keep them apart.
        mine, theirs = self.lo % self.pitch, other.lo % self.pitch
        if max(mine + self.width, theirs + other.width) > self.pitch:
            return True
        return mine < theirs + other.width and theirs < mine + self.width

    def __str__(self) -> str:
        return f"{'writes' if self.writes else 'reads'} bytes {(self.lo, self.hi)} of the {self.space}"


@dataclass(frozen=True)
class _Made:
    """An access by operation `number` of `stream`."""

    access: Access
    stream: int
    number: int
    operation: str


class HostStreams:
    """All streams of one stand-in, or of several that reach each other, and the host that waits for them."""

    def __init__(self, seed: int) -> None:
        self._streams: list[HostStream] = []
        self._host_clock: Clock = {}
        # The latest of equal accesses by one stream stands for the earlier ones: they come before it.
        self._made: defaultdict[str, dict[tuple[Access, int], _Made]] = defaultdict(dict)
        self._generator = np.random.default_rng(seed)

    def open(self, name: str) -> HostStream:
        self._streams.append(HostStream(len(self._streams), name))
        return self._streams[-1]

    def record(self, stream: HostStream) -> Clock:
        return {**stream.clock, stream.index: stream.queued}

    def wait(self, stream: HostStream, event: Clock) -> None:
        _merge(stream.clock, event)

    def synchronise(self, event: Clock | None = None) -> None:
        """Run what the event needs, or everything."""
        if event is None:
            event = {stream.index: stream.queued for stream in self._streams}
        self._run_up_to(event)
        _merge(self._host_clock, event)

    def submit(
        self, stream: HostStream, operation: str, accesses: Iterable[Access], run: Callable[[], None]
    ) -> None:
        """Queue an operation; raises `Race` where what it touches is touched with no order to it."""
        _merge(stream.clock, self._host_clock)
        stream.queued += 1
        clock = {**stream.clock, stream.index: stream.queued - 1}
        for access in accesses:
            self._check(_Made(access, stream.index, stream.queued, f"{operation} on {stream.name}"), clock)
        stream.pending.append((stream.queued, clock, run))

    def _check(self, made: _Made, clock: Clock) -> None:
        access, known = made.access, self._made[made.access.space]
        for other in known.values():
            if other.stream == made.stream or clock.get(other.stream, 0) >= other.number:
                continue
            if (access.writes or other.access.writes) and access.meets(other.access):
                raise Race(
                    f"{made.operation} {access} with no order to {other.operation}, which {other.access}"
                )
        known[access, made.stream] = made
        if len(known) > _REMEMBERED:
            seen = self._host_clock
            self._made[access.space] = {
                key: other for key, other in known.items() if seen.get(other.stream, 0) < other.number
            }

    def _run_up_to(self, event: Clock) -> None:
        wanted = dict(event)
        while True:
            # What the wanted operations themselves wait for is wanted as well.
            behind = [stream for stream in self._streams if stream.finished < wanted.get(stream.index, 0)]
            if not behind:
                return
            ready = []
            for stream in behind:
                _, clock, _ = stream.pending[0]
                _merge(wanted, clock)
                if all(self._streams[s].finished >= count for s, count in clock.items()):
                    ready.append(stream)
            if ready:
                stream = ready[int(self._generator.integers(len(ready)))]
                _, _, run = stream.pending.popleft()
                run()
                stream.finished += 1


def _merge(clock: Clock, other: Clock) -> None:
    for stream, count in other.items():
        if count > clock.get(stream, 0):
            clock[stream] = count
