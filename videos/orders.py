"""The orders in which lists of videos are read, each along an index.

A page then costs the same whatever the number of videos: the database walks along the index from the
cursor on, and stops when the page is full. A filter leaves out rows on the way. Filters that may leave
out nearly all have an index of their own.
"""

from typing import Any

from django.db import connections
from django.db.models import Exists, F, Func, Index, OuterRef, Q

from videos.querysets import VideoQuerySet
from videos.tags import Tag

_ALIVE = Q(deleted_at=None)
FEW = 1000  # rows that may be sorted for one page

# The filters with an index of their own: what they compare, and the orders in which it has the rows.
FILTERS = {
    "category": ("category", ("created_at", "views")),
    "status": ("status", ("created_at",)),
    "tag": ("tags__name", ()),
    "min_duration": ("duration_seconds__gte", ("duration_seconds",)),
    "max_duration": ("duration_seconds__lte", ("duration_seconds",)),
    "created_after": ("created_at__gte", ("created_at",)),
    "created_before": ("created_at__lt", ("created_at",)),
}

INDEXES = [
    # The public catalogue, newest first.
    Index(
        fields=["-created_at", "-id"],
        name="video_public_newest",
        condition=Q(deleted_at=None, visibility="public") & ~Q(current_version=""),
    ),
    # The catalogue of a signed-in user, their own videos included.
    Index(fields=["-created_at", "-id"], name="video_alive_newest", condition=_ALIVE),
    # ?creator=…
    Index(fields=["creator", "-created_at", "-id"], name="video_by_creator"),
    # ?ordering=-views
    Index(fields=["-views", "-id"], name="video_by_views", condition=_ALIVE),
    # ?ordering=-published_at
    Index(fields=["-published_at", "-id"], name="video_by_publication", condition=_ALIVE),
    # ?ordering=title, duration_seconds, price
    Index(fields=["title", "id"], name="video_by_title", condition=_ALIVE),
    Index(fields=["duration_seconds", "id"], name="video_by_duration", condition=_ALIVE),
    Index(fields=["price", "id"], name="video_by_price", condition=_ALIVE),
    # ?category=…
    Index(fields=["category", "-created_at"], name="video_by_category"),
    # ?category=…&ordering=-views
    Index(fields=["category", "-views", "-id"], name="video_category_viewed"),
    # ?status=…: how many of an administrator's have failed, for example
    Index(fields=["status", "-created_at", "-id"], name="video_by_status", condition=_ALIVE),
]


class _Walked(Func):
    """A column in whose index SQLite looks nothing up (sqlite.org/optoverview.html, unary "+")."""

    template = "+%(expressions)s"


def walked(videos: VideoQuerySet, name: str, value: Any, order: str) -> VideoQuerySet | None:
    """Filter a list that is read in ``order`` by one of FILTERS: along the order, or the few alone.

    Returns None if the plain condition is the best: the filter's index has the rows in this order.
    PostgreSQL decides so by its statistics. SQLite has none and would always take the index, and sort
    all that it finds there.
    """
    lookup, orders = FILTERS[name]
    if connections[videos.db].vendor != "sqlite" or order.removeprefix("-") in orders:
        return None
    links = videos.model.tags.through.objects
    found: Any = (
        links.filter(tag__name=value)
        if name == "tag"
        else videos.model.objects.alive().filter(**{lookup: value}).values("pk")
    )
    if found[: FEW + 1].count() <= FEW:
        return None if name == "tag" else videos.filter(pk__in=found)
    if name == "tag":
        tag = Tag.objects.filter(name=value).values_list("pk", flat=True).first()
        return videos.filter(Exists(links.filter(video=OuterRef("pk"), tag=tag)))
    column, _, operator = lookup.partition("__")
    bare = f"walked_{column}"
    return videos.alias(**{bare: _Walked(F(column))}).filter(
        **{f"{bare}__{operator or 'exact'}": value}
    )
