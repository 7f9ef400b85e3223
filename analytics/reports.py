"""Dashboards: read side. Every report costs a fixed number of queries."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Avg, Count, Q, Sum
from django.db.models.functions import TruncDay, TruncHour, TruncMonth, TruncWeek

from analytics.models import Reaction, VideoView
from config import money
from payments import reports as money_reports
from payments.models import Order
from streaming.models import PlaybackSession
from videos.models import ProcessingJob, Video

TRUNC = {"hour": TruncHour, "day": TruncDay, "week": TruncWeek, "month": TruncMonth}
COUNTED = ~Q(access__in=["owner", "admin"])
TOP = 100
RETENTION_BUCKETS = 200


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose films, and when: ``start`` ≤ t < ``end``."""

    start: datetime
    end: datetime
    interval: str = "day"
    creator_id: object | None = None
    video_id: object | None = None

    def of(self, video: str, time: str) -> Q:
        """The condition on rows that reach their film by ``video`` and their moment by ``time``."""
        condition = Q(**{f"{time}__gte": self.start, f"{time}__lt": self.end})
        if self.creator_id:
            condition &= Q(**{f"{video}__creator_id": self.creator_id})
        if self.video_id:
            condition &= Q(**{f"{video}_id": self.video_id})
        return condition

    @property
    def views(self):
        return VideoView.objects.filter(self.of("video", "at"))

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


def totals(scope: Scope) -> dict:
    """Views, viewers, watch time, reactions, purchases and gross of a scope: five queries."""
    viewed = scope.views.aggregate(
        views=Count("pk"), unique_viewers=Count("viewer_key", distinct=True)
    )
    watched = scope.sessions.aggregate(total=Sum("watched_seconds"))["total"] or 0
    reacted = scope.reactions.aggregate(
        likes=Count("pk", filter=Q(value=Reaction.Value.LIKE)),
        dislikes=Count("pk", filter=Q(value=Reaction.Value.DISLIKE)),
    )
    sold = list(scope.sales.values("currency").annotate(count=Count("pk"), gross=Sum("amount")))
    return {
        **viewed,
        "watch_seconds": round(watched, 1),
        **reacted,
        "purchases": sum(row["count"] for row in sold),
        "gross": [amount(row["currency"], row["gross"]) for row in sold],
    }


def series(scope: Scope) -> list[dict]:
    """One row a bucket in which anything happened: two queries."""
    trunc = TRUNC[scope.interval]
    rows: dict[datetime, dict] = {}
    viewed = (
        scope.views.annotate(bucket=trunc("at"))
        .values("bucket")
        .annotate(views=Count("pk"), unique_viewers=Count("viewer_key", distinct=True))
    )
    watched = (
        scope.sessions.annotate(bucket=trunc("created_at"))
        .values("bucket")
        .annotate(sessions=Count("pk"), watch_seconds=Sum("watched_seconds"))
    )
    empty = {"views": 0, "unique_viewers": 0, "sessions": 0, "watch_seconds": 0.0}
    for found in (viewed, watched):
        for row in found:
            rows.setdefault(row["bucket"], {"bucket": row["bucket"], **empty}).update(row)
    return [
        {**row, "watch_seconds": round(row["watch_seconds"] or 0, 1)}
        for _, row in sorted(rows.items())
    ]


def videos(scope: Scope) -> list[dict]:
    """The films of a scope with what happened to them, most viewed first: four queries."""
    viewed = dict(_by_video(scope.views, Count("pk")))
    unique = dict(_by_video(scope.views, Count("viewer_key", distinct=True)))
    watched = dict(_by_video(scope.sessions, Sum("watched_seconds")))
    sold = dict(_by_video(scope.sales, Count("pk")))
    ids = set(viewed) | set(watched) | set(sold)
    films = (
        Video.objects.filter(pk__in=ids)
        if not scope.creator_id
        else Video.objects.filter(creator_id=scope.creator_id)
    )
    rows = [
        {
            "id": film.pk,
            "title": film.title,
            "views": viewed.get(film.pk, 0),
            "unique_viewers": unique.get(film.pk, 0),
            "watch_seconds": round(watched.get(film.pk) or 0, 1),
            "likes": film.likes,
            "dislikes": film.dislikes,
            "purchases": sold.get(film.pk, 0),
        }
        for film in films.only("title", "likes", "dislikes")
    ]
    rows.sort(key=lambda row: (-row["views"], -row["watch_seconds"], row["title"]))
    return rows[:TOP]


def creator_report(scope: Scope) -> dict:
    earned = money_reports.creator_totals(scope.creator_id, scope.period)
    found = totals(scope)
    found["earnings"] = [amount(row["currency"], row["earnings"]) for row in earned]
    return {"totals": found, "series": series(scope), "videos": videos(scope)}


def platform_report(scope: Scope) -> dict:
    revenue = money_reports.platform_totals(scope.period)
    found = totals(scope)
    found["earnings"] = [amount(row["currency"], row["platform_share"]) for row in revenue]
    return {
        "totals": found,
        "series": series(scope),
        "videos": videos(scope),
        "revenue": [
            {
                name: money.to_text(row[name], row["currency"]) if name != "currency" else row[name]
                for name in ("currency", "gross", "refunds", "creator_share", "platform_share")
            }
            for row in revenue
        ],
        "active_subscriptions": sum(row["active_subscriptions"] for row in revenue),
        "top_creators": top_creators(scope),
        "processing_queue": processing_queue(),
    }


def top_creators(scope: Scope) -> list[dict]:
    rows = (
        scope.views.values("creator_id", "creator__display_name")
        .annotate(views=Count("pk"), unique_viewers=Count("viewer_key", distinct=True))
        .order_by("-views")[:10]
    )
    return [
        {
            "id": row["creator_id"],
            "display_name": row["creator__display_name"],
            "views": row["views"],
            "unique_viewers": row["unique_viewers"],
        }
        for row in rows
    ]


def processing_queue() -> dict:
    counted = dict(
        ProcessingJob.objects.filter(state__in=["queued", "running"])
        .values_list("state")
        .annotate(count=Count("pk"))
    )
    failed = Video.objects.alive().filter(status=Video.Status.FAILED).count()
    return {
        "queued": counted.get("queued", 0),
        "running": counted.get("running", 0),
        "failed_films": failed,
    }


def video_report(scope: Scope, video: Video) -> dict:
    found = totals(scope)
    found["earnings"] = [
        amount(row["currency"], row["earnings"])
        for row in money_reports.video_earnings(video.pk, scope.period)
    ]
    return {
        "totals": found,
        "series": series(scope),
        "retention": retention(scope, video.duration_seconds or 0.0),
        "quality": quality(scope),
    }


def retention(scope: Scope, duration: float) -> list[dict]:
    """How many sessions played each second, in at most RETENTION_BUCKETS buckets of the film."""
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


def _by_video(rows, what):
    return rows.values_list("video_id").annotate(what=what).values_list("video_id", "what")
