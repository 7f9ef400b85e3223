"""Work that may hang, such as a question to a server or a disk: the caller waits for a bounded time."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from django.db import connections

Result = TypeVar("Result")


def begin(work: Callable[[], Result]) -> Future[Result]:
    """Run ``work`` in a thread of its own, and return its future. Never raises.

    Work that hangs keeps its thread, which does not keep the process from ending. The thread has
    database connections of its own, and closes them at its end.
    """
    future: Future[Result] = Future()
    future.set_running_or_notify_cancel()  # so that a caller that is canceled cancels nothing

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised again where the result is wanted
            future.set_exception(error)
        else:
            future.set_result(result)
        finally:
            connections.close_all()

    try:
        threading.Thread(target=run, daemon=True, name=getattr(work, "__name__", "bounded")).start()
    except RuntimeError as error:  # the process may start no more threads
        future.set_exception(error)
    return future
