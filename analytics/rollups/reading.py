"""Reading the roll-ups of a report: all with one statement, each row for everything it is part of."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, Protocol
from uuid import UUID

from django.db.models import (
    BinaryField,
    CharField,
    F,
    JSONField,
    Q,
    QuerySet,
    TextField,
    Value,
)
from django.db.models.functions import Cast

from analytics.rollups.cells import Playback, begin_of, gather, unpack_set
from analytics.rollups.models import Rollup
from analytics.rollups.plan import DAY, QUARTERS, TIMES_MAX
from analytics.scope import Scope
from analytics.steps import Steps

# What a row is read for: the steps, or the videos and creators, by a whole day or by parts of it.
STEP, PARTS_OF_STEPS, REF, PART_OF_REF, MONTH = range(5)
COLUMNS = (
    "use", "kind_of", "name", "owner", "first", "views", "sessions", "watch_ms",
    "viewers_of", "sources_of", "cells_of", "curve",
)  # fmt: skip
NO_BYTES = Cast(Value(None, output_field=TextField()), BinaryField())
NO_JSON = Cast(Value(None, output_field=TextField()), JSONField())
Part = tuple[int, int]  # the number of the first quarter, and that after the last

Made = defaultdict[datetime, Playback]  # by the first moment of a step


class Target(Protocol):
    """Where the playback of videos and creators is added up."""

    videos: defaultdict[UUID, Playback]
    creators: defaultdict[UUID, Playback]
    curves: dict[date, list[Any]]


class Reading:
    """The roll-ups that a report reads, and what each is read for.

    ``kinds`` are those of the videos and creators that are added up for the scope's period. ``curves``
    has the stored retention curves read with the steps.
    """

    def __init__(self, scope: Scope, kinds: list[str], *, curves: bool = False) -> None:
        self.scope, self.kinds, self.curves = scope, kinds, curves
        self._days: dict[date, tuple[Made, datetime]] = {}
        self._parts: defaultdict[date, list[tuple[Part, Made, datetime]]] = defaultdict(list)
        self._ids: dict[str, UUID] = {}

    def add_steps(self, scope: Scope, made: Made) -> None:
        """Have the steps of a scope added up; those without a roll-up stay away."""
        cutter = Cutter(scope.steps)
        for day in scope.plan.whole:
            parts = cutter.parts(day, 0, QUARTERS)
            if len(parts) == 1:
                self._days[day] = made, parts[0][1]
            else:
                self._add(day, parts, made)
        for day, (first, after) in scope.plan.cut.items():
            self._add(day, cutter.parts(day, first, after), made)

    def _add(self, day: date, parts: list[tuple[Part, datetime]], made: Made) -> None:
        self._parts[day] += [(part, made, begin) for part, begin in parts]

    def read(self, made: Target) -> None:
        """Read the roll-ups, and add them to the steps and to the videos and creators: one query."""
        for use, kind, name, owner, first, *sums, viewers, sources, cells, curve in self._rows():
            if curve:
                made.curves[first] = curve
            if use == STEP:
                steps, begin = self._days[first]
                steps[begin].merge(Playback(sums[0], unpack_set(viewers), set(), sources))
            elif use == PARTS_OF_STEPS:
                into = sorted(self._parts[first], key=lambda each: each[0])
                found = gather(cells, [part for part, *_ in into])
                for (_, steps, begin), part in zip(into, found, strict=True):
                    if not part.is_empty:
                        steps[begin].merge(part)
            elif use == PART_OF_REF:
                (part,) = gather(cells, [self.scope.plan.cut[first]])
                for row in self._refs(made, kind, name, owner) if not part.is_empty else ():
                    row.merge(part)
            else:
                views, sessions, watch_ms = sums
                for row in self._refs(made, kind, name, owner):
                    row.views += views
                    row.viewers |= unpack_set(viewers)
                    row.play("", (sessions, watch_ms))

    def _refs(self, made: Target, kind: str, name: str, owner: str | None) -> list[Playback]:
        """Return what the roll-up of a video or creator is added to."""
        if kind == Rollup.Kind.CREATOR:
            return [made.creators[self._id(name)]]
        found = [made.videos[self._id(name)]] if Rollup.Kind.VIDEO in self.kinds else []
        # Of one video, there is no roll-up of its creator: the creator's figures are the video's.
        if self.scope.video_id and owner and Rollup.Kind.CREATOR in self.kinds:
            found.append(made.creators[self._id(owner)])
        return found

    def _id(self, text: str) -> UUID:
        """Return an id that the database gives as text, so that each is parsed once."""
        if (found := self._ids.get(text)) is None:
            found = self._ids[text] = UUID(text)
        return found

    def _rows(self) -> Iterable[tuple[Any, ...]]:
        scope, plan = self.scope, self.scope.plan
        whole, parts = scope.rollups(), set(self._parts)
        wanted: list[tuple[int, QuerySet[Any], Iterable[date]]] = [
            (STEP, whole, self._days),
            (PARTS_OF_STEPS, whole, parts),
        ]
        if self.kinds:
            refs, months = scope.rollups_of(self.kinds), scope.months_of(self.kinds)
            wanted += [
                (REF, refs, plan.loose),
                (PART_OF_REF, refs, plan.cut),
                (MONTH, months, plan.months),
            ]
        branches = [self._branch(use, rows, days) for use, rows, days in wanted if days]
        if not branches:
            return []
        # Each branch has an index of its own; one condition with OR would read the whole table.
        first, *others = branches
        return first.union(*others, all=True).iterator(chunk_size=2000)

    def _branch(self, use: int, rows: QuerySet[Any], days: Iterable[date]) -> QuerySet[Any, Any]:
        is_month = use == MONTH
        has_cells = use in {PARTS_OF_STEPS, PART_OF_REF}
        name = "month" if is_month else "day"
        return (
            rows.filter(_at(name, days))
            .annotate(
                use=Value(use),
                kind_of=F("kind"),
                name=Cast("ref", CharField(max_length=36)),
                owner=Cast("creator", CharField(max_length=36)),
                first=F(name),
                viewers_of=NO_BYTES if has_cells else F("viewers"),
                sources_of=F("sources") if use == STEP else NO_JSON,
                cells_of=F("cells") if has_cells else NO_BYTES,
                curve=F("retention") if self.curves and use in {STEP, PARTS_OF_STEPS} else NO_JSON,
            )
            .values_list(*COLUMNS)
        )


def _at(name: str, days: Iterable[date]) -> Q:
    """Return the condition that a day is one of these, by ranges where they follow each other."""
    ordered = sorted(days)
    ranges: list[list[date]] = []
    for day in ordered:
        if ranges and day - ranges[-1][1] == DAY:
            ranges[-1][1] = day
        else:
            ranges.append([day, day])
    if len(ranges) > TIMES_MAX or name == "month":
        return Q(**{f"{name}__in": ordered})
    condition = Q()
    for first, last in ranges:
        condition |= Q(**{f"{name}__range": (first, last)})
    return condition


class Cutter:
    """The parts of days that lie in one step each."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._guess = 0  # where a step began on the day before: the same in all days of a span

    def parts(self, day: date, first: int, after: int) -> list[tuple[Part, datetime]]:
        """Return the parts of the quarters from ``first`` to just before ``after``, with their steps."""
        low, high = self._begin(day, first), self._begin(day, after - 1)
        if low == high:
            return [((first, after), low)]
        guess = self._guess
        if (
            first < guess < after
            and self._begin(day, guess - 1) == low
            and (self._begin(day, guess) == high)
        ):
            return [((first, guess), low), ((guess, after), high)]
        found: list[tuple[Part, datetime]] = []
        self._split(day, (first, low), (after - 1, high), found)
        bounds = [*(part[0] for part, _ in found), after]
        self._guess = bounds[1]
        return [
            ((begin, end), step)
            for begin, end, (_, step) in zip(bounds, bounds[1:], found, strict=False)
        ]

    def _split(
        self,
        day: date,
        low: tuple[int, datetime],
        high: tuple[int, datetime],
        found: list[tuple[Part, datetime]],
    ) -> None:
        """Add the first quarter of each step between two quarters, both included, in order."""
        if low[1] == high[1]:
            if not found or found[-1][1] != low[1]:
                found.append(((low[0], low[0]), low[1]))
            return
        if high[0] - low[0] == 1:
            self._split(day, low, low, found)
            self._split(day, high, high, found)
            return
        middle = (low[0] + high[0]) // 2
        step = self._begin(day, middle)
        self._split(day, low, (middle, step), found)
        self._split(day, (middle, step), high, found)

    def _begin(self, day: date, quarter: int) -> datetime:
        return self._steps.begin(begin_of(day, quarter))
