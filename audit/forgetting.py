"""Forgetting API requests. Audit entries are never forgotten here."""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from audit.requests import ApiRequest, Caller, first_number
from config import batches


def forget_old_requests() -> int:
    """Delete API requests older than AUDIT_ACTIVITY_DAYS, and return how many. Safe to repeat.

    A call deletes a bounded number. Callers go a day later than the last of their requests.
    """
    since = timezone.now() - timedelta(days=settings.AUDIT_ACTIVITY_DAYS)
    old = ApiRequest.objects.filter(number__lt=first_number(since)).order_by("number")
    forgotten = batches.delete(old)
    if not old.exists():
        batches.delete(Caller.objects.filter(day__lt=(since - timedelta(days=1)).date()))
    return forgotten
