"""The close look at the bucket, as the doctor takes it, every ten minutes: it costs several requests.

A fault is looked at again soon: a bucket that went away in mid-look seemed to be faulty.
"""

import threading
import time
from concurrent.futures import Future

from django.conf import settings

from config import bounded
from videos.storage.chosen import store

EVERY_SECONDS, AGAIN_SECONDS = 600.0, 10.0
FAULTY = "Strangers can use the bucket, or it cannot be written. `manage.py doctor` says which."


class CloseLook:
    """The latest result, and at most one look under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun_at = float("-inf")
        self._asked: Future[bool] | None = None
        self._is_faulty = False

    def fault(self) -> str:
        """Return what is wrong by the latest look, or "". Never waits: a look goes on by itself."""
        if settings.STORAGE == "local":
            return ""
        with self._lock:
            if self._asked is not None and self._asked.done():
                self._is_faulty = self._asked.exception() is None and self._asked.result()
                self._asked = None
            pause = AGAIN_SECONDS if self._is_faulty else EVERY_SECONDS
            if self._asked is None and time.monotonic() - self._begun_at >= pause:
                self._begun_at = time.monotonic()
                self._asked = bounded.begin(lambda: any(store().faults()))
            return FAULTY if self._is_faulty else ""


_look = CloseLook()


def fault() -> str:
    return _look.fault()
