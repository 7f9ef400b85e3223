"""The reports of the dashboards. They read only, each with a fixed number of queries."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Count, Q

from accounts.models import User
from analytics import figures
from analytics.comparing import change
from analytics.figures import Counted, Counts, Figures, Played
from analytics.rows import (
    Amount,
    Bucket,
    Comparison,
    CreatorReport,
    Earning,
    PlatformReport,
    QualityBucket,
    Queue,
    RevenueLine,
    TopCreator,
    Totals,
    VideoReport,
    VideoRow,
)
from analytics.scope import Scope
from config import money
from payments.books import dashboards
from payments.books.dashboards import Money
from payments.books.reports import Period, RevenueRow
from videos.models import Video

VIDEOS_MAX = 100
TOP_CREATORS = 10
Of = TypeVar("Of")
Both = tuple[Of, Of]  # of the period, and of the one before: empty if the report does not compare


def creator_report(scope: Scope, creator_id: UUID, *, compares: bool = False) -> CreatorReport:
    """Return the dashboard of this creator, over the scope's period and, if it names one, its video.

    ``compares`` adds the totals of the period before.
    """
    scope = replace(scope, creator_id=creator_id, compares=compares)
    counted, played = figures.counts(scope), figures.played(scope, videos=True)
    booked = _money_of_creator(scope, creator_id)
    return CreatorReport(
        **_shared(scope, played, counted, booked),
        videos=_videos(scope, played[0], counted[0], booked[0]),
        earnings_by_source=[
            Earning(source, currency, money.to_text(amount, currency))
            for (source, currency), amount in booked[0].earned_by_source.items()
        ],
    )


def platform_report(scope: Scope, *, compares: bool = False) -> PlatformReport:
    """Return the dashboard over all videos, or over the scope's one; earnings are the platform's.

    ``compares`` adds the totals of the period before.
    """
    scope = replace(scope, compares=compares)
    counted, played = figures.counts(scope), figures.played(scope, videos=True, creators=True)
    booked = dashboards.of_platform(
        Period(*scope.whole),
        scope.start,
        video_id=scope.video_id,
        sold_in=(counted[0].currencies, counted[1].currencies),
    )
    return PlatformReport(
        **_shared(scope, played, counted, booked),
        videos=_videos(scope, played[0], counted[0], booked[0]),
        earnings_by_source=[
            Earning(source, currency, money.to_text(amount, currency))
            for (source, currency), amount in booked[0].earned_by_source.items()
            if amount
        ],
        revenue=_lines(booked[0].revenue),
        active_subscriptions=booked[0].active_subscriptions,
        top_creators=_top_creators(played[0]),
        processing_queue=_processing_queue(),
    )


def video_report(scope: Scope, video: Video, *, compares: bool = False) -> VideoReport:
    """Return the report of ``video``, which must be the scope's video.

    ``compares`` adds the totals of the period before.
    """
    scope = replace(scope, compares=compares)
    counted, played = figures.counts(scope), figures.played(scope, curves=True)
    booked = _money_of_creator(scope, video.creator_id)
    return VideoReport(
        **_shared(scope, played, counted, booked),
        retention=figures.retention(scope, played[0], video.duration_seconds or 0.0),
    )


def _money_of_creator(scope: Scope, owner_id: UUID) -> Both[Money]:
    """Return the money of a scope's purchases, with a creator's earnings: two queries."""
    return dashboards.of_creator(
        owner_id,
        Period(*scope.whole),
        scope.start,
        creator_id=scope.creator_id,
        video_id=scope.video_id,
    )


def _shared(
    scope: Scope, played: Both[Played], counted: Both[Counted], booked: Both[Money]
) -> dict[str, Any]:
    """Return the part that all reports share, by the names of the fields of `Report`."""
    totals = _totals(played[0], booked[0], counted[0])
    comparison = None
    if scope.earlier:
        earlier = _totals(played[1], booked[1], counted[1])
        comparison = Comparison(
            begins_at=scope.earlier.start.astimezone(scope.zone),
            ends_at=scope.earlier.end.astimezone(scope.zone),
            totals=earlier,
            change=change(earlier, totals),
        )
    return {
        "totals": totals,
        "series": _series(scope, played[0]),
        "sources": played[0].sources,
        "quality": played[0].quality,
        "quality_series": [
            QualityBucket(bucket=moment.astimezone(scope.zone), **values)
            for moment, values in played[0].quality_steps
        ],
        "comparison": comparison,
    }


def _totals(played: Played, booked: Money, counted: Counted) -> Totals:
    revenue, total, of_videos = booked.revenue, played.total, counted.videos.values()

    def money_of(*names: str) -> list[Amount]:
        return _amounts(
            {row.currency: sum(getattr(row, name) for name in names) for row in revenue}
        )

    return Totals(
        views=total.views,
        unique_viewers=total.unique_viewers,
        watch_seconds=round(total.watch_seconds, 1),
        likes=sum(counts.likes for counts in of_videos),
        dislikes=sum(counts.dislikes for counts in of_videos),
        purchases=sum(counts.purchases for counts in of_videos),
        gross=money_of("gross"),
        refunds=money_of("refunds"),
        disputes=money_of("disputes"),
        creator_share=money_of("creator_share"),
        platform_share=money_of("platform_share"),
        promotions=money_of("promotions"),
        losses=money_of("losses"),
        waiting=money_of("deferred", "pool", "owed_back", "suspense"),
        earnings=_amounts(booked.earned),
    )


def _amounts(minor_by_currency: dict[str, int]) -> list[Amount]:
    """Return amounts in minor units as text, ordered by currency."""
    return [
        Amount(currency, money.to_text(minor, currency))
        for currency, minor in sorted(minor_by_currency.items())
    ]


def _lines(revenue: Iterable[RevenueRow]) -> list[RevenueLine]:
    return [
        RevenueLine(
            currency=row.currency,
            gross=money.to_text(row.gross, row.currency),
            refunds=money.to_text(row.refunds, row.currency),
            disputes=money.to_text(row.disputes, row.currency),
            creator_share=money.to_text(row.creator_share, row.currency),
            platform_share=money.to_text(row.platform_share, row.currency),
        )
        for row in revenue
    ]


def _series(scope: Scope, played: Played) -> list[Bucket]:
    """Return one row for each step with a view or a session, oldest first."""
    return [
        Bucket(
            bucket=moment.astimezone(scope.zone),
            views=row.views,
            unique_viewers=row.unique_viewers,
            sessions=row.sessions,
            watch_seconds=round(row.watch_seconds, 1),
        )
        for moment, row in played.steps
    ]


def _videos(scope: Scope, played: Played, counted: Counted, booked: Money) -> list[VideoRow]:
    """Return the scope's videos with their figures of the period, most viewed first: one query.

    At most VIDEOS_MAX. All videos of a creator, and of the platform the videos with a view, a session,
    a sale, money or a reaction in the period.
    """
    of_video = played.videos
    if scope.creator_id:
        videos = Video.objects.filter(creator_id=scope.creator_id)
        videos = videos.filter(pk=scope.video_id) if scope.video_id else videos
    else:
        known = of_video.keys() | counted.videos.keys() | booked.by_video.keys()
        videos = Video.objects.filter(pk__in=known)
    rows = []
    for video in videos.only("title"):
        seen = of_video.get(video.pk, Figures())
        counts = counted.videos.get(video.pk, Counts())
        rows.append(
            VideoRow(
                id=video.pk,
                title=video.title,
                views=seen.views,
                unique_viewers=seen.unique_viewers,
                watch_seconds=round(seen.watch_seconds, 1),
                likes=counts.likes,
                dislikes=counts.dislikes,
                purchases=counts.purchases,
                revenue=_lines(booked.by_video.get(video.pk, [])),
            )
        )
    rows.sort(key=lambda row: (-row.views, -row.watch_seconds, row.title))
    return rows[:VIDEOS_MAX]


def _top_creators(played: Played) -> list[TopCreator]:
    """Return the creators with the most views: one query."""
    rows = [(pk, row) for pk, row in played.creators.items() if row.views]
    rows.sort(key=lambda each: (-each[1].views, each[0]))
    del rows[TOP_CREATORS:]
    names = User.objects.only("display_name").in_bulk([pk for pk, _ in rows])
    return [
        TopCreator(
            id=pk,
            # Without a name for a creator whose account is gone.
            display_name=names.get(pk, User(pk=pk)).public_name,
            views=row.views,
            unique_viewers=row.unique_viewers,
        )
        for pk, row in rows
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
