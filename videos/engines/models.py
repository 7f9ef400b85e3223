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
