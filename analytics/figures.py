"""The figures of views, playback, sales and reactions that all reports are made of.

Each function costs a fixed number of queries, for the period and the one before together, and each
figure is counted in one place: here.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Q

from analytics.models import Reaction
from analytics.rollups import adding
from analytics.rollups.adding import Added
from analytics.rollups.cells import (
    HEARD,
    HEARD_MS,
    REBUFFER_MS,
    SESSIONS,
    STARTUP_MS,
    STARTUPS,
    WATCH_MS,
    Playback,
)
from analytics.rows import PlaybackSource, Quality, Retention
from analytics.scope import Scope
from payments.books import reports as money_reports


@dataclass(slots=True)
class Figures:
    """Views and playback of one interval or one video."""

    views: int = 0
    unique_viewers: int = 0
    sessions: int = 0
    watch_seconds: float = 0.0


@dataclass(slots=True)
class Counts:
    """The sales and the reactions of one video in a period."""

    purchases: int = 0
    likes: int = 0
    dislikes: int = 0


@dataclass(slots=True)
class Counted:
    """The sales and the reactions of a period by video, and the currencies of its sales."""

    videos: defaultdict[UUID, Counts] = field(default_factory=lambda: defaultdict(Counts))
    currencies: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Played:
    """The views and the playback of a scope: as a whole, by step, by access, and how well it ran."""

    _added: Added
    whole: Playback

    @property
    def total(self) -> Figures:
        return _figures(self.whole)

    @property
    def steps(self) -> list[tuple[datetime, Figures]]:
        """The figures of each step that has a view or a session, oldest first."""
        return [(moment, _figures(row)) for moment, row in sorted(self._added.steps.items())]

    @property
    def videos(self) -> dict[UUID, Figures]:
        """The figures of each video that has a view or a session, if they were asked for."""
        return {video_id: _figures(row) for video_id, row in self._added.videos.items()}

    @property
    def curves(self) -> dict[date, list[Any]]:
        """The stored retention curves by day, if they were asked for."""
        return self._added.curves

    @property
    def creators(self) -> dict[UUID, Figures]:
        """The figures of each creator whose videos have any, if they were asked for."""
        return {creator_id: _figures(row) for creator_id, row in self._added.creators.items()}

    @property
    def sources(self) -> list[PlaybackSource]:
        """The sessions by what gave them access, most sessions first."""
        rows = [
            PlaybackSource(access, sums[SESSIONS], round(sums[WATCH_MS] / 1000, 1))
            for access, sums in self.whole.by_access.items()
        ]
        return sorted(rows, key=lambda row: (-row.sessions, row.access))

    @property
    def quality(self) -> Quality:
        """Start-up and stalling of the sessions with a heartbeat."""
        return Quality(**_quality(self.whole))

    @property
    def quality_steps(self) -> list[tuple[datetime, dict[str, Any]]]:
        """The values of `Quality` for each step that has a session with a heartbeat, oldest first."""
        steps = [(moment, _quality(row)) for moment, row in sorted(self._added.steps.items())]
        return [(moment, values) for moment, values in steps if values["sessions"]]


def played(
    scope: Scope, *, videos: bool = False, creators: bool = False, curves: bool = False
) -> tuple[Played, Played]:
    """Return the views and the playback of a scope, and of its ``videos`` and ``creators`` if asked for.

    The second is that of the period before, if the scope compares. Four queries for both. ``curves``
    prepares `retention`, of the scope's one video.
    """
    now, earlier = adding.add_up(scope, videos=videos, creators=creators, curves=curves)
    return Played(now, now.whole()), Played(earlier, earlier.whole())


def _figures(row: Playback) -> Figures:
    return Figures(row.views, row.unique_viewers, row.sessions, row.watch_ms / 1000)


def _quality(playback: Playback) -> dict[str, Any]:
    sums = playback.sums()
    stalled, watched = sums[REBUFFER_MS], sums[HEARD_MS]
    return {
        "sessions": sums[HEARD],
        "startup_ms": round(sums[STARTUP_MS] / sums[STARTUPS]) if sums[STARTUPS] else None,
        "rebuffer_ms": stalled,
        "rebuffer_ratio": round(stalled / watched, 4) if watched else 0.0,
    }


def counts(scope: Scope) -> tuple[Counted, Counted]:
    """Return the sales of a scope and the reactions that were given in it: two queries.

    The second are those of the period before, if the scope compares.
    """
    both = Counted(), Counted()
    sold = money_reports.sold(
        money_reports.Period(*scope.whole), creator_id=scope.creator_id, video_id=scope.video_id
    ).order_by()
    sales = sold.annotate(earlier=scope.is_earlier("paid_at"))
    for earlier, video_id, currency, number in sales.values_list(
        "earlier", "video_id", "currency"
    ).annotate(number=Count("pk")):
        both[earlier].videos[video_id].purchases += number
        both[earlier].currencies.add(currency)
    reacted = scope.reactions.annotate(earlier=scope.is_earlier("at"))
    for earlier, video_id, likes, dislikes in reacted.values_list("earlier", "video_id").annotate(
        likes=Count("pk", filter=Q(value=Reaction.Value.LIKE)),
        dislikes=Count("pk", filter=Q(value=Reaction.Value.DISLIKE)),
    ):
        counted = both[earlier].videos[video_id]
        counted.likes, counted.dislikes = likes, dislikes
    return both


def retention(scope: Scope, played: Played, duration: float) -> list[Retention]:
    """Return how many sessions played each part of the video: one query.

    ``played`` is what the function of this name returned for the scope with ``curves``. ``duration`` is
    the video's length in seconds; a part is never shorter than a second.
    """
    curve = adding.retention(scope, duration, played.curves)
    return [
        Retention(round(part * curve.width, 1), viewers)
        for part, viewers in enumerate(curve.counts())
    ]
