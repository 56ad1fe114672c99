"""Reaching a cluster: by its address or file, by a client that is open, or one started here for this solve."""

from __future__ import annotations

import json
import logging
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import numpy as np

from kernelfit.cluster.gpu import Gpu, NoGpu
from kernelfit.cluster.tasks import WorkerState, gpu_of_worker, rate_of_worker, state_of_worker
from kernelfit.cpu.memory import INTERPRETER
from kernelfit.errors import ClusterError, InputError, PlanError, shown
from kernelfit.frozen import frozen
from kernelfit.kernels.base import Kernel
from kernelfit.typing import EngineName

Result = TypeVar("Result")

# Packages whose versions decide the bits, or whether one can read what the other has sent.
_PACKAGES = ("kernelfit", "numpy", "scipy", "numba")
# Seconds to wait for a scheduler and for its first worker.
_PATIENCE = 15.0
# Seconds after which a scheduler that says nothing is asked again, and after as many more given up.
_SILENCE = 60.0
# What Dask looks at in workers of our own: not into their calls a hundred times a second, and rarely how late its loop
# is, which takes 3 % of a core of each.
_LOOKS = {"distributed.worker.profile.enabled": False, "distributed.admin.tick.interval": "1s"}
# What they run first: Ctrl-C in a terminal is sent to them as well, and is this process's to answer.
_UNINTERRUPTED = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
# Of what a worker of our own is planned to take; the rest of its limit is for Dask, which stops it at 0.8.
_OF_LIMIT = 0.7


@frozen
class Engine:
    """Where a factor is made: in this process, or by the workers of a Dask cluster.

    `scheduler` is an address such as tcp://host:8786, the path of a scheduler file, or an open
    `distributed.Client`; None starts a cluster of single-thread worker processes on this machine.
    """

    name: EngineName = "process"
    scheduler: Any = None

    @classmethod
    def of(cls, engine: Any, scheduler: Any) -> Engine:
        """Raises `InputError`."""
        if not isinstance(engine, str) or engine not in ("process", "dask"):
            raise InputError(f"engine: got {shown(engine)}, expected process or dask")
        if scheduler is not None and engine != "dask":
            raise InputError("scheduler: got one for the engine process, expected engine='dask' beside it")
        # A client is told from what merely looks like one when it is used: this imports no Dask.
        if not (scheduler is None or isinstance(scheduler, (str, Path)) or hasattr(scheduler, "submit")):
            raise InputError(_no_scheduler(scheduler))
        return cls(engine, scheduler)  # type: ignore[arg-type]

    @property
    def is_cluster(self) -> bool:
        return self.name == "dask"

    def require_device(self, device: Any) -> None:
        """Raise `InputError` for a device beside a cluster, each of whose workers has its own."""
        if self.is_cluster and device not in ("auto", "cpu", "cuda"):
            raise InputError(
                f"device: got {shown(device)} beside engine='dask', expected auto, cpu or cuda, the GPU that each "
                "worker sees first; take engine='process' for several GPUs of this machine"
            )

    def require_factor(self, solver: str) -> None:
        """Raise `InputError` for a solver without a factor beside a cluster: iterations run in one process."""
        if self.is_cluster and solver not in ("cholesky", "auto"):
            raise InputError(f"engine: got dask with solver {solver!r}, expected process; leave it out")


def _no_scheduler(given: Any) -> str:
    return (
        f"scheduler: got {shown(given)}, expected an address such as tcp://host:8786, the path of a scheduler file, or "
        "a distributed.Client; of a cluster object give its get_client()"
    )


class Cluster:
    """A client of Dask with what was opened for it: a local cluster, or nothing where the user's client is used."""

    def __init__(self, client: Any, opened: tuple[Any, ...], where: str) -> None:
        self.client, self.where = client, where
        self._release = at_end(self, _close, opened)
        #: workers whose versions were ours when `unlike` was asked; None before
        self.alike: frozenset[str] | None = None

    def workers(self) -> dict[str, WorkerState]:
        """The workers there are now, by address; those of one machine share what is free of its memory and disk."""
        states: dict[str, WorkerState] = self.on_each(state_of_worker)
        beside = Counter(state.host for state in states.values())
        return {address: state.one_of(beside[state.host]) for address, state in states.items()}

    def gpus(self, kernel: Kernel | None = None) -> dict[str, Gpu | NoGpu]:
        """The GPU of each worker there is now, or why it has none; those that share one have equal parts of it.

        With a kernel of functions of the user's, none that these do not compile for.
        """
        own = kernel if kernel is not None and kernel.functions() else None
        found: dict[str, Gpu | NoGpu] = self.on_each(gpu_of_worker, own)
        beside = Counter(gpu.identity for gpu in found.values() if isinstance(gpu, Gpu))
        return {
            address: gpu if isinstance(gpu, NoGpu) else gpu.one_of(beside[gpu.identity])
            for address, gpu in found.items()
        }

    def rates(self, dtype: np.dtype[Any], gpus: Mapping[str, int]) -> dict[str, float]:
        """flop/s of the workers there are now, by address, with such numbers; of some on their GPUs, of which so many
        bytes may be taken."""
        return self.on_each(rate_of_worker, dtype, dict(gpus))

    def on_each(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """What it returns on each worker that was looked at: one that comes meanwhile has no part."""
        try:
            there = self.answered(self.client.nthreads)
            workers = [each for each in there if self.alike is None or each in self.alike]
            if not workers:
                return {}
            answers = self.answered(
                lambda: self.client.run(function, *arguments, workers=workers, on_error="return")
            )
            return {address: answer for address, answer in answers.items() if self._is_there(address, answer)}
        except OSError as error:  # TimeoutError is one, and Dask's of a connection that is gone
            raise ClusterError(
                f"scheduler: {self.where} does not answer any more ({_cause(error)}), expected it to run until the "
                "end; start it again"
            ) from None

    def _is_there(self, address: str, answer: Any) -> bool:
        """Whether a worker has answered, and is not gone; raises `ClusterError` where one that is to take part cannot
        do what it was asked."""
        if not isinstance(answer, Exception):
            return True
        if (
            isinstance(answer, OSError) or self.alike is None
        ):  # which of them can is then still to be found out
            return False
        raise ClusterError(
            f"scheduler: the worker {address} of {self.where} fails ({_cause(answer)}), expected one that works; "
            "restart or remove it"
        )

    def answered(self, action: Callable[[], Result]) -> Result:
        """What a call to the scheduler returns, for which Dask waits without end where that process is stopped.

        Raises `ClusterError` where it does not say either which workers there are.
        """
        answers = _begun(action)
        while True:
            try:
                return _taken(answers, _SILENCE)
            except Empty:
                pass
            try:
                _taken(_begun(self.client.nthreads), _SILENCE)
            except Empty:
                raise ClusterError(
                    f"scheduler: {self.where} has not answered for {2.0 * _SILENCE:.0f} s, expected one that runs "
                    "until the end; look whether it is stopped, and continue with kernelfit resume where the run has "
                    "a folder"
                ) from None

    def unlike(self) -> dict[str, str]:
        """By address why workers cannot take part: no kernelfit, or other versions of what does arithmetic.

        The others, `alike`, are those that do from now on. The scheduler reads every task on its way: under "scheduler"
        why it cannot.
        """
        there = self.answered(lambda: self.client.get_versions(packages=list(_PACKAGES)))
        python = ".".join(there["client"]["host"]["python"].split(".")[:2])
        asked = {address: (f"the worker {address}", found) for address, found in there["workers"].items()}
        asked["scheduler"] = f"that of {self.where}", there["scheduler"]
        reasons = {
            address: f"{whose} {difference}"
            for address, (whose, found) in asked.items()
            if (difference := _difference(found, python)) is not None
        }
        self.alike = frozenset(there["workers"]) - frozenset(reasons)
        return reasons

    def close(self) -> None:
        """Close what was opened here; never raises."""
        self._release()


def _difference(found: dict[str, Any], python: str) -> str | None:
    """What Dask found in another process that is not as here, in words; None where all is."""
    if ".".join(found["host"]["python"].split(".")[:2]) != python:
        return f"runs Python {found['host']['python']}, expected {python} as here; start it in the same environment"
    for name, expected in ((name, version(name)) for name in _PACKAGES):
        got = found["packages"].get(name)
        if got is None or str(got).startswith("MISSING"):
            return f"has no {name}, expected {expected} as here; install kernelfit[dask] there"
        if got != expected:
            return f"has {name} {got}, expected {expected} as here; install the same version there"
    return None


def at_end(owner: Any, action: Callable[..., None], *arguments: Any) -> Callable[[], None]:
    """What calls the action, once: whoever asks for it, or a thread of its own when nobody holds `owner` any more.

    Garbage may be collected by the thread that Dask's messages go through, which must not wait for one.
    """

    def beside() -> None:
        threading.Thread(target=action, args=arguments, daemon=True).start()

    collected = weakref.finalize(owner, beside)
    collected.atexit = False  # Dask closes what is its own by then

    def now() -> None:
        if collected.detach() is not None:
            action(*arguments)

    return now


def _close(opened: tuple[Any, ...]) -> None:
    for each in opened:
        try:
            each.close()
        except Exception:
            logging.getLogger(__name__).debug("closing a cluster", exc_info=True)


def connect(
    engine: Engine,
    threads: int,
    memory: int,
    folder: Path,
    note: Callable[[str], None],
    *,
    on_gpus: bool = False,
) -> Cluster:
    """A cluster whose workers have our version, before anything is sent to them.

    One that is started here has `threads` workers of one thread, or with `on_gpus` one for each GPU by dask-cuda, which
    share the threads and `memory` bytes; their files go to `folder`. Raises `ClusterError`, `PlanError`.
    """
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise ClusterError(
            "engine: got dask, which needs the package distributed; install kernelfit[dask]"
        ) from None
    if engine.scheduler is None:
        start = _local_with_gpus if on_gpus else _local
        cluster = start(threads, memory, folder, note)
    elif isinstance(engine.scheduler, (str, Path)):
        cluster = _remote(str(engine.scheduler))
    else:
        cluster = _of_client(engine.scheduler)
    try:
        _require_workers(cluster)
        for reason in cluster.unlike().values():
            raise ClusterError(f"scheduler: {reason}")
    except BaseException:
        cluster.close()
        raise
    return cluster


def _local(threads: int, memory: int, folder: Path, note: Callable[[str], None]) -> Cluster:
    import dask
    from distributed import LocalCluster

    if memory < threads * INTERPRETER:
        raise PlanError(
            f"memory: got {memory:,} bytes for {threads} workers, each of which takes {INTERPRETER:,} before it holds "
            f"anything, expected more than {threads * INTERPRETER:,}; give more, or fewer threads"
        )
    try:
        with dask.config.set(_LOOKS):
            local = LocalCluster(
                n_workers=threads,
                preload=[_UNINTERRUPTED],
                threads_per_worker=1,
                processes=True,
                dashboard_address=":0",
                memory_limit=int(memory / threads / _OF_LIMIT),
                local_directory=str(folder),
                silence_logs=logging.CRITICAL,
            )
    except Exception as error:  # whatever keeps a process from starting, which Dask wraps as it likes
        raise ClusterError(
            f"engine: got dask, but {threads} workers do not start on this machine ({_cause(error)}), expected "
            f"processes that may be started, with room for files in {folder}; in a script put the call under "
            "if __name__ == \"__main__\":, name another scratch folder, or take engine='process'"
        ) from None
    return _started(local, threads, "workers", note)


def _local_with_gpus(threads: int, memory: int, folder: Path, note: Callable[[str], None]) -> Cluster:
    """One worker for each GPU, which it sees first by CUDA_VISIBLE_DEVICES."""
    try:
        from dask_cuda import LocalCUDACluster
        from dask_cuda.utils import get_n_gpus

        count = get_n_gpus()
        if not count:
            raise ValueError("it sees no GPU")
        local = LocalCUDACluster(
            preload=[_UNINTERRUPTED],
            threads_per_worker=max(1, threads // count),
            dashboard_address=":0",
            memory_limit=int(memory / count / _OF_LIMIT),
            local_directory=str(folder),
            silence_logs=logging.CRITICAL,
        )
    except ImportError as error:
        raise ClusterError(
            f"device: got cuda for workers that are started here, which needs the package dask-cuda ({error}); install "
            "it, or name a scheduler whose workers have GPUs"
        ) from None
    except Exception as error:  # NVML's and CUDA's errors of a machine without a GPU have no common base
        raise ClusterError(
            f"device: got cuda for workers that are started here, but dask-cuda does not start them ({error}); check "
            "nvidia-smi, or name a scheduler whose workers have GPUs"
        ) from None
    return _started(local, count, "workers with a GPU", note)


def _started(local: Any, count: int, workers: str, note: Callable[[str], None]) -> Cluster:
    """The client of a cluster that was started here, which is closed where it gets none."""
    from distributed import Client

    try:
        client = Client(local, set_as_default=False)
    except BaseException:
        local.close()
        raise
    note(f"engine dask: {count} {workers} on this machine, dashboard at {client.dashboard_link}")
    return Cluster(client, (client, local), f"{count} workers on this machine")


def _cause(error: BaseException) -> str:
    """The first line of what was at the bottom of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().split("\n")[0] or type(error).__name__


def _of_client(client: Any) -> Cluster:
    """Raises `InputError` for what is no client, or waits for nothing, `ClusterError` for one that is closed."""
    from distributed import Client

    if not isinstance(client, Client):
        raise InputError(_no_scheduler(client))
    if client.asynchronous:
        raise InputError(
            "scheduler: got an asynchronous client, expected one whose calls return when they are done; give "
            "distributed.Client(ADDRESS)"
        )
    if client.status != "running":
        raise ClusterError(
            f"scheduler: got a client that is {client.status}, expected one that is open; give a new "
            "distributed.Client(ADDRESS)"
        )
    return Cluster(client, (), "the cluster of the client")


def _remote(scheduler: str) -> Cluster:
    from distributed import Client
    from distributed.security import Security

    is_file = Path(scheduler).is_file()
    if not is_file and "://" not in scheduler and ":" not in scheduler:
        raise ClusterError(
            f"scheduler: got {scheduler!r}, expected an address such as tcp://host:8786, or a scheduler file that "
            "exists"
        )
    if scheduler.startswith("tls://") and Security().get_connection_args("client")["ssl_context"] is None:
        raise ClusterError(
            f"scheduler: got {scheduler}, expected certificates in distributed.comm.tls of Dask's configuration; see "
            "docs/cluster.md"
        )
    if is_file:
        _require_address(Path(scheduler))
    where: dict[str, Any] = {"scheduler_file": scheduler} if is_file else {"address": scheduler}
    try:
        client = in_time(
            lambda: Client(**where, timeout=_PATIENCE, set_as_default=False), 2.0 * _PATIENCE, Client.close
        )
    except Exception as error:  # of sockets, of what an address means, and what Dask asserts of one
        raise ClusterError(
            f"scheduler: {scheduler} does not answer ({_cause(error)}), expected a scheduler that runs; start one with "
            "dask scheduler, or leave it out for a cluster on this machine"
        ) from None
    return Cluster(client, (client,), scheduler)


def in_time(
    make: Callable[[], Result], seconds: float, release: Callable[[Result], Any] = lambda late: None
) -> Result:
    """What `make` returns, or `TimeoutError`: Dask waits without end for a server that says nothing.

    What comes when nobody waits any more is for `release`.
    """
    answers = _begun(make)
    try:
        return _taken(answers, seconds)
    except (Empty, KeyboardInterrupt) as error:
        _begun(lambda: release(_taken(answers, None)))
        if isinstance(error, KeyboardInterrupt):
            raise
        raise TimeoutError("whoever listens there takes the connection and says nothing") from None


def _begun(make: Callable[[], Result]) -> SimpleQueue[tuple[Result | None, BaseException | None]]:
    """Where a thread of its own will put what `make` returns or raises."""
    answers: SimpleQueue[tuple[Result | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            answers.put((make(), None))
        except BaseException as error:  # asyncio's of what was cancelled is no Exception
            answers.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    return answers


def _taken(answers: SimpleQueue[Any], seconds: float | None) -> Any:
    """What is put there, within so many seconds where a number is given; raises `Empty` where nothing is."""
    made, error = answers.get(timeout=seconds)
    if error is not None:
        raise error
    return made


def _require_address(path: Path) -> None:
    """Raise `ClusterError` for a file that no scheduler has written."""
    try:
        contents = json.loads(path.read_bytes())
        address = contents.get("address") if isinstance(contents, dict) else None
    except (OSError, ValueError):
        address = None
    if not isinstance(address, str):
        raise ClusterError(
            f"scheduler: got the file {path}, which holds no address of a scheduler, expected one that dask scheduler "
            "--scheduler-file FILE has written; give that, or the address"
        )


def _require_workers(cluster: Cluster) -> None:
    try:
        cluster.answered(lambda: cluster.client.wait_for_workers(1, timeout=_PATIENCE))
    except TimeoutError:
        raise ClusterError(
            f"scheduler: {cluster.where} has no workers, expected at least one; start some with dask worker ADDRESS"
        ) from None
