"""What Celery's workers do for a message. Each task is thin: the work is that of any worker."""

from config.celery import app
from videos import periodic
from videos.engines import pool

# Periodic work that takes longer is ended; whatever it does can be killed at any moment. A job has no
# such limit: its lease, the limits of its tools and PROCESSING_TIME_FACTOR end it.
SOFT_SECONDS, HARD_SECONDS = 1800, 1830


@app.task(name="run_job")
def run_job(job_id: str | None, queue: str) -> None:
    """Carry out one due job at a stage of the queue: that whose turn it is.

    That need not be ``job_id``, because creators take turns; the other job has a message of its own. So
    a message is worth one job, and one that is stale or comes twice finds none that is due. Without an
    id there are chunks to make.
    """
    pool.worker().wake_up(queue)


@app.task(name="run_periodic", soft_time_limit=SOFT_SECONDS, time_limit=HARD_SECONDS)
def run_periodic(every: str) -> None:
    """Do the periodic work of a second, minute or hour."""
    periodic.run(every)
