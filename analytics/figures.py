"""The figures of views, playback, sales and reactions that all reports are made of.

Each function costs a fixed number of queries, and each figure is counted in one place: here.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any
from uuid import UUID

from django.db.models import Avg, Count, F, FloatField, Q, QuerySet, Sum, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Least

from analytics.models import Reaction, VideoView
from analytics.rows import PlaybackSource, Quality, Retention
from analytics.steps import Steps, before
from payments.books import reports as money_reports
from streaming.intervals import within
from streaming.models import UNCOUNTED, PlaybackSession

REAL = FloatField()
# The watched seconds of a session, without those that were never delivered to it.
DELIVERED_SECONDS = Least("watched_seconds", Cast("delivered_seconds", REAL))
COUNTED = ~Q(access__in=UNCOUNTED)  # the sessions with PlaybackSession.counts, in SQL
RETENTION_BUCKETS = 200


@dataclass(frozen=True, slots=True)
class Scope:
    """The period of a report (``start`` ≤ t < ``end``) and its videos: all, a creator's, or one."""

    start: datetime
    end: datetime
    interval: str = "day"
    zone: tzinfo = UTC
    creator_id: UUID | None = None
    video_id: UUID | None = None

    def of(self, video: str, time: str) -> Q:
        """Return the scope as a condition on rows with these lookups for their video and moment."""
        condition = Q(**{f"{time}__gte": self.start, f"{time}__lt": self.end})
        if self.creator_id:
            condition &= Q(**{f"{video}__creator_id": self.creator_id})
        if self.video_id:
            condition &= Q(**{f"{video}_id": self.video_id})
        return condition

    @property
    def views(self) -> QuerySet[VideoView]:
        # Not of(): a view holds its creator, so the index on (creator, at) serves a dashboard.
        views = VideoView.objects.filter(at__gte=self.start, at__lt=self.end)
        if self.creator_id:
            views = views.filter(creator_id=self.creator_id)
        return views.filter(video_id=self.video_id) if self.video_id else views

    @property
    def sessions(self) -> QuerySet[PlaybackSession]:
        return PlaybackSession.objects.filter(COUNTED, self.of("video", "created_at"))

    @property
    def reactions(self) -> QuerySet[Reaction]:
        return Reaction.objects.filter(self.of("video", "at"))

    @property
    def steps(self) -> Steps:
        return Steps.over(self.start, self.end, self.interval, self.zone)

    @property
    def before(self) -> "Scope":
        """Return the same scope over the period before, which is as long on the zone's clock."""
        start, end = before(self.start, self.end, self.zone)
        return replace(self, start=start, end=end)

    @property
    def period(self) -> money_reports.Period:
        return money_reports.Period(self.start, self.end)


@dataclass(slots=True)
class Figures:
    """Views and playback of one interval or one video."""

    views: int = 0
    unique_viewers: int = 0
    sessions: int = 0
    watch_seconds: float = 0.0


@dataclass(slots=True)
class Counts:
    """The sales and the reactions of one video in a period."""

    purchases: int = 0
    likes: int = 0
    dislikes: int = 0


def total(scope: Scope) -> Figures:
    """Return the figures of the whole period: one query."""
    return _figures(scope, Value(0), Value(0)).get((0, 0), Figures())


def by_step(scope: Scope) -> list[tuple[datetime, Figures]]:
    """Return the figures of each step that has a view or a session, oldest first: one query."""
    steps = scope.steps
    rows = _figures(
        scope,
        steps.local("at"),
        steps.local("created_at"),
        steps.span("at"),
        steps.span("created_at"),
    )
    # A list, because the two hours of one name in a night of a clock change are equal as keys of a dict.
    named = [(steps.moment(local, span), row) for (local, span), row in rows.items()]
    return sorted(named, key=lambda each: each[0].astimezone(UTC))


def by_video(scope: Scope) -> dict[UUID, Figures]:
    """Return the figures of each video that has a view or a session: one query."""
    rows = _figures(scope, F("video_id"), F("video_id"))
    return {video_id: row for (video_id, _), row in rows.items()}


def by_source(scope: Scope) -> list[PlaybackSource]:
    """Return the sessions by what gave them access, most sessions first: one query."""
    rows = (
        scope.sessions.values_list("access")
        .annotate(sessions=Count("pk"), watch_seconds=Sum(DELIVERED_SECONDS))
        .order_by("-sessions", "access")
    )
    return [
        PlaybackSource(access, sessions, round(seconds, 1)) for access, sessions, seconds in rows
    ]


def _figures(
    scope: Scope,
    view_key: Combinable,
    session_key: Combinable,
    view_span: Combinable = Value(0),  # noqa: B008 - is never changed
    session_span: Combinable = Value(0),  # noqa: B008 - is never changed
) -> dict[Any, Figures]:
    """Return the figures for each pair of a key and a span, in one query.

    ``view_key`` gives the key of a view and ``session_key`` the key of a session; only keys with a
    view or a session have a row. A UNION makes it one query: both halves have a count and a measure
    (unique viewers of the views, watched seconds of the sessions).
    """
    viewed = (
        scope.views.annotate(key=view_key, span=view_span)
        .values("key", "span", half=Value("views"))
        .annotate(number=Count("pk"), measure=Cast(Count("viewer_key", distinct=True), REAL))
    )
    played = (
        scope.sessions.annotate(key=session_key, span=session_span)
        .values("key", "span", half=Value("sessions"))
        .annotate(number=Count("pk"), measure=Cast(Sum(DELIVERED_SECONDS), REAL))
    )
    columns = ("key", "span", "half", "number", "measure")
    rows: dict[Any, Figures] = {}
    for key, span, half, number, measure in viewed.values_list(*columns).union(
        played.values_list(*columns), all=True
    ):
        row = rows.setdefault((key, span), Figures())
        if half == "views":
            row.views, row.unique_viewers = number, int(measure)
        else:
            row.sessions, row.watch_seconds = number, measure or 0.0
    return rows


def counts(scope: Scope) -> dict[UUID, Counts]:
    """Return the sales of a scope and the reactions that were given in it, by video: two queries."""
    counted: defaultdict[UUID, Counts] = defaultdict(Counts)
    sold = money_reports.sold(
        scope.period, creator_id=scope.creator_id, video_id=scope.video_id
    ).order_by()
    for video_id, number in sold.values_list("video_id").annotate(number=Count("pk")):
        counted[video_id].purchases = number
    reacted = scope.reactions.values_list("video_id").annotate(
        likes=Count("pk", filter=Q(value=Reaction.Value.LIKE)),
        dislikes=Count("pk", filter=Q(value=Reaction.Value.DISLIKE)),
    )
    for video_id, likes, dislikes in reacted:
        counted[video_id].likes, counted[video_id].dislikes = likes, dislikes
    return counted


def retention(scope: Scope, duration: float) -> list[Retention]:
    """Return how many sessions played each part of the video, in at most RETENTION_BUCKETS parts.

    ``duration`` is the video's length in seconds; a part is never shorter than a second.
    """
    if duration <= 0:
        return []
    count = max(1, min(RETENTION_BUCKETS, int(duration)))
    width = duration / count
    viewers: Counter[int] = Counter()
    rows = scope.sessions.values_list("watched", "watched_seconds", "delivered_seconds")
    for intervals, watched, delivered in rows.iterator(chunk_size=2000):
        if watched > delivered:
            intervals = within(intervals, delivered)
        viewers.update(
            {
                part
                for start, end in intervals
                for part in range(int(start / width), min(count, -int(-end // width)))
            }
        )
    return [Retention(round(part * width, 1), viewers[part]) for part in range(count)]


def quality(scope: Scope) -> Quality:
    """Return start-up and stalling of the sessions with a heartbeat: one query."""
    sums = scope.sessions.filter(last_heartbeat_at__isnull=False).aggregate(
        sessions=Count("pk"),
        startup_ms=Avg("startup_ms"),
        rebuffer_ms=Sum("rebuffer_ms"),
        watched=Sum("watched_seconds"),
    )
    rebuffer_ms, watched_ms = sums["rebuffer_ms"] or 0, (sums["watched"] or 0) * 1000
    return Quality(
        sessions=sums["sessions"],
        startup_ms=None if sums["startup_ms"] is None else round(sums["startup_ms"]),
        rebuffer_ms=rebuffer_ms,
        rebuffer_ratio=round(rebuffer_ms / watched_ms, 4) if watched_ms else 0.0,
    )
