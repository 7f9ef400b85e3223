"""Turns of writers on SQLite, which has one at a time, during a long work of many transactions."""

import time

from django.db import connection

# Seconds of work after which the others get a pause, and its length. They wait in a queue
# (`config.turnstile`), so that whoever is next in it begins within the pause.
WRITING, PAUSE = 0.2, 0.01


class Turns:
    """The turns of a long work that consists of many short transactions, one after the other."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def give(self) -> None:
        """Pause, if this work has been writing for a while. Call it between two transactions."""
        if connection.vendor == "sqlite" and time.monotonic() - self._began > WRITING:
            time.sleep(PAUSE)
            self._began = time.monotonic()
