"""Several trainings in one process: their steps take turns, on CUDA each training in a stream of its own.

One step of a small network leaves most of a large GPU idle; steps of several fill it. What a run computes does not
depend on those beside it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeVar

import torch

T = TypeVar("T")
Job = Generator[None, None, T]  # pauses after every step; its value is the result


def finish(job: Job[T]) -> T:
    """Run one job to its end."""
    while True:
        try:
            next(job)
        except StopIteration as end:
            result: T = end.value
            return result


def take_turns(
    jobs: Iterable[Callable[[], Job[T]]],
    device: torch.device,
    *,
    at_once: int = 1,
    deadline: float | None = None,
) -> Iterator[T]:
    """Results of `jobs` in the order in which they end; `at_once` of them run at a time, begun in the given order.

    At `deadline` (on `time.monotonic`) no further job is begun and those under way are closed, which has them save
    their state.
    """
    waiting = iter(jobs)
    running: list[tuple[Job[T], Any]] = []
    streams = [_stream(device, at_once) for _ in range(at_once)]
    try:
        while deadline is None or time.monotonic() < deadline:
            while streams and (begin := next(waiting, None)) is not None:
                running.append((begin(), streams.pop()))
            if not running:
                return
            for job, stream in list(running):
                try:
                    with _inside(stream):
                        next(job)
                except StopIteration as end:
                    running.remove((job, stream))
                    streams.append(stream)
                    yield end.value
    finally:
        with (
            contextlib.ExitStack() as last
        ):  # each is closed, also where another has no room to save its state
            for job, stream in running:
                last.callback(_close, job, stream)


def _close(job: Job[T], stream: Any) -> None:
    with _inside(stream):
        job.close()


def _stream(device: torch.device, at_once: int) -> Any:
    """A CUDA stream; None where the default one does."""
    return torch.cuda.Stream(device) if device.type == "cuda" and at_once > 1 else None


def _inside(stream: Any) -> contextlib.AbstractContextManager[Any]:
    return contextlib.nullcontext() if stream is None else torch.cuda.stream(stream)
