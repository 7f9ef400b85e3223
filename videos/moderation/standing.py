"""What the owner of a video is shown of its moderation."""

from collections.abc import Sequence
from typing import Any

from django.db.models import Prefetch

from videos.models import Video
from videos.moderation.appealing import APPEALS_MAX
from videos.moderation.models import Appeal, ModerationCase


def add(videos: Sequence[Video]) -> None:
    """Give each video that is taken down its ``takedown``, in two queries for any number of them."""
    taken_down = {video.pk: video for video in videos if vars(video).get("taken_down_at")}
    if not taken_down:
        return
    cases = ModerationCase.objects.filter(
        video__in=taken_down, status=ModerationCase.Status.TAKEN_DOWN
    )
    for case in cases.prefetch_related(Prefetch("appeals", Appeal.objects.order_by("pk"))):
        vars(taken_down[case.video_id])["takedown"] = case


def of(video: Video) -> dict[str, Any] | None:
    """Return the state of a video that is taken down, as its owner sees it; None for any other."""
    if video.taken_down_at is None:
        return None
    if "takedown" not in vars(video):
        add([video])
    case: ModerationCase | None = vars(video).get("takedown")
    if case is None:  # it was restored since the video was read
        return None
    appeals = list(case.appeals.all())
    last = appeals[-1] if appeals else None
    return {
        "status": case.status,
        "reason": case.reason,
        "note": case.note,
        "taken_down_at": video.taken_down_at,
        "appeal": {
            "status": last.status,
            "detail": last.detail,
            "answer": last.answer or None,
            "created_at": last.created_at,
            "decided_at": last.decided_at,
        }
        if last
        else None,
        "appeals_left": max(0, APPEALS_MAX - len(appeals)),
    }
