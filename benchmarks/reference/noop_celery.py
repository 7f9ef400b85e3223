"""Celery alone: an application whose only task does nothing, with the settings that it has by itself."""

import os

from celery import Celery

app = Celery("noop", broker=os.environ["CELERY_BROKER_URL"])
app.conf.task_ignore_result = True


@app.task(name="noop")
def noop() -> None:
    """Do nothing."""
