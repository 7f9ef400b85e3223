"""May this person watch? The only place that answers."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import F, Q

from payments.models import Entitlement
from videos.models import Video


@dataclass(frozen=True, slots=True)
class Access:
    """Why somebody may watch: ``free``, ``owner``, ``admin``, ``order`` or ``subscription``."""

    kind: str
    entitlement_id: uuid.UUID | None = None
    ends_at: datetime | None = None


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
        # What was bought comes before what was rented, and both before the subscription.
        .order_by(F("video").asc(nulls_last=True), F("ends_at").desc(nulls_first=True))
        .only("pk", "source_type", "ends_at")
        .first()
    )
    if entitlement is None:
        return None
    return Access(entitlement.source_type, entitlement.pk, entitlement.ends_at)
