"""The workers of a cluster and the shares that they hold: tasks are sent to them, and lost workers are replaced.

A share belongs to one worker at a time and its tasks are pinned there. When that worker is lost the share is opened on
another one, from the panels of the run's file or from nothing, and its steps are taken again with the block rows that
the others still hold.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from kernelfit.cluster import tasks
from kernelfit.cluster.connect import Cluster, at_end, in_time
from kernelfit.cluster.gpu import Gpu, NoGpu
from kernelfit.cluster.placement import Placement, slab_bytes
from kernelfit.cluster.sent_gram import ShareLost, blocks_of
from kernelfit.cluster.tasks import Setup, WorkerState
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import ClusterError, KernelfitError, PlanError
from kernelfit.progress import Notes

Result = TypeVar("Result")

# Seconds between looks whether all workers are there, and to wait for one to be started again in place of a lost one.
_LOOK, _RESTART = 1.0, 15.0
# Seconds for Dask's client to reach a lost scheduler again: it gives up sooner, unless one takes the connection and
# says nothing.
_RECONNECT = 120.0
# Losses with nothing finished between them after which the cluster counts as one that does not work; where there are
# more shares, as many.
_MAX_LOSSES = 10


def _or_cancelled(*errors: type[BaseException]) -> tuple[type[BaseException], ...]:
    """Those, and what tells that a call was cancelled."""
    import asyncio  # a solve on this machine would import it for nothing

    return *errors, asyncio.CancelledError, concurrent.futures.CancelledError


def _losses() -> tuple[type[BaseException], ...]:
    """What Dask raises where a message or a task did not come through."""
    return _or_cancelled(OSError)


def _forget_shares(client: Any, run: str) -> None:
    """Have all workers forget their shares of a run; never raises."""
    try:
        if client.status == "running":
            in_time(lambda: client.run(tasks.close_shares, run, on_error="ignore"), _RESTART)
    except Exception:
        return


class WorkerLost(ClusterError):
    """Shares whose workers are gone, or were started anew."""


class Crew:
    """Shares of one run on the workers of a cluster, none where tasks of any worker are all that there is to do.

    Attributes
    ----------
    source : the source of K, or what else every task of any worker is given
    addresses : the worker of each share
    setup : how shares are opened; `on_disk` tells for each whether its blocks are read from a file, `gpu` what it takes
        of its worker's GPU
    run : what tells the shares of this factor from others on the same workers
    """

    def __init__(
        self,
        cluster: Cluster,
        source: Any,
        setup: Setup,
        placement: Placement,
        notes: Notes,
        backend: CpuBackend,
    ) -> None:
        self.cluster, self.setup, self._source, self._notes = cluster, setup, source, notes
        self._backend = backend
        self.addresses, self.on_disk = list(placement.addresses), list(placement.on_disk)
        self.gpu = list(placement.gpu)
        self.run = uuid.uuid4().hex[:8]
        #: shares that were opened again, whose steps are to be taken again
        self.reopened: set[int] = set()
        self._numbers = itertools.count()
        self._losses = 0
        self._scattered: Any = None
        self._opened = False
        self._release = at_end(self, _forget_shares, cluster.client, self.run)

    @property
    def client(self) -> Any:
        return self.cluster.client

    # -- tasks --------------------------------------------------------------------------------------------------

    def on_share(self, function: Callable[..., Any], share: int, *arguments: Any, priority: int = 0) -> Any:
        """A future of function(run, share, ...) on the worker of the share."""
        return self._submit(
            function,
            self.run,
            share,
            *arguments,
            key=self._key(function),
            workers=[self.addresses[share]],
            allow_other_workers=False,
            pure=False,
            priority=priority,
        )

    def anywhere(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """A future of function(source, ...) on any worker that takes part, computed again where that is lost."""
        return self._submit(
            function,
            self.source,
            *arguments,
            key=self._key(function),
            workers=self._taking_part(),
            allow_other_workers=False,
            pure=False,
            retries=3,
        )

    def _taking_part(self) -> list[str]:
        """Workers that hold shares, or where there are none all whose versions were looked at: one that came later may
        be of another."""
        return sorted(set(self.addresses) or self.cluster.alike or self._alive())

    def _submit(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return self._guarded(lambda: self.client.submit(function, *arguments, **options))

    def send(self, data: Any) -> Any:
        """A future of what all workers that take part are to have."""
        workers = self._taking_part()
        try:
            return self._asked(
                lambda: self.client.scatter(
                    data, workers=workers, broadcast=True, hash=False, timeout=_RESTART
                )
            )
        except (TimeoutError, KeyError):  # there is no worker to send it to, or one that Dask no longer knows
            raise WorkerLost(f"workers: lost some of {', '.join(workers)}") from None

    def send_to(self, share: int, data: Any) -> Any:
        """The same for the worker of one share: what is large does not travel with its task through the scheduler."""
        where = [self.addresses[share]]
        try:
            (sent,) = self._asked(lambda: self.client.scatter([data], workers=where, hash=False))
        except KeyError:  # Dask's, for a worker that it no longer knows
            raise WorkerLost(f"workers: lost {where[0]}") from None
        return sent

    def send_gram(self, j: int, shares: Iterable[int]) -> dict[int, Any]:
        """For each of the shares a future after which it has its blocks of panel j of a K that is stored here.

        Empty where workers form K themselves.
        """
        source, deal, layout = self._source, self.setup.deal, self.setup.deal.layout
        if not self.setup.sent:
            return {}
        wanted = {p: {i: deal.span(i) for i in deal.rows(p) if i >= j} for p in shares}
        blocks: dict[int, Any] = {}
        with self._backend as backend:
            columns = source.columns(layout.start(j), layout.stop(j), backend)

            def read(p: int) -> None:
                blocks[p] = blocks_of(columns, wanted[p], layout.stop(j) - layout.start(j), self.setup.dtype)

            backend.run(read, [p for p, spans in wanted.items() if spans])
        return {
            p: self.on_share(tasks.take_gram, p, j, self.send_to(p, blocks[p]), priority=5) for p in blocks
        }

    @property
    def source(self) -> Any:
        """A future of K's source, which all workers have; None where K is stored and sent block by block."""
        if self.setup.sent:
            return None
        if not self._has(self._scattered):
            self._scattered = self.send(self._source)
        return self._scattered

    def _has(self, sent: Any) -> bool:
        """Whether some worker still has what was sent."""
        try:
            return sent is not None and any(
                self.cluster.answered(lambda: self.client.who_has([sent])).values()
            )
        except _losses():  # the last worker that had it went
            return False

    def settle(self, futures: Iterable[Any]) -> set[Any]:
        """Return when some of the futures are done, with those; errors of their tasks are raised.

        Raises `WorkerLost` where a worker that holds a share is gone.
        """
        from distributed import wait

        waiting = list(futures)
        while True:
            done: set[Any] = set()
            try:
                with self.client.as_current():
                    done = self._guarded(lambda: set(wait(waiting, _LOOK, "FIRST_COMPLETED").done))
            except TimeoutError:
                self._look()
            for future in done:
                if future.status != "finished":
                    self._raise(future)
            if done:
                return done

    def wait(self, futures: Sequence[Any], after_each: Callable[[], None] | None = None) -> None:
        """Return when all are done; `after_each` is called for every one."""
        waiting = set(futures)
        while waiting:
            done = self.settle(waiting)
            waiting -= done
            if after_each is not None:
                for _ in done:
                    after_each()

    def results(self, futures: Sequence[Any], after_each: Callable[[], None] | None = None) -> list[Any]:
        """What all the futures give, in their order; `after_each` is called for every one that is done."""
        self.wait(futures, after_each)
        patience = _LOOK
        while True:
            try:
                return list(self._guarded(partial(self._gathered, list(futures), patience)))
            except TimeoutError:
                self._look()  # what was on a worker that is gone never comes
                patience *= 2.0

    def _gathered(self, futures: list[Any], patience: float) -> Any:
        """What they give; `TimeoutError` after so many seconds."""
        client = self.client
        try:
            return client.sync(lambda: client.gather(futures, asynchronous=True), callback_timeout=patience)
        except _or_cancelled(UnboundLocalError):
            # Dask cancels what took too long, which may come through as that, or as an error of its `sync`.
            if all(future.status == "finished" for future in futures):
                raise TimeoutError("what was asked for was cancelled") from None
            raise concurrent.futures.CancelledError("what was asked for was cancelled") from None

    def forget(self, futures: Sequence[Any]) -> None:
        """Cancel tasks that nobody waits for any more; never raises."""
        pending = [future for future in futures if future.status == "pending"]
        try:
            if pending and self.client.status == "running":
                self.client.cancel(pending, force=True)
        except Exception:
            return

    def recovered(self, action: Callable[[], Result]) -> Result:
        """What `action` returns; after a loss, once the shares are open again, it is called again."""
        lost = False
        while True:
            try:
                if lost or not self._opened:
                    self._renew()
                    lost = False
                result = action()
                self.finished_some()
                return result
            except (WorkerLost, ShareLost) as loss:
                self._losses += 1
                if self._losses > max(_MAX_LOSSES, self.setup.deal.shares):
                    raise ClusterError(
                        f"scheduler: {self.cluster.where} lost workers {self._losses} times and finished nothing "
                        f"between, the last time: {loss}, expected workers that stay; look into their logs, as their "
                        "memory may not suffice"
                    ) from None
                lost = True

    def finished_some(self) -> None:
        """Losses are counted from here: work came forward that none undoes."""
        self._losses = 0

    def close(self) -> None:
        """Have the workers forget their shares; never raises."""
        self._scattered = None
        self._release()

    # -- losses -------------------------------------------------------------------------------------------------

    def _key(self, function: Callable[..., Any]) -> str:
        return f"{function.__name__.replace('_', '-')}-{self.run}-{next(self._numbers)}"

    def _look(self) -> None:
        """Raise `WorkerLost` where a worker with a share is gone, or all are, `ClusterError` where the scheduler is."""
        alive = set(self._alive())
        missing = set(self.addresses) - alive
        if missing or not alive.intersection(self._taking_part()):
            raise WorkerLost(f"workers: lost {', '.join(sorted(missing)) or 'all of them'}")

    def _alive(self) -> list[str]:
        try:
            return list(self._asked(self.client.nthreads))
        except TimeoutError as error:
            raise self._reason(error) from None

    def _asked(self, action: Callable[[], Result]) -> Result:
        """`_guarded`, of a call that Dask sets no time."""
        return self._guarded(lambda: self.cluster.answered(action))

    def _guarded(self, action: Callable[[], Result]) -> Result:
        """What a call to Dask returns; `WorkerLost` where workers, `ClusterError` where the scheduler did not answer.

        `TimeoutError` is left to the caller.
        """
        try:
            return action()
        except TimeoutError:
            raise
        except _or_cancelled(Exception) as error:
            raise self._reason(error) from None

    def _reason(self, error: BaseException) -> BaseException:
        """What an error of Dask's means: a lost worker, a lost scheduler, or what it says."""
        deadline = time.monotonic() + _RECONNECT
        while self.client.status == "connecting" and time.monotonic() < deadline:
            time.sleep(0.2)
        if self.client.status != "running":
            return ClusterError(
                f"scheduler: {self.cluster.where} was lost; start it again, and continue with kernelfit resume where "
                "the run has a folder"
            )
        return WorkerLost(f"workers: {error}") if isinstance(error, _losses()) else error

    def _raise(self, future: Any) -> None:
        """The error of a task: ours as it is, those of a worker that died as `WorkerLost`."""
        from distributed import KilledWorker

        if future.status == "error":
            error = future.exception()
            if isinstance(error, KernelfitError):
                raise error
            if isinstance(error, MemoryError):
                raise PlanError(
                    f"memory: a worker's system refused memory for {future.key} ({error}); start the workers with a "
                    "--memory-limit that is there, so that their shares go to disk, or more of them"
                ) from error
            if not isinstance(error, (KilledWorker, OSError)):
                raise error
        raise WorkerLost(f"workers: {future.key} was {future.status}")

    def _renew(self) -> None:
        """Open the shares of workers that are gone on others: such as were started in their place, at their address or
        another, or those left.

        All of them where none is open, or where every worker has its own and they do not go on.
        """
        alive = self._awaited(max(1, len(set(self.addresses))))
        there = self._guarded(lambda: self.cluster.on_each(tasks.shares_of, self.run)) if self._opened else {}
        lost = [
            p
            for p, address in enumerate(self.addresses)
            if address not in alive or (self._opened and p not in there.get(address, ()))
        ]
        if lost or not self.addresses:
            unlike = self._guarded(self.cluster.unlike)
            alive = [address for address in alive if address not in unlike]
            if not alive:
                raise ClusterError(f"scheduler: {next(iter(unlike.values()))}")
        states = self._guarded(self.cluster.workers) if lost else {}
        kernel = getattr(self._source, "kernel", None)
        gpus = self._guarded(lambda: self.cluster.gpus(kernel)) if lost and any(self.gpu) else {}
        before = [self.addresses[p] for p in lost]
        for p in lost:
            self.addresses[p] = ""
        for p, worker in zip(lost, before, strict=True):
            held = {address: self.addresses.count(address) for address in alive}
            # Its own again where it was started anew there.
            self.addresses[p] = min(alive, key=lambda address: (held[address], address != worker, address))
            where = self._moved(p, states, gpus)
            again = "read from the run's folder" if self.setup.finished else "computed again"
            line = f"worker {worker} was lost; its share of L is {again} on {self.addresses[p]}{where}"
            if self.addresses[p] == worker:
                line = f"worker {worker} was started anew; its share of L is {again} there{where}"
            self._notes.add(line)
        self._open(lost if lost and self._opened else range(self.setup.deal.shares))
        self._opened = True

    def _moved(self, p: int, states: dict[str, WorkerState], gpus: dict[str, Gpu | NoGpu]) -> str:
        """Where share p lies on the worker that it was given to, and in words what of that is new.

        What it will take there is taken off `states` and `gpus`, which others that move beside it are to fit into.
        """
        setup, size, words, address = self.setup, self.setup.dtype.itemsize, "", self.addresses[p]
        needed = setup.deal.elements(p) * size
        if self.gpu[p]:
            gpu, whole = gpus.get(address), slab_bytes(setup.deal, p, size, setup.beside)
            free = gpu.free if isinstance(gpu, Gpu) else 0
            if setup.max_gpu is not None:
                there = (q for q, other in enumerate(self.addresses) if other == address and q != p)
                free = min(free, setup.max_gpu - sum(self.gpu[q] for q in there))
            self.gpu[p] = min(free, whole) if free >= setup.beside else 0
            words = "" if self.gpu[p] else ", on its CPU, as it has no GPU with room for it"
            needed -= max(0, self.gpu[p] - setup.beside)
            if isinstance(gpu, Gpu):
                gpus[address] = replace(gpu, free=gpu.free - self.gpu[p])
        state = states.get(address)
        self.on_disk[p] = self.on_disk[p] or (state is not None and needed > state.memory)
        if state is not None and not self.on_disk[p]:
            states[address] = replace(state, memory=state.memory - needed)
        return words + (", from its disk" if self.on_disk[p] else "")

    def _awaited(self, count: int) -> list[str]:
        """The workers there are; waits a little for as many as there were, and for the first."""
        deadline = time.monotonic() + _RESTART
        while True:
            alive = self._alive()
            if len(alive) >= count:
                return alive
            if time.monotonic() > deadline:
                if alive:
                    return alive
                raise ClusterError(
                    f"scheduler: {self.cluster.where} has no workers left; start some, and solve again"
                )
            time.sleep(0.2)

    def _open(self, shares: Iterable[int]) -> None:
        futures = []
        for p in shares:
            setup = replace(self.setup, on_disk=self.on_disk[p], gpu=self.gpu[p])
            futures.append(self.on_share(tasks.open_share, p, setup, self.source, priority=10))
            self.reopened.add(p)
        self.results(futures)
