"""The tables of API requests: who called what, when, and with which answer.

They are the part of the log that may forget: rows are neither chained nor protected, and the worker
deletes them after AUDIT_ACTIVITY_DAYS (docs/adr/0010-activity-may-forget.md).
"""

import hashlib
import os
import threading
import time
import uuid
from bisect import bisect_left, bisect_right
from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db import models

from audit.actions import AuditAction
from config.prepared import made

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TAG_BITS = 11  # of a number, beside the microseconds: enough for the processes of a service
TAGS = range(2**TAG_BITS)
AGENT_MAX = 200  # characters


class Caller(models.Model):
    """One user, or one stranger, at one address with one user agent on one day (UTC).

    ``number`` is a hash of the other columns, so that processes need not ask each other for it. The day
    is one of them, so that callers can be deleted by their age alone.
    """

    number = models.BigAutoField(primary_key=True)
    day = models.DateField()
    # No constraint and no cascade: the requests of a deleted user stay until they are forgotten.
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,  # caller_by_actor is one
        null=True,
        related_name="+",
    )
    ip = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=AGENT_MAX, blank=True)

    class Meta:
        indexes = [
            # audit.reading.Log: the callers that GET /audit/ is filtered by, day by day.
            models.Index(fields=["actor", "day"], name="caller_by_actor"),
            models.Index(fields=["ip", "day"], name="caller_by_ip"),
            models.Index(fields=["day"], name="caller_by_day"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_id or 'stranger'} at {self.ip}"

    @classmethod
    def of(cls, day: date, actor_id: uuid.UUID | None, ip: str | None, user_agent: str) -> "Caller":
        """Return the caller with these columns, not saved."""
        text = repr((day.isoformat(), str(actor_id), ip, user_agent))
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        number = int.from_bytes(digest) >> 1
        return cls(number=number, day=day, actor_id=actor_id, ip=ip, user_agent=user_agent)


class ApiRequest(models.Model):
    """One API request, or the ``count`` of several that are not listed one by one (`audit.tally`).

    ``number`` holds the microseconds since 1970 and the tag of the process. So the primary key is also
    the time, and the rows need no further index for it.
    """

    number = models.BigAutoField(primary_key=True)
    caller = models.ForeignKey(
        Caller,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,  # api_request_by_caller is one
        null=True,
        related_name="+",
    )
    method = models.CharField(max_length=10, blank=True)
    path = models.CharField(
        max_length=200, blank=True, help_text="In a counted row, * stands for the parts that vary."
    )
    status = models.PositiveSmallIntegerField()
    duration_ms = models.PositiveIntegerField(null=True)
    request_id = models.CharField(max_length=128, blank=True)
    count = models.PositiveIntegerField(null=True, help_text="Empty for a single request.")
    until = models.DateTimeField("last request", null=True)

    class Meta:
        verbose_name = "API request"
        indexes = [
            # GET /audit/ by caller, status and method. The number gives the order of time, and the
            # columns after it are for a second filter.
            models.Index(
                fields=["caller", "number", "status", "method"], name="api_request_by_caller"
            ),
            models.Index(fields=["status", "number", "method"], name="api_request_by_status"),
            models.Index(fields=["method", "number", "status"], name="api_request_by_method"),
        ]

    # The columns of an audit entry that have one value here.
    action = AuditAction.API_REQUEST.value
    target_type = target_id = ""
    hash = None

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.method} {self.path}"

    @classmethod
    def of(
        cls,
        number: int,
        caller: Caller,
        *,
        method: str,
        path: str,
        status: int,
        duration_ms: int | None = None,
        request_id: str = "",
        count: int | None = None,
    ) -> "ApiRequest":
        """Return the row with these columns, not saved."""
        columns = {
            "number": number, "caller_id": caller.number, "method": method, "path": path,
            "status": status, "duration_ms": duration_ms, "request_id": request_id,
            "count": count, "until": None,
        }  # fmt: skip
        row = made(cls, columns)
        row._state.fields_cache["caller"] = caller
        return row

    @property
    def id(self) -> uuid.UUID:
        """The public id: a UUIDv7, in the same order as the numbers."""
        return public_id(self.number)

    @property
    def at(self) -> datetime:
        return time_of(self.number)

    @property
    def actor_id(self) -> uuid.UUID | None:
        return self.caller.actor_id if self.caller else None

    @property
    def actor(self) -> models.Model | None:
        return self.caller.actor if self.caller else None

    @property
    def ip(self) -> str | None:
        return self.caller.ip if self.caller else None

    @property
    def user_agent(self) -> str:
        return self.caller.user_agent if self.caller else ""

    @property
    def data(self) -> dict[str, object]:
        """Of a counted row, how many requests it counts and when the last one was."""
        if self.count is None:
            return {}
        until = self.until.isoformat().replace("+00:00", "Z") if self.until else None
        return {"count": self.count, "until": until}


class Clock:
    """The source of numbers of one process: each number once, in the order of time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._new_tag()

    def _new_tag(self) -> None:
        self._tag = int.from_bytes(os.urandom(2)) % len(TAGS)

    def number(self) -> int:
        """Return the number of this moment."""
        with self._lock:
            now = time.time_ns() // 1000
            if self._last - 1000 < now <= self._last:
                now = self._last + 1
            elif now <= self._last:  # the machine's clock was set back
                self._new_tag()
            self._last = now
            return now << TAG_BITS | self._tag


def seconds_of(number: int) -> int:
    """Return the time of a number in whole seconds since 1970."""
    return (number >> TAG_BITS) // 1_000_000


def time_of(number: int) -> datetime:
    return EPOCH + timedelta(microseconds=number >> TAG_BITS)


def first_number(at: datetime) -> int:
    """Return the smallest number that a request at this time can have."""
    micros = (at - EPOCH) // timedelta(microseconds=1)
    return min(max(micros << TAG_BITS, 0), 2**63 - len(TAGS) - 1)


def public_id(number: int) -> uuid.UUID:
    """Return the number as a UUIDv7 with microseconds (RFC 9562, section 6.2, method 3)."""
    (millis, micros), tag = divmod(number >> TAG_BITS, 1000), number % len(TAGS)
    return uuid.UUID(
        int=millis << 80 | 7 << 76 | micros << 66 | (tag >> 9) << 64 | 2 << 62 | (tag & 511) << 53
    )


def older_than(at: datetime, pk: uuid.UUID) -> models.Q:
    """Return the condition for requests before this place in the log, which may be an audit entry's."""
    first = first_number(at)
    return models.Q(number__lt=first + bisect_left(TAGS, pk, key=lambda t: public_id(first + t)))


def newer_than(at: datetime, pk: uuid.UUID) -> models.Q:
    """Return the condition for requests after this place in the log."""
    first = first_number(at)
    return models.Q(number__gte=first + bisect_right(TAGS, pk, key=lambda t: public_id(first + t)))
