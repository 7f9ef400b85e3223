"""The scope of a report: its period, its videos, and the steps of its series."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from uuid import UUID

from django.db.models import Case, IntegerField, Q, QuerySet, Value, When

from analytics.models import Reaction, VideoView
from analytics.rollups.models import Rollup, RollupMonth
from analytics.rollups.plan import Plan, Time, make_plans
from analytics.steps import Steps, before
from streaming.models import UNCOUNTED, PlaybackSession

COUNTED = ~Q(access__in=UNCOUNTED)  # the sessions with PlaybackSession.counts, in SQL


@dataclass(frozen=True)
class Scope:
    """The period of a report (``start`` ≤ t < ``end``) and its videos: all, a creator's, or one.

    With ``compares`` a report has the totals of the period before, too: see ``earlier``.
    """

    start: datetime
    end: datetime
    interval: str = "day"
    zone: tzinfo = UTC
    creator_id: UUID | None = None
    video_id: UUID | None = None
    compares: bool = False
    planned: Plan | None = field(default=None, repr=False, compare=False)

    @cached_property
    def plan(self) -> Plan:
        """Which days are read from roll-ups, and which times from raw rows."""
        return self.planned or self._plans[0]

    @cached_property
    def earlier(self) -> "Scope | None":
        """The same scope over the period before, if the report compares. Its series is not shown."""
        if not self.compares:
            return None
        start, end = self.before
        return replace(
            self, start=start, end=end, interval="month", compares=False, planned=self._plans[1]
        )

    @cached_property
    def _plans(self) -> list[Plan]:
        """The plans for the period and, if the report compares, for the one before: one query, once."""
        periods = [(self.start, self.end)]
        return make_plans(*periods, self.before) if self.compares else make_plans(*periods)

    @cached_property
    def steps(self) -> Steps:
        return Steps.over(self.start, self.end, self.interval, self.zone)

    def rollups(self) -> QuerySet[Rollup]:
        """Return the roll-ups of the scope as a whole, on any day: one row a day."""
        if self.video_id:
            return self.rollups_of([Rollup.Kind.VIDEO])
        if self.creator_id:
            return Rollup.objects.filter(kind=Rollup.Kind.CREATOR, ref=self.creator_id)
        return Rollup.objects.filter(kind=Rollup.Kind.ALL)

    def rollups_of(self, kinds: list[str]) -> QuerySet[Rollup]:
        """Return the roll-ups of the scope's videos, creators or both on any day: one row each a day."""
        return Rollup.objects.filter(self._refs(kinds))

    def months_of(self, kinds: list[str]) -> QuerySet[RollupMonth]:
        """Return the roll-ups of the scope's videos, creators or both in any month."""
        return RollupMonth.objects.filter(self._refs(kinds))

    def _refs(self, kinds: list[str]) -> Q:
        condition = Q(kind__in=kinds)
        if self.video_id:
            condition = Q(kind=Rollup.Kind.VIDEO, ref=self.video_id)
        if self.creator_id:
            condition &= Q(creator=self.creator_id)
        return condition

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
        """The reactions that were given in the period and, if the report compares, in the one before."""
        return Reaction.objects.filter(_at("at", [self.whole]), self._videos("video"))

    @property
    def before(self) -> Time:
        """The period before, which is as long on the zone's clock."""
        return before(self.start, self.end, self.zone)

    @property
    def whole(self) -> Time:
        """The time that a report reads: the period and, if it compares, the one before."""
        return (self.before[0] if self.compares else self.start), self.end

    def is_earlier(self, moment: str) -> Case:
        """Return 1 for a moment in the period before, and 0 for one in the period, in SQL."""
        return Case(
            When(**{f"{moment}__lt": self.start}, then=Value(1)),
            default=Value(0),
            output_field=IntegerField(),
        )

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
