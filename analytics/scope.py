"""The scope of a report: its period, its videos, and the steps of its series."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from uuid import UUID

from django.db.models import Q, QuerySet

from analytics.models import Reaction, VideoView
from analytics.rollups.models import Rollup
from analytics.rollups.plan import Plan, Time, make_plan
from analytics.steps import Steps, before
from payments.books import reports as money_reports
from streaming.models import UNCOUNTED, PlaybackSession

COUNTED = ~Q(access__in=UNCOUNTED)  # the sessions with PlaybackSession.counts, in SQL


@dataclass(frozen=True)
class Scope:
    """The period of a report (``start`` ≤ t < ``end``) and its videos: all, a creator's, or one."""

    start: datetime
    end: datetime
    interval: str = "day"
    zone: tzinfo = UTC
    creator_id: UUID | None = None
    video_id: UUID | None = None

    @cached_property
    def plan(self) -> Plan:
        """Which days are read from roll-ups, and which times from raw rows: one query, once."""
        return make_plan(self.start, self.end)

    @cached_property
    def steps(self) -> Steps:
        return Steps.over(self.start, self.end, self.interval, self.zone)

    def rollups(self, kind: str | None = None) -> QuerySet[Rollup]:
        """Return the roll-ups of the scope's videos on any day.

        They are one row a day for the scope as a whole, or one for each video or creator of it.
        """
        rows = Rollup.objects.all()
        if self.video_id:
            rows = rows.filter(kind=Rollup.Kind.VIDEO, ref=self.video_id)
            return rows.filter(creator=self.creator_id) if self.creator_id else rows
        if kind == Rollup.Kind.VIDEO and self.creator_id:
            return rows.filter(creator=self.creator_id)
        if self.creator_id:
            return rows.filter(kind=Rollup.Kind.CREATOR, ref=self.creator_id)
        return rows.filter(kind=kind or Rollup.Kind.ALL)

    def views(self, times: list[Time]) -> QuerySet[VideoView]:
        """Return the scope's views at these times."""
        # A view holds its creator, so the index on (creator, at) serves a dashboard.
        views = VideoView.objects.filter(_at("at", times))
        if self.creator_id:
            views = views.filter(creator_id=self.creator_id)
        return views.filter(video_id=self.video_id) if self.video_id else views

    def sessions(self, times: list[Time]) -> QuerySet[PlaybackSession]:
        """Return the scope's sessions that began at these times and count."""
        return PlaybackSession.objects.filter(
            COUNTED, _at("created_at", times), self._videos("video")
        )

    @property
    def reactions(self) -> QuerySet[Reaction]:
        return Reaction.objects.filter(_at("at", [(self.start, self.end)]), self._videos("video"))

    @property
    def before(self) -> "Scope":
        """Return the same scope over the period before, which is as long on the zone's clock."""
        start, end = before(self.start, self.end, self.zone)
        return replace(self, start=start, end=end)

    @property
    def period(self) -> money_reports.Period:
        return money_reports.Period(self.start, self.end)

    def _videos(self, video: str) -> Q:
        condition = Q()
        if self.creator_id:
            condition &= Q(**{f"{video}__creator_id": self.creator_id})
        if self.video_id:
            condition &= Q(**{f"{video}_id": self.video_id})
        return condition


def _at(name: str, times: list[Time]) -> Q:
    """Return the condition that the moment in a field lies in one of the times."""
    condition = Q()
    for start, end in times:
        condition |= Q(**{f"{name}__gte": start, f"{name}__lt": end})
    return condition if times else Q(pk__in=[])
