"""A queue for the one writer that an SQLite file has, among all threads and processes of this host.

SQLite lets those who find a file locked look again after 1, 2, 5 and up to 100 ms, in no order. While
many write, the unlucky wait for half a second, and the file stands idle meanwhile.
"""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PATIENCE = 5.0  # seconds after which a writer asks the file itself
# Seconds for which a process may take the turn again at once: until the next one has woken up, the file
# would stand idle.
WINDOW = 0.005
# Between two looks at the lock of another process: short, because one thread of each process looks.
LOOKS = (0.0001, 0.0002, 0.0005)
HOLDER, NEXT = 0, 1  # bytes of the file that stand for the places in the queue


class Turnstile:
    """The writers of one file: one holds the turn, one of another process is next, the others wait.

    A thread waits for the other threads of its process first. Whoever is next keeps that place until it
    has the turn; only the holder's process may overtake it, for WINDOW seconds. The turn only puts
    writers in order: what they write is safe without it, by the lock of the database. It ends with the
    process (POSIX record locks), and a writer that waits for longer than PATIENCE goes on without it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._since = float("-inf")  # when this process came to the turn by the queue
        self._of_process = threading.Lock()

    def enter(self) -> bool:
        """Wait for the turn. Returns whether this thread has it now, and must `leave`."""
        deadline = time.monotonic() + PATIENCE
        if not self._of_process.acquire(timeout=PATIENCE):
            return False
        try:
            if self._has_turn(deadline):
                return True
        except OSError:  # no lock file can be made: the database will say what is wrong
            pass
        except BaseException:
            self._of_process.release()
            raise
        self._of_process.release()
        return False

    def leave(self) -> None:
        """Give the turn to the next writer."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, HOLDER)
        finally:
            self._of_process.release()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Do something that writes in its turn."""
        entered = self.enter()
        try:
            yield
        finally:
            if entered:
                self.leave()

    def _has_turn(self, deadline: float) -> bool:
        if self._file < 0:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if time.monotonic() - self._since < WINDOW and self._lock(HOLDER):
            return True
        if not self._locks(NEXT, deadline):
            return False
        try:
            has_turn = self._locks(HOLDER, deadline)
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, NEXT)
        self._since = time.monotonic()
        return has_turn

    def _locks(self, place: int, deadline: float) -> bool:
        looks = iter(LOOKS)
        while not self._lock(place):
            if time.monotonic() > deadline:
                return False
            time.sleep(next(looks, LOOKS[-1]))
        return True

    def _lock(self, place: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):  # taken (POSIX allows both)
            return False
        return True

    def _after_fork(self) -> None:
        # The child has none of the locks; another thread of the parent may have held this one.
        self._of_process = threading.Lock()


_all: list[Turnstile] = []


@cache
def _at(path: str) -> Turnstile:
    turnstile = Turnstile(Path(path))
    _all.append(turnstile)
    return turnstile


def of(database: str) -> Turnstile:
    """Return the one turnstile that this process has of a database: locks belong to processes."""
    return _at(f"{os.path.realpath(database)}-turn")


def _forget_threads() -> None:
    for turnstile in _all:
        turnstile._after_fork()


os.register_at_fork(after_in_child=_forget_threads)
