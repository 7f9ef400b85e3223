"""Claiming jobs in tests that need one, also from many threads at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

from django.db import connections

from videos import jobs
from videos.models import ProcessingJob


def claim_due(worker: str) -> ProcessingJob:
    """Claim the oldest due job for ``worker``. Fails the test if no job is due."""
    job = jobs.claim_next(worker)
    assert job is not None
    return job


def at_once(number, call):
    """Return the results of ``call(0..number-1)``, started together in threads of their own."""
    start = threading.Barrier(number)

    def run(index):
        try:
            start.wait()
            return call(index)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(run, range(number)))
