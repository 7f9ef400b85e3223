"""May this person watch? The only place that answers."""

import uuid
from dataclasses import dataclass

from django.conf import settings
from django.db.models import F, Q

from payments.models import Entitlement
from videos.models import Video


@dataclass(frozen=True, slots=True)
class Access:
    """Why somebody may watch: ``free``, ``owner``, ``admin``, ``order`` or ``subscription``."""

    kind: str
    entitlement_id: uuid.UUID | None = None


def can_watch(user, video: Video) -> Access | None:
    """The caller's right to watch a film they can see, or None. At most one query."""
    if user.is_authenticated:
        if video.creator_id == user.pk:
            return Access("owner")
        if user.has_perm("videos.manage_any_video"):
            return Access("admin")
    if not video.is_paid:
        return Access("free") if user.is_authenticated or settings.ANONYMOUS_PLAYBACK else None
    if not user.is_authenticated:
        return None
    entitlement = (
        Entitlement.objects.live()
        .filter(Q(video=video) | Q(video=None), user=user)
        # What was bought comes before the subscription: it lasts longer.
        .order_by(F("video").asc(nulls_last=True))
        .only("pk", "source_type")
        .first()
    )
    return Access(entitlement.source_type, entitlement.pk) if entitlement else None
