"""The sessions that a caller may report heartbeats for, each read by one prepared query."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.utils import timezone

from accounts.models import RefreshFamily
from accounts.tokens import AccessClaims
from config.prepared import Prepared, stored
from streaming.models import PlaybackSession, PlaybackSessionQuerySet
from videos.models import Video

# No heartbeat needs these. Those that grow with a video are the longest.
_NOT_READ = {"delivered", "begun", "user_agent", "network"}
_COLUMNS = tuple(
    field.attname for field in PlaybackSession._meta.concrete_fields if field.name not in _NOT_READ
)


def _columns(sessions: PlaybackSessionQuerySet) -> "QuerySet[Any, Any]":
    # The length comes from a subquery, because a lock would reach a joined row, too.
    length = Video.objects.filter(pk=OuterRef("video")).values("duration_seconds")
    return sessions.values_list(*_COLUMNS, Subquery(length))


class _Query:
    """A query for one session, without and with a lock of its row."""

    def __init__(self, make: Callable[..., PlaybackSessionQuerySet], **kinds: type) -> None:
        self.plain = Prepared(lambda **values: _columns(make(**values)), **kinds)
        self.locking = Prepared(
            lambda **values: _columns(make(**values)).select_for_update(), **kinds
        )


def _of_user(session: UUID, user: UUID, family: UUID, now: datetime) -> PlaybackSessionQuerySet:
    signed_in = RefreshFamily.objects.filter(
        pk=family, revoked_at=None, expires_at__gt=now, user_id=user, user__is_active=True
    )
    return PlaybackSession.objects.filter(Exists(signed_in), user_id=user, pk=session)


_one = _Query(lambda session: PlaybackSession.objects.filter(pk=session), session=UUID)
_one_of_user = _Query(_of_user, session=UUID, user=UUID, family=UUID, now=datetime)
_one_of_key = _Query(
    lambda session, user: PlaybackSession.objects.filter(pk=session, user_id=user),
    session=UUID,
    user=UUID,
)


@dataclass(frozen=True, slots=True)
class Find:
    """How to find the session of a heartbeat, for a caller who may report for it."""

    _query: _Query
    _values: dict[str, UUID]

    def session(self, *, lock: bool) -> PlaybackSession | None:
        """Return the session with the length of its video, or None. A lock needs a transaction."""
        query = self._query.locking if lock else self._query.plain
        rows = query.rows(now=timezone.now(), **self._values)
        if not rows:
            return None
        *columns, length = rows[0]
        session = stored(PlaybackSession, _COLUMNS, columns)
        session.video = stored(Video, ("id", "duration_seconds"), (session.video_id, length))
        return session


def any_session(session_id: UUID) -> Find:
    """Find the session for whoever holds its grant."""
    return Find(_one, {"session": session_id})


def session_of_user(session_id: UUID, claims: AccessClaims) -> Find:
    """Find the session if it is one of the token's user, and that sign-in has not been revoked."""
    return Find(
        _one_of_user, {"session": session_id, "user": claims.user_id, "family": claims.family_id}
    )


def session_of_key(session_id: UUID, user_id: UUID) -> Find:
    """Find the session if it is one of the user whose API key makes the request."""
    return Find(_one_of_key, {"session": session_id, "user": user_id})
