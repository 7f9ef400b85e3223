"""The likes and dislikes of videos."""

from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from accounts.models import User
from analytics.models import Reaction
from videos.models import Video
from videos.services import catalogue


@transaction.atomic
def react(*, user: User, video: Video, value: str | None) -> Video:
    """Set or change the user's reaction to a video, or remove it (None). Safe to repeat.

    Returns ``video`` with the current numbers of likes and dislikes. Repeating the same value keeps
    the reaction's time. Does not check the user's access to the video.
    """
    Video.objects.select_for_update(of=("self",)).get(pk=video.pk)
    if value is None:
        Reaction.objects.filter(user=user, video=video).delete()
    else:
        reaction, created = Reaction.objects.get_or_create(
            user=user, video=video, defaults={"value": value}
        )
        if not created and reaction.value != value:
            reaction.value, reaction.at = value, timezone.now()
            reaction.save(update_fields=["value", "at"])
    counts = Reaction.objects.filter(video=video).aggregate(
        likes=Count("pk", filter=Q(value=Reaction.Value.LIKE)),
        dislikes=Count("pk", filter=Q(value=Reaction.Value.DISLIKE)),
    )
    catalogue.set_counters(video.pk, **counts)
    video.likes, video.dislikes = counts["likes"], counts["dislikes"]
    return video
