"""The sessions that a caller may report heartbeats for, each read and locked by one prepared query."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.utils import timezone

from accounts.models import RefreshFamily
from accounts.tokens import AccessClaims
from config.prepared import Prepared, stored
from streaming.models import PlaybackSession, PlaybackSessionQuerySet
from videos.models import Video

# Called in a transaction: locks the session's row, and returns it with the length of its video.
Find = Callable[[], PlaybackSession | None]

# No heartbeat needs these. Those that grow with a video are the longest.
_NOT_READ = {"delivered", "begun", "user_agent", "network"}
_COLUMNS = tuple(
    field.attname for field in PlaybackSession._meta.concrete_fields if field.name not in _NOT_READ
)


def _locked(sessions: PlaybackSessionQuerySet) -> "QuerySet[Any, Any]":
    # The length comes from a subquery, because a lock would reach a joined row, too.
    length = Video.objects.filter(pk=OuterRef("video")).values("duration_seconds")
    return sessions.select_for_update().values_list(*_COLUMNS, Subquery(length))


def _reported_by(user: UUID, family: UUID, now: datetime) -> PlaybackSessionQuerySet:
    signed_in = RefreshFamily.objects.filter(
        pk=family, revoked_at=None, expires_at__gt=now, user_id=user, user__is_active=True
    )
    return PlaybackSession.objects.filter(Exists(signed_in), user_id=user)


_one = Prepared(lambda session: _locked(PlaybackSession.objects.filter(pk=session)), session=UUID)
_one_of_user = Prepared(
    lambda session, user, family, now: _locked(_reported_by(user, family, now).filter(pk=session)),
    session=UUID,
    user=UUID,
    family=UUID,
    now=datetime,
)

_one_of_key = Prepared(
    lambda session, user: _locked(PlaybackSession.objects.filter(pk=session, user_id=user)),
    session=UUID,
    user=UUID,
)


def any_session(session_id: UUID) -> Find:
    """Find the session for whoever holds its grant."""
    return partial(_find, _one, session=session_id)


def session_of_user(session_id: UUID, claims: AccessClaims) -> Find:
    """Find the session if it is one of the token's user, and that sign-in has not been revoked."""
    return partial(
        _find, _one_of_user, session=session_id, user=claims.user_id, family=claims.family_id
    )


def session_of_key(session_id: UUID, user_id: UUID) -> Find:
    """Find the session if it is one of the user whose API key makes the request."""
    return partial(_find, _one_of_key, session=session_id, user=user_id)


def _find(query: Prepared, **values: UUID) -> PlaybackSession | None:
    rows = query.rows(now=timezone.now(), **values)
    if not rows:
        return None
    *columns, length = rows[0]
    session = stored(PlaybackSession, _COLUMNS, columns)
    session.video = stored(Video, ("id", "duration_seconds"), (session.video_id, length))
    return session
