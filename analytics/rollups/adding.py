"""The views and the playback of a scope, from roll-ups and raw rows: each counted once.

Whether a day is read from the one or from the other changes no figure.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
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
from analytics.rollups.plan import DAY
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


def by_step(scope: Scope) -> dict[datetime, Playback]:
    """Return the playback of each step with a view or a session, by its first moment: four queries."""
    steps = scope.steps
    made: defaultdict[datetime, Playback] = defaultdict(Playback)
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
        first, after = scope.plan.cut.get(day, (0, 96))
        for number, playback in unpack(cells):
            if first <= number < after:
                made[steps.begin(begin_of(day, number))].merge(playback)
    for (local, span), row in _raw(
        scope,
        (steps.local("at"), steps.span("at")),
        (steps.local("created_at"), steps.span("created_at")),
    ).items():
        made[steps.moment(local, span).astimezone(UTC)].merge(row)
    return made


def by_ref(scope: Scope, kind: str) -> dict[UUID, Playback]:
    """Return the playback of each of the scope's videos or creators with a view or a session.

    Four queries. The playback's accesses are not told apart.
    """
    made: defaultdict[UUID, Playback] = defaultdict(Playback)
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
    of_video = kind == Rollup.Kind.VIDEO
    keys = (F("video_id"), F("video_id")) if of_video else (F("creator_id"), F("video__creator_id"))
    for (ref, _), row in _raw(scope, (keys[0], Value(0)), (keys[1], Value(0))).items():
        made[ref].merge(row)
    return made


def retention(scope: Scope, duration: float) -> Curve:
    """Return the retention curve of the scope's video, whose length is ``duration``: two queries.

    It is kept by whole days (UTC). Where the period cuts a day, or the video had another length, the raw
    sessions are read; of a pruned day the whole day counts, laid over the video's length.
    """
    curve, times = Curve(duration), list(scope.plan.raw)
    kept = [*scope.plan.whole, *(day for day in scope.plan.cut if day in scope.plan.pruned)]
    rows = scope.rollups().filter(day__in=kept, retention__isnull=False)
    for day, (length, *counts) in rows.values_list("day", "retention"):
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


def whole(steps: Iterable[Playback]) -> Playback:
    """Return the playback of all steps together."""
    total = Playback()
    for playback in steps:
        total.merge(playback)
    return total


def _raw(
    scope: Scope,
    view_keys: tuple[Combinable, Combinable],
    session_keys: tuple[Combinable, Combinable],
) -> dict[tuple[Any, int], Playback]:
    """Return the playback in the raw rows of the plan by a key and a span: two queries."""
    made: defaultdict[tuple[Any, int], Playback] = defaultdict(Playback)
    views = (
        scope.views(scope.plan.raw)
        .annotate(key=view_keys[0], part=view_keys[1], number=Subquery(NUMBER))
        .values_list("key", "part", "number", "viewer_key")
        .annotate(views=Count("pk"))
    )
    for key, part, number, viewer, count in views.iterator(chunk_size=2000):
        row = made[key, part]
        row.views += count
        if number is None:
            row.strangers.add(viewer)
        else:
            row.viewers.add(number)
    sessions = (
        scope.sessions(scope.plan.raw)
        .annotate(key=session_keys[0], part=session_keys[1])
        .values_list("key", "part", "access")
        .annotate(**SUMS)
    )
    for key, part, access, *sums in sessions:
        made[key, part].play(access, sums)
    return made
