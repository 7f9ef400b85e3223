"""Whose turn it is to send a period of the periodic work: one UPDATE decides among all beats."""

from datetime import timedelta

from django.db.models.functions import Now

from videos import periodic, presence
from videos.engines.models import Period

# A beat that takes a period and cannot send it, or dies, leaves it due again after at most so long.
TAKING = timedelta(seconds=30)


def are_due() -> bool:
    """Return whether a period is to be sent. Makes the rows of a new installation."""
    known = set(Period.objects.values_list("every", flat=True))
    for every in periodic.SECONDS.keys() - known:
        Period.objects.get_or_create(every=every, defaults={"due_at": Now()})
    return Period.objects.filter(due_at__lte=Now()).exists()


def take(every: str) -> bool:
    """Take a period if it is due, and return whether this process has to send it."""
    taken = Period.objects.filter(every=every, due_at__lte=Now())
    wait = min(TAKING, _length(every))
    return bool(taken.update(due_at=Now() + wait, beat=presence.worker_name()))


def note_sent(every: str) -> None:
    """Write that this process has sent the period that it took: the next one is due in its time."""
    if _length(every) > TAKING:
        mine = Period.objects.filter(every=every, beat=presence.worker_name())
        mine.update(due_at=Now() + _length(every))


def _length(every: str) -> timedelta:
    return timedelta(seconds=periodic.SECONDS[every])
