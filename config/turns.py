"""Turns of writers on SQLite, which has one at a time and no queue for the others."""

import time

from django.db import connection

# A writer that finds the database locked asks again after at most 0.1 s. A longer pause lets it in.
WRITING, PAUSE = 0.4, 0.12


class Turns:
    """The turns of a long work that consists of many short transactions, one after the other."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def give(self) -> None:
        """Pause, if this work has been writing for a while. Call it between two transactions."""
        if connection.vendor == "sqlite" and time.monotonic() - self._began > WRITING:
            time.sleep(PAUSE)
            self._began = time.monotonic()
