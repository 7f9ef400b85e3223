"""Lanes: the threads that Django runs in, a few for each kind of request, with bounded queues.

Threads of Python that compute at the same time only take the interpreter from each other: four of them
answer fewer requests a second than one, and later. So a lane may run fewer requests at once than it has
threads. A request that takes longer than SLOW_SECONDS, because it waits for something or computes a long
report, does not count any more: the next ones go on beside it.
"""

import asyncio
import contextlib
import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from config.bodies import BodyRefused, Scope

Environ = dict[str, Any]
Result = TypeVar("Result")
QUEUE_SECONDS = 3.0  # in which a waiting request gets a thread
SLOW_SECONDS = 0.025
READING = frozenset({"GET", "HEAD", "OPTIONS"})


class _Request:
    """A request of a lane. ``answer`` belongs to the event loop."""

    __slots__ = ("answer", "environ", "is_taken", "loop", "patience", "work")

    def __init__(self, work: Callable[[Environ], Any], environ: Environ) -> None:
        self.work, self.environ = work, environ
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Any] = self.loop.create_future()
        self.patience: asyncio.TimerHandle | None = None
        # By a thread, or given up: whoever sets it first, with the lane's lock.
        self.is_taken = False

    def run(self) -> None:
        """Do the work in this thread, and tell the event loop."""
        try:
            done, result = self.answer.set_result, self.work(self.environ)
        except BaseException as error:  # noqa: BLE001 - the event loop raises it
            done, result = self.answer.set_exception, error
        with contextlib.suppress(RuntimeError):  # the server has stopped, and closed the loop
            self.loop.call_soon_threadsafe(self._tell, done, result)

    def _tell(self, done: Callable[[Any], None], result: Any) -> None:
        if not self.answer.done():  # else nobody waits any more
            done(result)


class _Worker:
    """What one thread does. A slow one ends after its request."""

    __slots__ = ("began", "is_slow")

    def __init__(self) -> None:
        self.began, self.is_slow = math.inf, False  # when it took its request


class Lane:
    """Threads for one kind of requests, and a bounded number of requests that wait for them.

    At most ``at_once`` requests (default: as many as threads) run at once, without the slow ones.
    ``nice`` lets the processors prefer the threads of other lanes (nice(1); where the system can).
    """

    def __init__(
        self, name: str, *, threads: int, queue: int, nice: int = 0, at_once: int | None = None
    ) -> None:
        self._pool = ThreadPoolExecutor(
            threads, thread_name_prefix=name, initializer=_be_nice, initargs=(nice,)
        )
        self._threads, self._at_once = threads, at_once or threads
        self._room = threads + queue
        self._lock = threading.Lock()
        self._waiting: deque[_Request] = deque()
        self._workers: set[_Worker] = set()
        self._watching: asyncio.AbstractEventLoop | None = None  # for slow requests

    def let(self, at_once: int) -> None:
        """Run so many quick requests at once from now on, and never more than there are threads."""
        self._at_once = min(at_once, self._threads)

    async def run(self, work: Callable[[Environ], Result], environ: Environ) -> Result:
        """Run ``work`` in a thread of the lane.

        Raises BodyRefused if the queue is full, or no thread gets free within QUEUE_SECONDS. Whoever is
        refused early can ask again; whoever waits long asks again too, and makes the queue longer.
        """
        if not self._room:
            raise busy()
        self._room -= 1
        request = _Request(work, environ)
        request.patience = request.loop.call_later(QUEUE_SECONDS, self._give_up, request)
        try:
            with self._lock:
                self._waiting.append(request)
                self._add_workers()
            if self._watching is not request.loop and self._at_once < self._threads:
                self._watching = request.loop
                request.loop.call_later(SLOW_SECONDS, self._look)
            result: Result = await request.answer
            return result
        finally:
            request.patience.cancel()
            if not request.is_taken:
                self._give_up(request)  # the client or the server does not wait any more
            self._room += 1

    def _give_up(self, request: _Request) -> None:
        with self._lock:
            if request.is_taken:
                return
            request.is_taken = True
            self._waiting.remove(request)
        if not request.answer.done():
            request.answer.set_exception(busy())

    def _add_workers(self) -> None:
        """Let threads work until there are enough. Called with the lock."""
        late = time.monotonic() - SLOW_SECONDS
        for worker in self._workers:
            worker.is_slow = worker.is_slow or worker.began <= late
        quick = sum(not worker.is_slow for worker in self._workers)
        wanted = min(self._at_once - quick, self._threads - len(self._workers), len(self._waiting))
        for _ in range(wanted):
            worker = _Worker()
            self._workers.add(worker)
            self._pool.submit(self._work, worker)

    def _work(self, worker: _Worker) -> None:
        """Do one waiting request after the other, without the event loop between them."""
        while True:
            with self._lock:
                if worker.is_slow or not self._waiting:
                    self._workers.discard(worker)
                    self._add_workers()
                    return
                request = self._waiting.popleft()
                request.is_taken = True
                worker.began = time.monotonic()
            request.run()

    def _look(self) -> None:
        """Let others go on beside slow requests, as long as requests wait."""
        with self._lock:
            self._add_workers()
            waits = bool(self._waiting)
        if waits and self._watching is not None:
            self._watching.call_later(SLOW_SECONDS, self._look)
        else:
            self._watching = None


def _be_nice(nice: int) -> None:
    if nice and sys.platform == "linux":  # elsewhere a thread has no priority of its own
        thread = threading.get_native_id()
        # Never a higher priority than the process was given: only root may take one.
        os.setpriority(os.PRIO_PROCESS, thread, max(nice, os.getpriority(os.PRIO_PROCESS, thread)))


def busy() -> BodyRefused:
    return BodyRefused(503, "unavailable", "The service is busy. Try again in a moment.")


@dataclass(frozen=True, slots=True)
class Lanes:
    """The lanes of a process: hashing a password costs a core, writing waits for the database.

    ``password_paths`` are the endings of paths whose forms hash one (or "METHOD /path", for one of its
    methods), and ``writing_paths`` the beginnings of paths where reading writes, too.
    ``pausing_paths`` are the endings of paths where writing waits for a moment that must come first:
    ``pauses`` has their threads, so that they keep no thread from other writers. In the same way
    ``far_paths`` have threads for writing that asks a server elsewhere.
    """

    passwords: Lane
    writes: Lane
    reads: Lane
    pauses: Lane | None = None
    password_paths: tuple[str, ...] = ()
    writing_paths: tuple[str, ...] = ()
    pausing_paths: tuple[str, ...] = ()
    far: Lane | None = None
    far_paths: tuple[str, ...] = ()

    def of(self, scope: Scope) -> Lane:
        if scope["method"] in READING:
            return self.writes if scope["path"].startswith(self.writing_paths) else self.reads
        path = scope["path"].rstrip("/")
        if self.pauses is not None and path.endswith(self.pausing_paths):
            return self.pauses
        if self.far is not None and path.endswith(self.far_paths):
            return self.far
        hashes = f"{scope['method']} {path}".endswith(self.password_paths)
        return self.passwords if hashes else self.writes
