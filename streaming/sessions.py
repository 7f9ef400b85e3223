"""Playback sessions: from access to a grant that opens the video's files, and to the session's end."""

import time
import uuid
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.exceptions import NotAuthenticated

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from config import ordered
from config.errors import NotVisible
from payments import locks
from payments.entitlements import Access, can_watch, require_available
from payments.errors import PlaybackRunning
from payments.models import Entitlement
from payments.services.access import begin_rental
from streaming import delivered, limits, tokens, viewers
from streaming.delivery import grants, previews
from streaming.delivery.snapshot import SETTLED_SECONDS
from streaming.errors import NotReady, PurchaseRequired, SessionEnded, StreamTokenInvalid
from streaming.models import (
    LOSES_ENDED,
    PREVIEW,
    UNCOUNTED,
    PlaybackSession,
    PlaybackSessionQuerySet,
)
from streaming.viewers import Client
from videos import reading
from videos.encryption import keys
from videos.models import Video
from videos.versions import formats_of

Reason = PlaybackSession.EndReason
Caller = User | AnonymousUser


class Offered(NamedTuple):
    """A stream token, the formats that can be played, and the length of a preview (None: no preview)."""

    token: str
    formats: list[str]
    preview_seconds: int | None


def stream_token(
    *, user: Caller, video_id: uuid.UUID, address: str = "", preview: bool = False
) -> Offered:
    """Return a stream token for a user who has access to the video.

    With ``preview``, users who have no access get a token for the video's preview, if it has one.
    ``address`` is the caller's: without it a video with rules for countries is refused. Raises
    NotVisible, what `require_watching` raises, and NotReady (no playable version).
    """
    video = reading.find_to_watch(user, video_id)
    if video is None:
        raise NotVisible()
    seconds: int | None = None
    try:
        require_watching(user, video, address)
    except (NotAuthenticated, PurchaseRequired):
        seconds = _preview_of(user, video) if preview else None
        if seconds is None:
            raise
    _require_playable(video)
    token = tokens.issue(
        video_id=video.pk,
        user_id=user.pk if user.is_authenticated else None,
        is_preview=seconds is not None,
    )
    return Offered(token, formats_of(video.current_version), seconds)


def _preview_of(user: Caller, video: Video) -> int | None:
    """Return the seconds that this user may play without access; None without a preview."""
    may_play = user.is_authenticated or settings.ANONYMOUS_PLAYBACK
    return video.offered_preview if may_play else None


def review_token(*, moderator: User, video_id: uuid.UUID) -> str:
    """Return a stream token by which a moderator watches a reported video, whatever its visibility.

    Such playback never counts. Raises NotVisible (also for users who are no moderators) and NotReady.
    """
    video = _get_video(Video.objects.reviewable_by(moderator), video_id)
    if not video.is_playable:
        raise NotReady()
    return tokens.issue(video_id=video.pk, user_id=moderator.pk, is_review=True)


@transaction.atomic
def redeem(*, token: str, client: Client, needs: str = "hls") -> tuple[PlaybackSession, str]:
    """Start the token's playback session, or continue it. Return the session and its grant.

    The start checks access again, because the viewer may have lost it since the token was issued.
    Safe to repeat: the same token continues the same session, for a client that BIND_PLAYBACK takes
    for the same device. Raises StreamTokenExpired, StreamTokenInvalid (a damaged token,
    another device, a deactivated user), SessionEnded, TooManyStreams, and all that ``stream_token``
    raises: NotReady also when the version cannot be played yet in the format that the client ``needs``.
    """
    content = tokens.read(token)
    known = PlaybackSession.objects.filter(pk=content.session_id).first()
    session = known or _start(content, client, needs)
    _require_format(session.version, needs)
    if session.ended_at is not None:
        raise SessionEnded()
    grant = _grant_of(session)
    if known is not None:
        try:
            grants.verify(
                grant,
                video_id=session.video_id,
                version=session.version,
                user_agent=client.user_agent,
                address=client.address,
                now=timezone.now().timestamp(),
            )
        except grants.WrongDevice:
            raise StreamTokenInvalid() from None
    return session, grant


def _grant_of(session: PlaybackSession) -> str:
    """Return the session's grant, for the client that started it.

    Raises SessionEnded for a preview that the video no longer has.
    """
    expires_at = int(session.expires_at.timestamp())
    device = session.user_agent, session.network or ""
    if session.access != PREVIEW:
        return grants.mint(session.pk, session.video_id, expires_at, *device)
    seconds = session.video.offered_preview
    if seconds is None:
        raise SessionEnded()
    part = previews.part_of(seconds, session.segment_seconds)
    return grants.mint_preview(
        session.pk, session.video_id, session.version, part, expires_at, *device
    )


def _start(content: tokens.StreamToken, client: Client, needs: str) -> PlaybackSession:
    """Create the session of a token, as long as its user has access. Call it in a transaction."""
    # User, video and entitlement stay locked until the session is committed. A refund, a deletion
    # or a deactivation ends the running sessions, and could otherwise miss this one.
    user = _lock_user(content.user_id)
    of_user = Video.objects.reviewable_by if content.is_review else Video.objects.visible_to
    videos = of_user(user).select_for_update(of=("self",), no_key=True)
    video = _get_video(videos, content.video_id)
    access = _access_of(content, user, video, client.address)
    _require_format(video.current_version, needs)
    now = timezone.now()
    ends = [now + timedelta(hours=settings.PLAYBACK_GRANT_HOURS), _lock_entitlement(access, now)]
    if access.kind in LOSES_ENDED:
        ends.append(video.available_until)
    if access.kind not in UNCOUNTED:  # after the entitlement: docs/locking.md
        _take_place(content, now)
    session, created = PlaybackSession.objects.get_or_create(
        pk=content.session_id,
        defaults={
            "user_id": content.user_id,
            "video": video,
            "version": video.current_version,
            "segment_seconds": video.segment_seconds,
            "access": access.kind,
            "entitlement_id": access.entitlement_id,
            "viewer_key": viewers.key_of(content.user_id, client, now),
            "network_key": viewers.network_key(client, now),
            "user_agent": client.user_agent[:500],
            "network": viewers.network_prefix(client.address),
            "created_at": now,
            "last_seen_at": now,
            "expires_at": min(end for end in ends if end is not None),
        },
    )
    if created:
        audit.record(
            actor=user,
            action=AuditAction.PLAYBACK_STARTED,
            target=session,
            video=str(video.pk),
            access=access.kind,
        )
    return session


def _access_of(content: tokens.StreamToken, user: Caller, video: Video, address: str) -> Access:
    """Return the access on which a token's session rests, or raise the refusal."""
    if content.is_review:
        return Access("moderator")
    if not content.is_preview:
        return _require_access(user, video, address)
    require_available(None, video, address=address)
    if _preview_of(user, video) is None:
        raise PurchaseRequired()
    _require_playable(video)
    return Access(PREVIEW)


def _take_place(content: tokens.StreamToken, now: datetime) -> None:
    """Take one of the places of a signed-in viewer whose row is locked; see `limits.make_room`.

    The session of a token that another request has just redeemed has its place. Raises TooManyStreams.
    """
    if content.user_id is None:
        return
    if PlaybackSession.objects.filter(pk=content.session_id).exists():
        return
    end(limits.make_room(content.user_id, now), Reason.IDLE)


def _lock_entitlement(access: Access, now: datetime) -> datetime | None:
    """Lock the entitlement behind ``access`` and return its end; None means that it has no end.

    Begins the hours of a rental that is played for the first time. Raises PurchaseRequired when the
    entitlement was revoked or ended since ``access`` was read.
    """
    if access.entitlement_id is None:
        return None
    entitlement = locks.lock_live_entitlement(access.entitlement_id, now)
    if entitlement is None:
        raise PurchaseRequired()
    return begin_rental(entitlement, now).ends_at


def _get_video(videos: QuerySet[Video], video_id: uuid.UUID) -> Video:
    """Return the video with this id, or refuse with NotVisible when ``videos`` has no such row."""
    video = videos.filter(pk=video_id).first()
    if video is None:
        raise NotVisible()
    return video


def require_watching(user: Caller, video: Video, address: str = "") -> Access:
    """Return the user's access to a video that its dates and countries allow, or raise the refusal.

    Raises NotYetAvailable, NoLongerAvailable and NotInYourCountry (`require_available`), then
    NotAuthenticated (the caller is anonymous and the video is not free) and PurchaseRequired.
    """
    access = can_watch(user, video)
    require_available(access, video, address=address)
    if access is None and not user.is_authenticated:
        raise NotAuthenticated("Sign in to watch this video.")
    if access is None:
        raise PurchaseRequired()
    return access


def _require_access(user: Caller, video: Video, address: str) -> Access:
    """Return the user's access to a video that can be played, or raise the refusal."""
    access = require_watching(user, video, address)
    _require_playable(video)
    return access


def _require_playable(video: Video) -> None:
    if not video.is_playable:
        raise NotReady()


def _require_format(version: str, needs: str) -> None:
    """Raise NotReady unless the version can be played in the format ``needs``."""
    if needs not in formats_of(version) and keys.is_encrypted(version):
        raise NotReady("This video is encrypted and can be played as HLS. Leave out `format`.")
    if needs not in formats_of(version):
        raise NotReady(
            "While its first rendition is being made, this video can be played as HLS. "
            "Leave out `format`, or ask for a new stream token when the video is READY."
        )


def _lock_user(user_id: uuid.UUID | None) -> Caller:
    """Return the token's user, locked, or AnonymousUser for None.

    Raises StreamTokenInvalid when the user was deleted or deactivated.
    """
    if user_id is None:
        return AnonymousUser()
    users = User.objects.select_related("role").select_for_update(of=("self",), no_key=True)
    user = users.filter(pk=user_id).first()
    if user is None or not user.is_active:
        raise StreamTokenInvalid()
    return user


def stop(*, session: PlaybackSession, actor: Caller) -> None:
    """End one session at its viewer's request. Safe to repeat."""
    end(PlaybackSession.objects.filter(pk=session.pk), Reason.STOPPED, actor=actor)


@transaction.atomic
def end(
    sessions: PlaybackSessionQuerySet,
    reason: PlaybackSession.EndReason,
    *,
    actor: Caller | None = None,
) -> int:
    """End the sessions that have not ended yet, and return their number. Safe to repeat.

    Within two seconds after the commit the delivery refuses their files and cuts their transfers. Each
    session that was running gets an entry in the audit log. Idleness and the end of a grant are nobody's
    deed: the session's own row says when and why.
    """
    now = timezone.now()
    number = ordered.update(sessions.filter(ended_at=None), ended_at=now, end_reason=reason)
    if number and reason != Reason.IDLE:
        ended = sessions.filter(ended_at=now, end_reason=reason, expires_at__gt=now)
        audit.record_each(
            actor=actor,
            action=AuditAction.PLAYBACK_ENDED,
            targets=ended.order_by("pk").only("pk"),
            reason=reason.value,
        )
    return number


def stop_and_measure(video: Video, order_ids: list[uuid.UUID]) -> float:
    """Stop the sessions that rest on these orders; return the share of the video that they were sent.

    The delivery notes a moment later what it sends. So this waits, at most SETTLED_SECONDS, until every
    process has stopped sending and has noted all of it: the share is then final. A buyer who keeps the
    video can start playback again. Call it outside of any transaction. Raises PlaybackRunning when the
    buyer starts playback meanwhile.
    """
    of_orders = PlaybackSession.objects.filter(
        entitlement__source_type=Entitlement.Source.ORDER, entitlement__source_id__in=order_ids
    )
    end(of_orders, Reason.STOPPED)
    latest = of_orders.order_by("-ended_at").values_list("ended_at", flat=True).first()
    if latest is not None:
        unsettled = SETTLED_SECONDS - (timezone.now() - latest).total_seconds()
        time.sleep(min(max(0.0, unsettled), SETTLED_SECONDS))
    if of_orders.running().exists():
        raise PlaybackRunning()
    return delivered.share(of_orders, video.duration_seconds)


def end_over() -> int:
    """End the sessions of videos whose ``available_until`` has passed; return their number.

    A session ends at ``available_until`` by its own grant. This ends the sessions that started before
    the date was set.
    """
    over = PlaybackSession.objects.filter(
        video__available_until__lte=timezone.now(), access__in=LOSES_ENDED
    )
    return end(over, Reason.RESTRICTED)


def end_idle() -> int:
    """End the sessions without heartbeat or request for SESSION_IDLE_SECONDS; return their number.

    A viewer who comes back starts a new session with a new stream token.
    """
    silent_since = timezone.now() - timedelta(seconds=settings.SESSION_IDLE_SECONDS)
    return end(PlaybackSession.objects.filter(last_seen_at__lt=silent_since), Reason.IDLE)
