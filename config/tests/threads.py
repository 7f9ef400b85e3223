"""Races with real threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

from django.db import connections


def at_once(count: int, call) -> list:
    """The results of ``call(0)`` … ``call(count - 1)``, all begun at the same moment."""
    barrier = threading.Barrier(count)

    def run(number: int):
        try:
            barrier.wait(timeout=30)
            return call(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))
