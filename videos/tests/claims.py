"""Claiming jobs in tests that need one."""

from videos import jobs
from videos.models import ProcessingJob


def claim_due(worker: str) -> ProcessingJob:
    """Claim the oldest due job for ``worker``. Fails the test if no job is due."""
    job = jobs.claim_next(worker)
    assert job is not None
    return job
