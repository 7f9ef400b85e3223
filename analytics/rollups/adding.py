"""The views and the playback of a scope, from roll-ups and raw rows: each counted once.

Whether a day is read from the one or from the other changes no figure.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
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
from analytics.rollups.cells import Playback, begin_of
from analytics.rollups.models import Rollup, ViewerNumber
from analytics.rollups.plan import DAY
from analytics.rollups.reading import Reading
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
    accesses are not told apart. ``curves`` are the stored retention curves of days, if asked for.
    """

    steps: defaultdict[datetime, Playback] = field(default_factory=lambda: defaultdict(Playback))
    videos: defaultdict[UUID, Playback] = field(default_factory=lambda: defaultdict(Playback))
    creators: defaultdict[UUID, Playback] = field(default_factory=lambda: defaultdict(Playback))
    curves: dict[date, list[Any]] = field(default_factory=dict)

    def whole(self) -> Playback:
        """Return the playback of all steps together."""
        total = Playback()
        for playback in self.steps.values():
            total.merge(playback)
        return total


def add_up(
    scope: Scope, *, videos: bool = False, creators: bool = False, curves: bool = False
) -> tuple[Added, Added]:
    """Return the playback of a scope and, if it compares, of the period before: four queries.

    ``videos`` and ``creators`` are added up for the period itself only. ``curves`` are of one video.
    """
    made, earlier = Added(), Added()
    wanted = {Rollup.Kind.VIDEO: videos, Rollup.Kind.CREATOR: creators}
    kinds: list[str] = [kind for kind, is_wanted in wanted.items() if is_wanted]
    reading = Reading(scope, kinds, curves=curves)
    reading.add_steps(scope, made.steps)
    if scope.earlier:
        reading.add_steps(scope.earlier, earlier.steps)
    reading.read(made)
    _add_raw(scope, made, earlier, videos=videos, creators=creators)
    return made, earlier


def _add_raw(scope: Scope, made: Added, before: Added, *, videos: bool, creators: bool) -> None:
    """Add the raw rows of the plans, each read once for everything that it is part of: two queries."""
    steps = scope.steps
    times = [*(scope.earlier.plan.raw if scope.earlier else []), *scope.plan.raw]
    moments: dict[tuple[datetime, int], datetime] = {}

    def parts(
        earlier: int, local: datetime, span: int, video: UUID, creator: UUID
    ) -> list[Playback]:
        if earlier:
            return [before.steps[scope.start]]
        if (begin := moments.get((local, span))) is None:
            begin = moments[local, span] = steps.moment(local, span).astimezone(UTC)
        found = [made.steps[begin]]
        if videos:
            found.append(made.videos[video])
        if creators:
            found.append(made.creators[creator])
        return found

    views = (
        scope.views(times)
        .annotate(
            earlier=scope.is_earlier("at"),
            local=steps.local("at"),
            span=steps.span("at"),
            number=Subquery(NUMBER),
        )
        .values_list("earlier", "local", "span", "video_id", "creator_id", "number", "viewer_key")
    )
    for *place, number, viewer in views.iterator(chunk_size=2000):
        for part in parts(*place):
            part.views += 1
            if number is None:
                part.strangers.add(viewer)
            else:
                part.viewers.add(number)
    sessions = (
        scope.sessions(times)
        .annotate(
            earlier=scope.is_earlier("created_at"),
            local=steps.local("created_at"),
            span=steps.span("created_at"),
        )
        .values_list("earlier", "local", "span", "video_id", "video__creator_id", "access")
        .annotate(**SUMS)
    )
    for earlier, local, span, video, creator, access, *sums in sessions:
        for part in parts(earlier, local, span, video, creator):
            part.play(access, sums)


def retention(scope: Scope, duration: float, curves: dict[date, list[Any]]) -> Curve:
    """Return the retention curve of the scope's video, whose length is ``duration``: one query.

    ``curves`` are those that `add_up` has read, also of days that do not count here. They are of whole
    days (UTC). Where the period cuts a day, or the video had another length, the raw sessions are read;
    of a pruned day the whole day counts, laid over the video's length.
    """
    curve, times = Curve(duration), list(scope.plan.raw)
    kept = [*scope.plan.whole, *(day for day in scope.plan.cut if day in scope.plan.pruned)]
    for day in kept:
        if day not in curves:
            continue
        length, *counts = curves[day]
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
