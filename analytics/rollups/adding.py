"""The views and the playback of a scope, from roll-ups and raw rows: each counted once.

Whether a day is read from the one or from the other changes no figure.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from django.db.models import (
    BigIntegerField,
    Count,
    F,
    FloatField,
    Func,
    OuterRef,
    Q,
    Subquery,
    Sum,
    Value,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce, Least

from analytics.retention import Curve
from analytics.rollups.cells import QUARTER, Playback, begin_of, unpack, unpack_set
from analytics.rollups.models import Rollup, ViewerNumber
from analytics.rollups.plan import DAY, QUARTERS
from analytics.scope import Scope

REAL = FloatField()
NUMBER = ViewerNumber.objects.filter(viewer_key=OuterRef("viewer_key")).values("pk")
HEARD = Q(last_heartbeat_at__isnull=False)


def _ms(seconds: Combinable) -> Cast:
    """Return seconds, which are stored with three decimals, as whole milliseconds."""
    return Cast(
        Func(seconds * Value(1000.0), function="ROUND", output_field=REAL), BigIntegerField()
    )


# In the order of analytics.rollups.cells. Of the watched seconds, those that were never delivered count
# nothing, except for the ratio of stalling.
SUMS = {
    "sessions": Count("pk"),
    "watch_ms": Sum(_ms(Least(F("watched_seconds"), Cast("delivered_seconds", REAL)))),
    "heard": Count("pk", filter=HEARD),
    "startups": Count("startup_ms", filter=HEARD),
    "startup_sum": Coalesce(Sum("startup_ms", filter=HEARD), 0),
    "rebuffer_sum": Coalesce(Sum("rebuffer_ms", filter=HEARD), 0),
    "heard_ms": Coalesce(Sum(_ms(F("watched_seconds")), filter=HEARD), 0),
}


@dataclass(slots=True)
class Added:
    """The playback of a scope by the first moment of its steps, and of its videos and creators by id.

    Only steps, videos and creators with a view or a session are there. Of videos and creators, the
    accesses are not told apart.
    """

    steps: defaultdict[datetime, Playback] = field(default_factory=lambda: defaultdict(Playback))
    videos: defaultdict[UUID, Playback] = field(default_factory=lambda: defaultdict(Playback))
    creators: defaultdict[UUID, Playback] = field(default_factory=lambda: defaultdict(Playback))

    def whole(self) -> Playback:
        """Return the playback of all steps together."""
        total = Playback()
        for playback in self.steps.values():
            total.merge(playback)
        return total


def add_up(scope: Scope, *, videos: bool = False, creators: bool = False) -> Added:
    """Return the playback of a scope: five queries, and two more each for its videos and creators."""
    added = Added()
    _add_steps(scope, added.steps)
    if videos:
        _add_refs(scope, Rollup.Kind.VIDEO, added.videos)
    if creators:
        _add_refs(scope, Rollup.Kind.CREATOR, added.creators)
    _add_raw(scope, added, videos=videos, creators=creators)
    return added


def _add_steps(scope: Scope, made: defaultdict[datetime, Playback]) -> None:
    steps = scope.steps
    # A day of which every quarter lies in one step is added as a whole.
    whole = {
        day: begin
        for day in scope.plan.whole
        if (begin := steps.begin(begin_of(day))) == steps.begin(begin_of(day) + DAY - QUARTER)
    }
    rows = scope.rollups().filter(day__in=whole)
    for day, views, viewers, sources in rows.values_list("day", "views", "viewers", "sources"):
        made[whole[day]].merge(Playback(views, unpack_set(viewers), set(), sources))
    rows = scope.rollups().filter(day__in=[day for day in scope.plan.days if day not in whole])
    for day, cells in rows.values_list("day", "cells"):
        first, after = scope.plan.cut.get(day, (0, QUARTERS))
        for number, playback in unpack(cells):
            if first <= number < after:
                made[steps.begin(begin_of(day, number))].merge(playback)


def _add_refs(scope: Scope, kind: str, made: defaultdict[UUID, Playback]) -> None:
    rows = scope.rollups(kind).filter(day__in=scope.plan.whole)
    for ref, views, sessions, watch_ms, viewers in rows.values_list(
        "ref", "views", "sessions", "watch_ms", "viewers"
    ):
        row = made[ref]
        row.views += views
        row.viewers |= unpack_set(viewers)
        row.play("", (sessions, watch_ms))
    rows = scope.rollups(kind).filter(day__in=scope.plan.cut)
    for ref, day, cells in rows.values_list("ref", "day", "cells"):
        first, after = scope.plan.cut[day]
        for number, playback in unpack(cells):
            if first <= number < after:
                made[ref].merge(playback)


def _add_raw(scope: Scope, added: Added, *, videos: bool, creators: bool) -> None:
    """Add the raw rows of the plan, each read once for everything that it is part of: two queries."""
    steps = scope.steps
    moments: dict[tuple[datetime, int], datetime] = {}

    def parts(local: datetime, span: int, video: UUID, creator: UUID) -> list[Playback]:
        if (begin := moments.get((local, span))) is None:
            begin = moments[local, span] = steps.moment(local, span).astimezone(UTC)
        found = [added.steps[begin]]
        if videos:
            found.append(added.videos[video])
        if creators:
            found.append(added.creators[creator])
        return found

    views = (
        scope.views(scope.plan.raw)
        .annotate(local=steps.local("at"), span=steps.span("at"), number=Subquery(NUMBER))
        .values_list("local", "span", "video_id", "creator_id", "number", "viewer_key")
    )
    for *place, number, viewer in views.iterator(chunk_size=2000):
        for part in parts(*place):
            part.views += 1
            if number is None:
                part.strangers.add(viewer)
            else:
                part.viewers.add(number)
    sessions = (
        scope.sessions(scope.plan.raw)
        .annotate(local=steps.local("created_at"), span=steps.span("created_at"))
        .values_list("local", "span", "video_id", "video__creator_id", "access")
        .annotate(**SUMS)
    )
    for local, span, video, creator, access, *sums in sessions:
        for part in parts(local, span, video, creator):
            part.play(access, sums)


def retention(scope: Scope, duration: float) -> Curve:
    """Return the retention curve of the scope's video, whose length is ``duration``: two queries.

    It is kept by whole days (UTC). Where the period cuts a day, or the video had another length, the raw
    sessions are read; of a pruned day the whole day counts, laid over the video's length.
    """
    curve, times = Curve(duration), list(scope.plan.raw)
    kept = [*scope.plan.whole, *(day for day in scope.plan.cut if day in scope.plan.pruned)]
    rows = scope.rollups().filter(day__in=kept, retention__isnull=False)
    for day, stored in rows.values_list("day", "retention"):
        length, *counts = stored or [0.0]
        if length == duration or day in scope.plan.pruned:
            curve.add_counts(length, counts)
        else:
            times.append((begin_of(day), begin_of(day) + DAY))
    # The raw pieces of a cut day lie within its part, which is read as a whole.
    parts = scope.plan.parts.values()
    times = [each for each in times if not any(a <= each[0] and each[1] <= b for a, b in parts)]
    sessions = scope.sessions([*times, *parts])
    for row in sessions.values_list("watched", "watched_seconds", "delivered_seconds").iterator(
        chunk_size=2000
    ):
        curve.add(*row)
    return curve
