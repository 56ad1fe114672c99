"""Threads that stay: started once, they wait for jobs, so that a solve of 50 rows starts none.

Whoever has a job works on it too and asks others to help. A child that is forked has none of them, and where nobody
works they end before a fork: a process with one thread forks without a warning.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

from kernelfit.cpu.blas_threads import BLAS_THREADS
from kernelfit.cpu.fork import before_forking, renew_in_children

# Idle threads beyond this end: many backends at once, each with its own, are rare.
_KEPT = 16


class Job:
    """Calls of `task` for every item, in the order in which they are started; the first error stops the rest."""

    def __init__(self, task: Callable[[Any], None], items: Sequence[Any]) -> None:
        self._task = task
        self._items = deque(items)
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._helpers = 0
        self._closed = False
        self._left = threading.Lock()
        self._left.acquire()

    def run(self) -> None:
        """Work until no item is left and all helpers are done; raises the first error."""
        while True:
            try:
                self._work()
                with self._lock:
                    self._closed = True
                while self._helpers:
                    self._left.acquire()
                break
            except BaseException as error:  # a signal: what runs is waited for, what waits is not started
                self._fail(error)
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # its frames hold this job

    def help(self) -> None:
        """Work on what is left, in another thread."""
        with self._lock:
            if self._closed:
                return
            self._helpers += 1
        self._work()
        with self._lock:
            self._helpers -= 1
            if self._closed and self._helpers == 0:
                self._left.release()

    def _work(self) -> None:
        BLAS_THREADS.cap_thread(self)
        try:
            while self._items:
                try:
                    item = self._items.popleft()
                except IndexError:  # another thread was first
                    return
                self._task(item)
        except BaseException as error:
            self._fail(error)
        finally:
            BLAS_THREADS.free_thread(self)

    def _fail(self, error: BaseException) -> None:
        self._items.clear()
        if self._error is None:
            self._error = error


class Workers:
    """The threads of this process that help with jobs: as many as all jobs at once have asked for."""

    def __init__(self) -> None:
        self.renew()
        renew_in_children(self)
        before_forking(self.stop)

    def renew(self) -> None:
        # Of one thread at a time, which a finaliser or a signal handler may have ask again.
        self._lock = threading.RLock()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._asked = 0

    def run(self, job: Job, helpers: int) -> None:
        """Run a job with so many helpers at most; fewer where the system starts no more threads."""
        asked = 0
        try:
            with self._lock:
                self._asked += helpers
                asked = helpers
                there = self._started()
                for _ in range(min(helpers, there)):
                    self._jobs.put(job)
            job.run()
        finally:
            with self._lock:
                self._asked -= asked

    def stop(self) -> None:
        """End the threads, unless one of them may be at work."""
        with self._lock:
            if self._asked:
                return
            threads, self._threads = self._threads, []
            # With a queue of their own: threads that are started meanwhile would take what ends these.
            jobs, self._jobs = self._jobs, SimpleQueue()
            for _ in threads:
                jobs.put(None)
        for thread in threads:
            thread.join()

    def _started(self) -> int:
        """As many threads as are asked for, or can be started; how many there are."""
        if len(self._threads) > max(self._asked, _KEPT):
            self._jobs.put(None)
            self._threads = [thread for thread in self._threads if thread.is_alive()]
        while len(self._threads) < self._asked:
            thread = threading.Thread(target=_serve, args=(self._jobs,), name="kernelfit", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # a limit of processes: whoever has the job does more of it
                break
            self._threads.append(thread)
        return len(self._threads)


def _serve(jobs: SimpleQueue[Job | None]) -> None:
    while (job := jobs.get()) is not None:
        job.help()
        del job  # what it holds is not to wait for the next one


#: of this process
WORKERS = Workers()
