"""Dashboards: read side. Every report costs a fixed number of queries."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Avg, Count, F, FloatField, Q, Sum, Value
from django.db.models.functions import Cast, TruncDay, TruncHour, TruncMonth, TruncWeek

from analytics.models import Reaction, VideoView
from config import money
from payments.books import reports as money_reports
from payments.books.columns import in_currency
from payments.models import Order
from streaming.models import PlaybackSession
from videos.models import Video

TRUNC = {"hour": TruncHour, "day": TruncDay, "week": TruncWeek, "month": TruncMonth}
REAL = FloatField()
COUNTED = ~Q(access__in=["owner", "admin"])
TOP = 100
REVENUE_COLUMNS = ("currency", "gross", "refunds", "creator_share", "platform_share")
RETENTION_BUCKETS = 200


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose videos, and when: ``start`` ≤ t < ``end``."""

    start: datetime
    end: datetime
    interval: str = "day"
    creator_id: object | None = None
    video_id: object | None = None

    def of(self, video: str, time: str) -> Q:
        """The condition on rows that reach their video by ``video`` and their moment by ``time``."""
        condition = Q(**{f"{time}__gte": self.start, f"{time}__lt": self.end})
        if self.creator_id:
            condition &= Q(**{f"{video}__creator_id": self.creator_id})
        if self.video_id:
            condition &= Q(**{f"{video}_id": self.video_id})
        return condition

    @property
    def views(self):
        # A view knows its creator: the index on (creator, at) serves a dashboard.
        found = VideoView.objects.filter(at__gte=self.start, at__lt=self.end)
        if self.creator_id:
            found = found.filter(creator_id=self.creator_id)
        return found.filter(video_id=self.video_id) if self.video_id else found

    @property
    def sessions(self):
        return PlaybackSession.objects.filter(COUNTED, self.of("video", "created_at"))

    @property
    def reactions(self):
        return Reaction.objects.filter(self.of("video", "at"))

    @property
    def sales(self):
        return Order.objects.filter(self.of("video", "paid_at"))

    @property
    def period(self) -> money_reports.Period:
        return money_reports.Period(self.start, self.end)


def totals(scope: Scope, earned: dict[str, int], sold: list[dict], played: list[dict]) -> dict:
    """Views, viewers, watch time, reactions, purchases, gross and earnings: two queries."""
    viewed = scope.views.aggregate(
        views=Count("pk"), unique_viewers=Count("viewer_key", distinct=True)
    )
    reacted = scope.reactions.aggregate(
        likes=Count("pk", filter=Q(value=Reaction.Value.LIKE)),
        dislikes=Count("pk", filter=Q(value=Reaction.Value.DISLIKE)),
    )
    gross: Counter[str] = Counter()
    for row in sold:
        gross[row["currency"]] += row["gross"]
    return {
        **viewed,
        "watch_seconds": round(sum((row["watch_seconds"] for row in played), 0.0), 1),
        **reacted,
        "purchases": sum(row["count"] for row in sold),
        "gross": [amount(currency, gross[currency]) for currency in sorted(gross)],
        "earnings": [amount(currency, earned[currency]) for currency in sorted(earned)],
    }


def tally(scope: Scope, view_key, session_key) -> list[dict]:
    """Views and playback by a key of theirs, one row a key: one query, whatever the keys."""
    viewed = (
        scope.views.annotate(key=view_key)
        .values("key", what=Value("views"))
        .annotate(number=Count("pk"), measure=Cast(Count("viewer_key", distinct=True), REAL))
    )
    played = (
        scope.sessions.annotate(key=session_key)
        .values("key", what=Value("sessions"))
        .annotate(number=Count("pk"), measure=Cast(Sum("watched_seconds"), REAL))
    )
    columns = ("key", "what", "number", "measure")
    empty = {"views": 0, "unique_viewers": 0, "sessions": 0, "watch_seconds": 0.0}
    rows: dict[object, dict] = {}
    for key, what, number, measure in viewed.values_list(*columns).union(
        played.values_list(*columns), all=True
    ):
        row = rows.setdefault(key, {"key": key, **empty})
        if what == "views":
            row.update(views=number, unique_viewers=int(measure))
        else:
            row.update(sessions=number, watch_seconds=measure)
    return [rows[key] for key in sorted(rows)]


def by_bucket(scope: Scope) -> list[dict]:
    trunc = TRUNC[scope.interval]
    return tally(scope, trunc("at"), trunc("created_at"))


def sales(scope: Scope) -> list[dict]:
    rows = scope.sales.values("video_id", "currency")
    return list(rows.annotate(count=Count("pk"), gross=Sum("amount")))


def series(played: list[dict]) -> list[dict]:
    """One row a bucket in which anything happened."""
    return [
        {
            "bucket": row["key"],
            "views": row["views"],
            "unique_viewers": row["unique_viewers"],
            "sessions": row["sessions"],
            "watch_seconds": round(row["watch_seconds"], 1),
        }
        for row in played
    ]


def videos(scope: Scope, sold: list[dict]) -> list[dict]:
    """Return the videos of a scope with their figures, most viewed first: two queries."""
    played = {row["key"]: row for row in tally(scope, F("video_id"), F("video_id"))}
    bought: Counter = Counter()
    for row in sold:
        bought[row["video_id"]] += row["count"]
    if scope.creator_id:
        listed = Video.objects.filter(creator_id=scope.creator_id)
        listed = listed.filter(pk=scope.video_id) if scope.video_id else listed
    else:
        listed = Video.objects.filter(pk__in=played.keys() | bought.keys())
    nothing = {"views": 0, "unique_viewers": 0, "watch_seconds": 0.0}
    rows = []
    for video in listed.only("title", "likes", "dislikes"):
        row = played.get(video.pk, nothing)
        rows.append(
            {
                "id": video.pk,
                "title": video.title,
                "views": row["views"],
                "unique_viewers": row["unique_viewers"],
                "watch_seconds": round(row["watch_seconds"], 1),
                "likes": video.likes,
                "dislikes": video.dislikes,
                "purchases": bought[video.pk],
            }
        )
    rows.sort(key=lambda row: (-row["views"], -row["watch_seconds"], row["title"]))
    return rows[:TOP]


def creator_report(scope: Scope) -> dict:
    earned = money_reports.creator_earned(scope.creator_id, scope.period, scope.video_id)
    sold, played = sales(scope), by_bucket(scope)
    return {
        "totals": totals(scope, earned, sold, played),
        "series": series(played),
        "videos": videos(scope, sold),
    }


def platform_report(scope: Scope) -> dict:
    revenue = money_reports.platform_totals(scope.period, scope.video_id)
    earned = {row.currency: row.platform_share for row in revenue}
    sold, played = sales(scope), by_bucket(scope)
    return {
        "totals": totals(scope, earned, sold, played),
        "series": series(played),
        "videos": videos(scope, sold),
        "revenue": [
            {name: row[name] for name in REVENUE_COLUMNS} for row in in_currency(revenue, None)
        ],
        "active_subscriptions": sum(row.active_subscriptions for row in revenue),
        "top_creators": top_creators(scope),
        "processing_queue": processing_queue(),
    }


def top_creators(scope: Scope) -> list[dict]:
    rows = (
        scope.views.values("creator_id", "creator__display_name")
        .annotate(views=Count("pk"), unique_viewers=Count("viewer_key", distinct=True))
        .order_by("-views", "creator_id")[:10]
    )
    return [
        {
            "id": row["creator_id"],
            "display_name": row["creator__display_name"] or f"user-{row['creator_id'].hex[-6:]}",
            "views": row["views"],
            "unique_viewers": row["unique_viewers"],
        }
        for row in rows
    ]


def processing_queue() -> dict:
    unfinished = Video.objects.alive().filter(
        Q(status=Video.Status.FAILED) | Q(job__state__in=["queued", "running"])
    )
    return unfinished.aggregate(
        queued=Count("pk", filter=Q(job__state="queued")),
        running=Count("pk", filter=Q(job__state="running")),
        failed_films=Count("pk", filter=Q(status=Video.Status.FAILED)),
    )


def video_report(scope: Scope, video: Video) -> dict:
    earned = money_reports.creator_earned(video.creator_id, scope.period, video.pk)
    played = by_bucket(scope)
    return {
        "totals": totals(scope, earned, sales(scope), played),
        "series": series(played),
        "retention": retention(scope, video.duration_seconds or 0.0),
        "quality": quality(scope),
    }


def retention(scope: Scope, duration: float) -> list[dict]:
    """How many sessions played each second, in at most RETENTION_BUCKETS buckets of the video."""
    if duration <= 0:
        return []
    count = max(1, min(RETENTION_BUCKETS, int(duration)))
    width = duration / count
    changes: Counter[int] = Counter()
    for intervals in scope.sessions.values_list("watched", flat=True).iterator(chunk_size=2000):
        touched = {
            bucket
            for start, end in intervals
            for bucket in range(int(start / width), min(count, -int(-end // width)))
        }
        changes.update(touched)
    return [
        {"second": round(bucket * width, 1), "viewers": changes[bucket]} for bucket in range(count)
    ]


def quality(scope: Scope) -> dict:
    """Start-up and stalling, as the players reported them."""
    found = scope.sessions.filter(last_heartbeat_at__isnull=False).aggregate(
        sessions=Count("pk"),
        startup_ms=Avg("startup_ms"),
        rebuffer_ms=Sum("rebuffer_ms"),
        watched=Sum("watched_seconds"),
    )
    watched_ms = (found["watched"] or 0) * 1000
    return {
        "sessions": found["sessions"],
        "startup_ms": round(found["startup_ms"]) if found["startup_ms"] is not None else None,
        "rebuffer_ms": found["rebuffer_ms"] or 0,
        "rebuffer_ratio": round((found["rebuffer_ms"] or 0) / watched_ms, 4) if watched_ms else 0.0,
    }


def amount(currency: str, minor: int) -> dict:
    return {"currency": currency, "amount": money.to_text(minor, currency)}
