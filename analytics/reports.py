"""The reports of the dashboards. They read only, each with a fixed number of queries."""

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Avg, Count, F, FloatField, Q, QuerySet, Sum, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Least, TruncDay, TruncHour, TruncMonth, TruncWeek

from accounts.models import User
from analytics.models import Reaction, VideoView
from analytics.rows import (
    Amount,
    Bucket,
    CreatorReport,
    PlatformReport,
    Quality,
    Queue,
    Retention,
    RevenueLine,
    TopCreator,
    Totals,
    VideoReport,
    VideoRow,
)
from config import money
from payments.books import reports as money_reports
from payments.books.reports import RevenueRow
from streaming.intervals import within
from streaming.models import UNCOUNTED, PlaybackSession
from videos.models import Video

TRUNC = {"hour": TruncHour, "day": TruncDay, "week": TruncWeek, "month": TruncMonth}
REAL = FloatField()
# The watched seconds of a session, without those that were never delivered to it.
DELIVERED_SECONDS = Least("watched_seconds", Cast("delivered_seconds", REAL))
COUNTED = ~Q(access__in=UNCOUNTED)  # the sessions with PlaybackSession.counts, in SQL
VIDEOS_MAX = 100
TOP_CREATORS = 10
RETENTION_BUCKETS = 200


@dataclass(frozen=True, slots=True)
class Scope:
    """The period of a report (``start`` ≤ t < ``end``) and its videos: all, a creator's, or one."""

    start: datetime
    end: datetime
    interval: str = "day"
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


def creator_report(scope: Scope, creator_id: UUID) -> CreatorReport:
    """Return the dashboard of this creator, over the scope's period and, if it names one, its video."""
    scope = replace(scope, creator_id=creator_id)
    earned = money_reports.creator_earned(creator_id, scope.period, scope.video_id)
    counted, played = _counts(scope), _figures_by_interval(scope)
    return CreatorReport(
        totals=_totals(scope, _purchases(scope), earned, counted, played),
        series=_series(played),
        videos=_videos(scope, counted),
    )


def platform_report(scope: Scope) -> PlatformReport:
    """Return the dashboard over all videos, or over the scope's one; earnings are the platform's."""
    revenue = money_reports.platform_totals(scope.period, scope.video_id)
    earned = {row.currency: row.platform_share for row in revenue}
    counted, played = _counts(scope), _figures_by_interval(scope)
    return PlatformReport(
        totals=_totals(scope, revenue, earned, counted, played),
        series=_series(played),
        videos=_videos(scope, counted),
        revenue=[
            RevenueLine(
                currency=row.currency,
                gross=money.to_text(row.gross, row.currency),
                refunds=money.to_text(row.refunds, row.currency),
                disputes=money.to_text(row.disputes, row.currency),
                creator_share=money.to_text(row.creator_share, row.currency),
                platform_share=money.to_text(row.platform_share, row.currency),
            )
            for row in revenue
        ],
        active_subscriptions=sum(row.active_subscriptions for row in revenue),
        top_creators=_top_creators(scope),
        processing_queue=_processing_queue(),
    )


def video_report(scope: Scope, video: Video) -> VideoReport:
    """Return the report of ``video``, which must be the scope's video."""
    earned = money_reports.creator_earned(video.creator_id, scope.period, video.pk)
    played = _figures_by_interval(scope)
    return VideoReport(
        totals=_totals(scope, _purchases(scope), earned, _counts(scope), played),
        series=_series(played),
        retention=_retention(scope, video.duration_seconds or 0.0),
        quality=_quality(scope),
    )


def _purchases(scope: Scope) -> list[RevenueRow]:
    return money_reports.purchases(
        scope.period, creator_id=scope.creator_id, video_id=scope.video_id
    )


def _totals(
    scope: Scope,
    revenue: list[RevenueRow],
    earned: dict[str, int],
    counted: dict[UUID, Counts],
    played: dict[datetime, Figures],
) -> Totals:
    """Return the totals of a scope: one query. ``earned`` maps currencies to minor units."""
    viewed = scope.views.aggregate(
        views=Count("pk"), unique_viewers=Count("viewer_key", distinct=True)
    )

    def money_of(*names: str) -> list[Amount]:
        return _amounts(
            {row.currency: sum(getattr(row, name) for name in names) for row in revenue}
        )

    return Totals(
        views=viewed["views"],
        unique_viewers=viewed["unique_viewers"],
        watch_seconds=round(sum((row.watch_seconds for row in played.values()), 0.0), 1),
        likes=sum(counts.likes for counts in counted.values()),
        dislikes=sum(counts.dislikes for counts in counted.values()),
        purchases=sum(counts.purchases for counts in counted.values()),
        gross=money_of("gross"),
        refunds=money_of("refunds"),
        disputes=money_of("disputes"),
        creator_share=money_of("creator_share"),
        platform_share=money_of("platform_share"),
        promotions=money_of("promotions"),
        losses=money_of("losses"),
        waiting=money_of("deferred", "pool", "owed_back", "suspense"),
        earnings=_amounts(earned),
    )


def _amounts(minor_by_currency: dict[str, int]) -> list[Amount]:
    """Return amounts in minor units as text, ordered by currency."""
    return [
        Amount(currency, money.to_text(minor, currency))
        for currency, minor in sorted(minor_by_currency.items())
    ]


def _figures_by_interval(scope: Scope) -> dict[datetime, Figures]:
    trunc = TRUNC[scope.interval]
    return _figures(scope, trunc("at"), trunc("created_at"))


def _figures(scope: Scope, view_key: Combinable, session_key: Combinable) -> dict[Any, Figures]:
    """Return the figures for each value of a key, in one query.

    ``view_key`` gives the key of a view and ``session_key`` the key of a session; only keys with a
    view or a session have a row. A UNION makes it one query: both halves have a count and a measure
    (unique viewers of the views, watched seconds of the sessions).
    """
    viewed = (
        scope.views.annotate(key=view_key)
        .values("key", half=Value("views"))
        .annotate(number=Count("pk"), measure=Cast(Count("viewer_key", distinct=True), REAL))
    )
    played = (
        scope.sessions.annotate(key=session_key)
        .values("key", half=Value("sessions"))
        .annotate(number=Count("pk"), measure=Cast(Sum(DELIVERED_SECONDS), REAL))
    )
    columns = ("key", "half", "number", "measure")
    rows: dict[Any, Figures] = {}
    for key, half, number, measure in viewed.values_list(*columns).union(
        played.values_list(*columns), all=True
    ):
        row = rows.setdefault(key, Figures())
        if half == "views":
            row.views, row.unique_viewers = number, int(measure)
        else:
            row.sessions, row.watch_seconds = number, measure
    return rows


def _counts(scope: Scope) -> dict[UUID, Counts]:
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


def _series(played: dict[datetime, Figures]) -> list[Bucket]:
    """Return one row for each interval with a view or a session, oldest first."""
    return [
        Bucket(
            bucket=moment,
            views=row.views,
            unique_viewers=row.unique_viewers,
            sessions=row.sessions,
            watch_seconds=round(row.watch_seconds, 1),
        )
        for moment, row in sorted(played.items())
    ]


def _videos(scope: Scope, counted: dict[UUID, Counts]) -> list[VideoRow]:
    """Return the scope's videos with their figures of the period, most viewed first: two queries.

    At most VIDEOS_MAX. All videos of a creator, and of the platform the videos with a view, a session,
    a sale or a reaction in the period.
    """
    played = _figures(scope, F("video_id"), F("video_id"))
    if scope.creator_id:
        videos = Video.objects.filter(creator_id=scope.creator_id)
        videos = videos.filter(pk=scope.video_id) if scope.video_id else videos
    else:
        videos = Video.objects.filter(pk__in=played.keys() | counted.keys())
    rows = []
    for video in videos.only("title"):
        figures, counts = played.get(video.pk, Figures()), counted.get(video.pk, Counts())
        rows.append(
            VideoRow(
                id=video.pk,
                title=video.title,
                views=figures.views,
                unique_viewers=figures.unique_viewers,
                watch_seconds=round(figures.watch_seconds, 1),
                likes=counts.likes,
                dislikes=counts.dislikes,
                purchases=counts.purchases,
            )
        )
    rows.sort(key=lambda row: (-row.views, -row.watch_seconds, row.title))
    return rows[:VIDEOS_MAX]


def _top_creators(scope: Scope) -> list[TopCreator]:
    """Return the creators with the most views: one query."""
    rows = (
        scope.views.values("creator_id", "creator__display_name")
        .annotate(views=Count("pk"), unique_viewers=Count("viewer_key", distinct=True))
        .order_by("-views", "creator_id")[:TOP_CREATORS]
    )
    return [
        TopCreator(
            id=row["creator_id"],
            # An unsaved user: the rule for a public name stands in the model.
            display_name=User(
                pk=row["creator_id"], display_name=row["creator__display_name"]
            ).public_name,
            views=row["views"],
            unique_viewers=row["unique_viewers"],
        )
        for row in rows
    ]


def _processing_queue() -> Queue:
    unfinished = Video.objects.alive().filter(
        Q(status=Video.Status.FAILED) | Q(job__state__in=["queued", "running"])
    )
    counts = unfinished.aggregate(
        queued=Count("pk", filter=Q(job__state="queued")),
        running=Count("pk", filter=Q(job__state="running")),
        failed=Count("pk", filter=Q(status=Video.Status.FAILED)),
    )
    return Queue(queued=counts["queued"], running=counts["running"], failed_films=counts["failed"])


def _retention(scope: Scope, duration: float) -> list[Retention]:
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


def _quality(scope: Scope) -> Quality:
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
