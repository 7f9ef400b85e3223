"""The rows of the reports. Each field here is a column of a report and a field of the API.

``analytics.reports`` makes the rows, ``analytics.serializers`` derives the API document from them.
Amounts of money are decimal text in the row's currency.
"""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of money in one currency."""

    currency: str
    amount: str


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of a report over its whole period.

    In every report, gross - refunds - disputes = creator_share + platform_share - promotions - losses
    + waiting. The money is that of orders; for the whole platform, that of subscriptions too. Earnings
    are those of the creator, with the shares of the subscribers' pool, or those of the platform.
    """

    views: int
    unique_viewers: int
    watch_seconds: float
    likes: int = field(metadata={"help_text": "Given in the period, and not taken back."})
    dislikes: int = field(metadata={"help_text": "Given in the period, and not taken back."})
    purchases: int = field(
        metadata={"help_text": "Orders that were paid in the period, each once: the `sales`."}
    )
    gross: list[Amount] = field(metadata={"help_text": "Paid by buyers and subscribers."})
    refunds: list[Amount] = field(metadata={"help_text": "Given back to buyers in the period."})
    disputes: list[Amount] = field(
        metadata={"help_text": "Taken back by banks in the period, less what they returned."}
    )
    creator_share: list[Amount] = field(
        metadata={"help_text": "The creators' part, of discounts that the platform pays too."}
    )
    platform_share: list[Amount] = field(
        metadata={"help_text": "The platform's part, of discounts that it pays too."}
    )
    promotions: list[Amount] = field(metadata={"help_text": "Discounts paid by the platform."})
    losses: list[Amount] = field(
        metadata={"help_text": "Given back beyond the payment, by the platform."}
    )
    waiting: list[Amount] = field(
        metadata={
            "help_text": "Of subscriptions and not shared yet, or paid twice and not back yet."
        }
    )
    earnings: list[Amount] = field(
        metadata={"help_text": "With the part that subscriptions have earned."}
    )


@dataclass(frozen=True, slots=True)
class Bucket:
    """One interval of a series, named by its first moment. Empty intervals have no row."""

    bucket: datetime
    views: int
    unique_viewers: int
    sessions: int
    watch_seconds: float


@dataclass(frozen=True, slots=True)
class AmountChange:
    """How much an amount of one currency has changed."""

    currency: str
    percent: float | None


@dataclass(frozen=True, slots=True)
class Change:
    """The changes from the period before, in percent of its figures. null: its figure was 0."""

    views: float | None
    unique_viewers: float | None
    watch_seconds: float | None
    likes: float | None
    dislikes: float | None
    purchases: float | None
    gross: list[AmountChange]
    earnings: list[AmountChange]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The totals of the period before, which is as long on the clock of the report's time zone."""

    begins_at: datetime
    ends_at: datetime = field(metadata={"help_text": "Not included: the begin of the period."})
    totals: Totals
    change: Change


@dataclass(frozen=True, slots=True)
class RevenueLine:
    """The revenue of the platform, or of one video, in one currency."""

    currency: str
    gross: str
    refunds: str
    disputes: str
    creator_share: str
    platform_share: str


@dataclass(frozen=True, slots=True)
class VideoRow:
    """One video of a dashboard, with its figures of the period."""

    id: UUID
    title: str
    views: int
    unique_viewers: int
    watch_seconds: float
    likes: int
    dislikes: int
    purchases: int
    revenue: list[RevenueLine] = field(metadata={"help_text": "Of the orders of this video."})


@dataclass(frozen=True, slots=True)
class TopCreator:
    """One of the creators with the most views."""

    id: UUID
    display_name: str
    views: int
    unique_viewers: int


@dataclass(frozen=True, slots=True)
class Queue:
    """The state of video processing now."""

    queued: int
    running: int
    # The number of failed videos. The field keeps its old name, because clients of the API read it.
    failed_films: int


@dataclass(frozen=True, slots=True)
class Retention:
    """The number of sessions that played the part of the video that begins at ``second``."""

    second: float
    viewers: int


@dataclass(frozen=True, slots=True)
class PlaybackSource:
    """The playback that one kind of access made: free, order or subscription."""

    access: str
    sessions: int
    watch_seconds: float


@dataclass(frozen=True, slots=True)
class Earning:
    """The earnings from one source, sales or subscriptions, in one currency."""

    source: str
    currency: str
    amount: str


_RATIO = {"help_text": "Stalled time divided by watched time; 0 without watched time."}


@dataclass(frozen=True, slots=True)
class Quality:
    """Start-up and stalling, as the players reported them."""

    sessions: int
    startup_ms: int | None
    rebuffer_ms: int
    rebuffer_ratio: float = field(metadata=_RATIO)


@dataclass(frozen=True, slots=True)
class QualityBucket:
    """The quality of one interval, named by its first moment. Intervals without a report have no row."""

    bucket: datetime
    sessions: int
    startup_ms: int | None
    rebuffer_ms: int
    rebuffer_ratio: float = field(metadata=_RATIO)


@dataclass(frozen=True, slots=True)
class Report:
    """The part that all reports share."""

    totals: Totals
    series: list[Bucket]
    sources: list[PlaybackSource] = field(metadata={"help_text": "Playback by what gave access."})
    quality: Quality
    quality_series: list[QualityBucket]
    comparison: Comparison | None = field(
        metadata={"help_text": "With `compare=previous`: the period before. Otherwise null."}
    )


@dataclass(frozen=True, slots=True)
class CreatorReport(Report):
    """The dashboard of one creator."""

    videos: list[VideoRow]
    earnings_by_source: list[Earning]


@dataclass(frozen=True, slots=True)
class PlatformReport(CreatorReport):
    """The dashboard over all videos."""

    revenue: list[RevenueLine]
    active_subscriptions: int
    top_creators: list[TopCreator]
    processing_queue: Queue


@dataclass(frozen=True, slots=True)
class VideoReport(Report):
    """The report of one video."""

    retention: list[Retention]
