"""Playback sessions: from a right to watch to a grant that plays, and to its end."""

import hashlib
import hmac
import ipaddress
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.utils import timezone
from rest_framework.exceptions import NotAuthenticated

import audit.services as audit
from audit.actions import AuditAction
from config.errors import NotVisible
from payments import locks
from payments.entitlements import Access, can_watch
from payments.services.access import begin_rental
from streaming import tokens
from streaming.delivery import grants
from streaming.errors import NotReady, PurchaseRequired, SessionEnded, StreamTokenInvalid
from streaming.models import PlaybackSession
from videos.models import Video

Reason = PlaybackSession.EndReason


@dataclass(frozen=True, slots=True)
class Client:
    """The device that asks, as far as HTTP tells."""

    user_agent: str
    address: str


def stream_token(*, user, video_id: uuid.UUID) -> str:
    """A token to start playing a video with, for whoever may watch it.

    Raises NotVisible, NotReady, NotAuthenticated (anonymous, and the video is not free) and
    PurchaseRequired.
    """
    video = Video.objects.visible_to(user).filter(pk=video_id).first()
    _require_access(user, video)
    return tokens.issue(video_id=video.pk, user_id=user.pk if user.is_authenticated else None)


@transaction.atomic
def redeem(*, token: str, client: Client) -> tuple[PlaybackSession, str]:
    """Start the token's session, or continue it; returns it and the grant for its videos' files.

    The right to watch is looked up again: the token's minute is time enough to lose it. Another
    device cannot continue the session.
    """
    content = tokens.read(token)
    found = PlaybackSession.objects.filter(pk=content.session_id).first()
    session = found or _start(content, client)
    if session.ended_at is not None:
        raise SessionEnded()
    grant = grants.mint(
        session.pk,
        session.video_id,
        int(session.expires_at.timestamp()),
        session.user_agent,
        session.network or "",
    )
    if found is not None:
        try:
            grants.verify(
                grant,
                video_id=session.video_id,
                user_agent=client.user_agent,
                address=client.address,
                now=timezone.now().timestamp(),
            )
        except grants.WrongDevice:
            raise StreamTokenInvalid() from None
    return session, grant


def _start(content: tokens.StreamToken, client: Client) -> PlaybackSession:
    # User, video and right are locked until the session stands: what ends any of them also ends the
    # sessions that it finds, and must not miss this one.
    user = _user(content.user_id)
    videos = Video.objects.visible_to(user).select_for_update(of=("self",), no_key=True)
    video = videos.filter(pk=content.video_id).first()
    access = _require_access(user, video)
    now = timezone.now()
    ends_at = _hold(access, now)
    until = now + timedelta(hours=settings.PLAYBACK_GRANT_HOURS)
    session, created = PlaybackSession.objects.get_or_create(
        pk=content.session_id,
        defaults={
            "user_id": content.user_id,
            "video": video,
            "version": video.current_version,
            "access": access.kind,
            "entitlement_id": access.entitlement_id,
            "viewer_key": viewer_key(content.user_id, client, now),
            "user_agent": client.user_agent[:500],
            "network": _prefix(client.address),
            "created_at": now,
            "last_seen_at": now,
            "expires_at": min(until, ends_at) if ends_at else until,
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


def _hold(access: Access, now) -> datetime | None:
    """Lock the right until the session stands; returns when it ends. A rental begins with this."""
    if access.entitlement_id is None:
        return None
    right = locks.lock_live_entitlement(access.entitlement_id, now)
    if right is None:
        raise PurchaseRequired()
    return begin_rental(right, now).ends_at


def _require_access(user, video: Video | None) -> Access:
    if video is None:
        raise NotVisible()
    access = can_watch(user, video)
    if access is None and not user.is_authenticated:
        raise NotAuthenticated()
    if access is None:
        raise PurchaseRequired()
    if not video.is_playable:
        raise NotReady()
    return access


def _user(user_id: uuid.UUID | None):
    if user_id is None:
        return AnonymousUser()
    users = get_user_model().objects.select_related("role")
    user = users.select_for_update(of=("self",), no_key=True).filter(pk=user_id).first()
    if user is None or not user.is_active:
        raise StreamTokenInvalid()
    return user


def viewer_key(user_id: uuid.UUID | None, client: Client, now) -> str:
    """Whom analytics counts: the user, or a keyed hash of day, network and device."""
    if user_id is not None:
        return f"user:{user_id.hex}"
    text = f"{now:%Y-%m-%d}|{_prefix(client.address)}|{client.user_agent}"
    return f"anon:{hmac.digest(settings.GRANT_KEY, text.encode(), hashlib.sha256).hex()[:40]}"


def _prefix(address: str) -> str | None:
    """The network's first address: what grants and analytics need, and not who it is."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return None
    return grants.network_of(address)


def stop(*, session: PlaybackSession, actor) -> None:
    """End one session on its viewer's wish. Safe to repeat."""
    with transaction.atomic():
        if end(PlaybackSession.objects.filter(pk=session.pk), Reason.STOPPED):
            audit.record(actor=actor, action=AuditAction.PLAYBACK_ENDED, target=session)


def end(sessions, reason: str) -> int:
    """End those of ``sessions`` that run. The delivery stops within two seconds."""
    return sessions.filter(ended_at=None).update(ended_at=timezone.now(), end_reason=reason)


def end_idle() -> int:
    """End the sessions without a sign of life; a fresh token resumes where they stopped."""
    silent_since = timezone.now() - timedelta(seconds=settings.SESSION_IDLE_SECONDS)
    return end(PlaybackSession.objects.filter(last_seen_at__lt=silent_since), Reason.IDLE)
