"""Concurrent calls from real threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

from django.db import connections


def at_once(count: int, call) -> list:
    """Run ``call(0)`` to ``call(count - 1)`` at the same moment, and return their results in order."""
    barrier = threading.Barrier(count)

    def run(number: int):
        try:
            barrier.wait(timeout=30)
            return call(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))
