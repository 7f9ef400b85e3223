"""Reactions of videos to signals."""

from django.db import connections
from django.dispatch import receiver

from config import bounded
from config.health import Part
from config.signals import health_checked
from videos import engines, storage, workload
from videos.models import Video
from videos.storage import folder, seldom

LOW_SHARE = 0.05
STATES = {
    "unavailable": "The storage cannot be used. `manage.py doctor` says why.",
    storage.NEARLY_FULL: "Less than STORAGE_RESERVE_BYTES are free: uploads are refused.",
}


# Less than config.health.PROBE_SECONDS, which is for all parts together.
STORAGE_SECONDS = 1.2


@receiver(health_checked, dispatch_uid="videos.state_of_storage")
def state_of_storage(sender, **kwargs):
    """Report whether the files can be read and written, and the room for more.

    A bucket that hangs is named in time; otherwise readiness could only say that some part hangs.
    """
    try:
        state = bounded.begin(storage.state).result(STORAGE_SECONDS)
    except TimeoutError:
        return [Part("storage", "unavailable", "The storage does not answer."), disk()]
    if state == "ok" and (reason := seldom.fault()):
        return [Part("storage", "exposed", reason), disk()]
    return [Part("storage", state, STATES.get(state, "")), disk()]


def disk() -> Part:
    """Return "low" if less than LOW_SHARE of the disk of MEDIA_DIR is free."""
    try:
        free, total = folder.space()
    except OSError:
        return Part("disk", "unknown", "The disk of MEDIA_DIR cannot be asked.")
    if not total or free / total >= LOW_SHARE:
        return Part("disk")
    return Part("disk", "low", f"{free / total:.0%} of the disk of MEDIA_DIR are free.")


@receiver(health_checked, dispatch_uid="videos.state_of_broker")
def state_of_broker(sender, **kwargs):
    """Report the broker of QUEUE_ENGINE=celery when it is away: jobs are accepted, and wait for it."""
    if not engines.current().fault():
        return []
    return [Part("broker", "unavailable", "The broker does not answer. Jobs wait for it.")]


@receiver(health_checked, dispatch_uid="videos.state_of_the_work")
def state_of_the_work(sender, **kwargs):
    """Report whether a worker is alive, and whether videos wait for too long."""
    return [workload.state_of_workers(), workload.state_of_the_queue()]


def adopt_media_dir(sender, using, **kwargs):
    """Make MEDIA_DIR after the tables of a new installation. `migrate` may have left out this app."""
    if Video._meta.db_table in connections[using].introspection.table_names():
        storage.adopt()
