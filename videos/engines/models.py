"""The rows of the processes that work, whatever the engine."""

from django.db import models

from videos import querysets


class WorkerPresence(models.Model):
    """A worker process, and when it last gave a sign of life.

    A worker writes its row every ten seconds, by the database's clock. The row stays when it ends, so
    that an operator can read since when no worker has run.
    """

    name = models.CharField(primary_key=True, max_length=120)  # presence.worker_name
    started_at = models.DateTimeField("first seen (UTC)")
    seen_at = models.DateTimeField("last seen (UTC)")

    objects = querysets.WorkerPresenceQuerySet.as_manager()

    def __str__(self):
        return self.name


class Period(models.Model):
    """When the periodic work of each second, minute and hour is to be sent next, and who sent it last.

    Only beat of QUEUE_ENGINE=celery uses it. The clock is the database's.
    """

    every = models.CharField(primary_key=True, max_length=10)  # periodic.SECONDS
    due_at = models.DateTimeField("due (UTC)")
    beat = models.CharField(max_length=120, blank=True)  # presence.worker_name

    def __str__(self):
        return f"each {self.every}"
