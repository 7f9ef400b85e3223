"""The figures of views, playback, sales and reactions that all reports are made of.

Each function costs a fixed number of queries, and each figure is counted in one place: here.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
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
        sums = self.whole.sums()
        stalled, watched = sums[REBUFFER_MS], sums[HEARD_MS]
        return Quality(
            sessions=sums[HEARD],
            startup_ms=round(sums[STARTUP_MS] / sums[STARTUPS]) if sums[STARTUPS] else None,
            rebuffer_ms=stalled,
            rebuffer_ratio=round(stalled / watched, 4) if watched else 0.0,
        )


def played(scope: Scope, *, videos: bool = False, creators: bool = False) -> Played:
    """Return the views and the playback of a scope, and of its ``videos`` and ``creators`` if asked for.

    Five queries, and two more each for videos and creators.
    """
    added = adding.add_up(scope, videos=videos, creators=creators)
    return Played(added, added.whole())


def _figures(row: Playback) -> Figures:
    return Figures(row.views, row.unique_viewers, row.sessions, row.watch_ms / 1000)


def counts(scope: Scope) -> dict[UUID, Counts]:
    """Return the sales of a scope and the reactions that were given in it, by video: two queries."""
    counted: defaultdict[UUID, Counts] = defaultdict(Counts)
    sold = money_reports.sold(
        scope.period, creator_id=scope.creator_id, video_id=scope.video_id
    ).order_by()
    for video_id, number in sold.values_list("video_id").annotate(number=Count("pk")):
        counted[video_id].purchases = number
    reacted = scope.reactions.values_list("video_id").annotate(
        likes=Count("pk", filter=Q(value=Reaction.Value.LIKE)),
        dislikes=Count("pk", filter=Q(value=Reaction.Value.DISLIKE)),
    )
    for video_id, likes, dislikes in reacted:
        counted[video_id].likes, counted[video_id].dislikes = likes, dislikes
    return counted


def retention(scope: Scope, duration: float) -> list[Retention]:
    """Return how many sessions played each part of the video: three queries.

    ``duration`` is the video's length in seconds; a part is never shorter than a second.
    """
    curve = adding.retention(scope, duration)
    return [
        Retention(round(part * curve.width, 1), viewers)
        for part, viewers in enumerate(curve.counts())
    ]
