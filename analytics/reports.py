"""The reports of the dashboards. They read only, each with a fixed number of queries."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from uuid import UUID

from django.db.models import Count, Q

from accounts.models import User
from analytics import figures
from analytics.comparing import change
from analytics.figures import Counts, Figures, Played
from analytics.rows import (
    Amount,
    Bucket,
    Comparison,
    CreatorReport,
    Earning,
    PlatformReport,
    Queue,
    RevenueLine,
    TopCreator,
    Totals,
    VideoReport,
    VideoRow,
)
from analytics.scope import Scope
from config import money
from payments.books import reports as money_reports
from payments.books.reports import RevenueRow
from videos.models import Video

VIDEOS_MAX = 100
TOP_CREATORS = 10
# The revenue of a scope, and its earnings in minor units by currency.
Money = tuple[list[RevenueRow], dict[str, int]]


def creator_report(scope: Scope, creator_id: UUID, *, compares: bool = False) -> CreatorReport:
    """Return the dashboard of this creator, over the scope's period and, if it names one, its video.

    ``compares`` adds the totals of the period before.
    """
    scope = replace(scope, creator_id=creator_id)
    money_of = _money_of_creator(creator_id)
    counted, played = figures.counts(scope), figures.played(scope, videos=True)
    by_source = money_reports.creator_series(creator_id, scope.period, "source", scope.video_id)
    totals = _totals(played, money_of(scope), counted)
    return CreatorReport(
        totals=totals,
        series=_series(scope, played),
        sources=played.sources,
        quality=played.quality,
        comparison=_comparison(scope, totals, money_of) if compares else None,
        videos=_videos(scope, played, counted),
        earnings_by_source=[
            Earning(str(row.bucket), row.currency, money.to_text(row.earnings, row.currency))
            for row in by_source
        ],
    )


def platform_report(scope: Scope, *, compares: bool = False) -> PlatformReport:
    """Return the dashboard over all videos, or over the scope's one; earnings are the platform's.

    ``compares`` adds the totals of the period before.
    """
    revenue, earned = _money_of_platform(scope)
    counted, played = figures.counts(scope), figures.played(scope, videos=True, creators=True)
    by_source = money_reports.platform_by_source(scope.period, scope.video_id)
    totals = _totals(played, (revenue, earned), counted)
    return PlatformReport(
        totals=totals,
        series=_series(scope, played),
        sources=played.sources,
        quality=played.quality,
        comparison=_comparison(scope, totals, _money_of_platform) if compares else None,
        videos=_videos(scope, played, counted),
        earnings_by_source=[
            Earning(source, currency, money.to_text(amount, currency))
            for (source, currency), amount in by_source.items()
            if amount
        ],
        revenue=_lines(revenue),
        active_subscriptions=sum(row.active_subscriptions for row in revenue),
        top_creators=_top_creators(played),
        processing_queue=_processing_queue(),
    )


def video_report(scope: Scope, video: Video, *, compares: bool = False) -> VideoReport:
    """Return the report of ``video``, which must be the scope's video.

    ``compares`` adds the totals of the period before.
    """
    money_of = _money_of_creator(video.creator_id)
    played = figures.played(scope)
    totals = _totals(played, money_of(scope), figures.counts(scope))
    return VideoReport(
        totals=totals,
        series=_series(scope, played),
        sources=played.sources,
        quality=played.quality,
        comparison=_comparison(scope, totals, money_of) if compares else None,
        retention=figures.retention(scope, video.duration_seconds or 0.0),
    )


def _money_of_creator(creator_id: UUID) -> Callable[[Scope], Money]:
    """Return the function that gives the money of a scope, with a creator's earnings: two queries."""

    def money_of(scope: Scope) -> Money:
        revenue = money_reports.purchases(
            scope.period, creator_id=scope.creator_id, video_id=scope.video_id
        )
        return revenue, money_reports.creator_earned(creator_id, scope.period, scope.video_id)

    return money_of


def _money_of_platform(scope: Scope) -> Money:
    revenue = money_reports.platform_totals(scope.period, scope.video_id)
    return revenue, {row.currency: row.platform_share for row in revenue}


def _comparison(scope: Scope, totals: Totals, money_of: Callable[[Scope], Money]) -> Comparison:
    before = replace(scope.before, interval="month")  # its series is not shown
    earlier = _totals(figures.played(before), money_of(before), figures.counts(before))
    return Comparison(
        begins_at=before.start.astimezone(scope.zone),
        ends_at=before.end.astimezone(scope.zone),
        totals=earlier,
        change=change(earlier, totals),
    )


def _totals(played: Played, booked: Money, counted: dict[UUID, Counts]) -> Totals:
    revenue, earned = booked
    total = played.total

    def money_of(*names: str) -> list[Amount]:
        return _amounts(
            {row.currency: sum(getattr(row, name) for name in names) for row in revenue}
        )

    return Totals(
        views=total.views,
        unique_viewers=total.unique_viewers,
        watch_seconds=round(total.watch_seconds, 1),
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


def _videos(scope: Scope, played: Played, counted: dict[UUID, Counts]) -> list[VideoRow]:
    """Return the scope's videos with their figures of the period, most viewed first: two queries.

    At most VIDEOS_MAX. All videos of a creator, and of the platform the videos with a view, a session,
    a sale, money or a reaction in the period.
    """
    of_video = played.videos
    booked = money_reports.purchases_by_video(
        scope.period, creator_id=scope.creator_id, video_id=scope.video_id
    )
    if scope.creator_id:
        videos = Video.objects.filter(creator_id=scope.creator_id)
        videos = videos.filter(pk=scope.video_id) if scope.video_id else videos
    else:
        videos = Video.objects.filter(pk__in=of_video.keys() | counted.keys() | booked.keys())
    rows = []
    for video in videos.only("title"):
        seen, counts = of_video.get(video.pk, Figures()), counted.get(video.pk, Counts())
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
                revenue=_lines(booked.get(video.pk, [])),
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
