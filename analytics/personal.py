"""What exports and erasures do with the rows of this app (`config.personal`)."""

import secrets

from django.db import transaction

from accounts.models import User
from analytics import reactions
from analytics.models import Reaction, VideoView, ViewerNumber
from config import ordered, personal
from config.personal import Fate, Person, Rows
from streaming import viewers
from streaming.models import PlaybackSession


def _forget_viewer(person: Person) -> None:
    """Give the person's sessions and views one viewer key of chance, and no user.

    Numbers of views and of different viewers stay as they are. Nothing links the key to the person.
    """
    key = f"gone:{secrets.token_hex(16)}"
    with transaction.atomic():
        watched = PlaybackSession.objects.filter(user=person.user_id)
        ordered.lock(watched)  # a session comes before its views
        VideoView.objects.filter(session__in=watched).update(viewer_key=key, network_key="")
        # In the sets of roll-ups the person's number stays, and stands for the new key.
        former = viewers.key_of_user(person.user_id)
        ViewerNumber.objects.filter(viewer_key=former).update(viewer_key=key)
        watched.update(user=None, entitlement=None, viewer_key=key)


def _take_reactions_back(person: Person) -> None:
    user = User.objects.get(pk=person.user_id)
    for reaction in Reaction.objects.filter(user=user).select_related("video"):
        reactions.react(user=user, video=reaction.video, value=None)


personal.register(
    Rows(
        VideoView, "session__user", "views", Fate.ANONYMOUS,
        "Figures keep the numbers; a viewer key of chance stands in place of the person.",
        erase=_forget_viewer,
    ),
    Rows(
        VideoView, "creator", "views of the person's videos", Fate.KEPT,
        "They tell of others, with keys that name nobody.",
    ),
    Rows(
        Reaction, "user", "likes and dislikes", Fate.REMOVED, "Their videos count them no more.",
        "reactions", ("video_id", "value", "at"), _take_reactions_back,
    ),
)  # fmt: skip
