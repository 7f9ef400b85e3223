"""The retention curve: how many sessions played each part of a video."""

from collections.abc import Iterable
from itertools import accumulate

from streaming.intervals import Interval, within

BUCKETS = 200


class Curve:
    """The sessions that played each part of a video, in at most BUCKETS parts of at least a second.

    ``duration`` is the video's length in seconds; without one there are no parts.
    """

    def __init__(self, duration: float | None) -> None:
        self.duration = duration or 0.0
        self.parts = max(1, min(BUCKETS, int(self.duration))) if self.duration > 0 else 0
        self.width = self.duration / self.parts if self.parts else 0.0
        self._steps = [0] * (self.parts + 1)  # by how much each part differs from the part before

    def add(self, watched: Iterable[Interval], watched_seconds: float, delivered: float) -> None:
        """Count one session, of which no more than the delivered seconds count."""
        if not self.parts:
            return
        if watched_seconds > delivered:
            watched = within(watched, delivered)
        reached = 0  # so that two intervals in one part count it once
        for start, end in watched:
            first = max(reached, int(start / self.width))
            after = min(self.parts, -int(-end // self.width))
            if first < after:
                self._steps[first] += 1
                self._steps[after] -= 1
                reached = after

    def add_counts(self, duration: float, counts: list[int]) -> None:
        """Add the counts of another curve. One of a video of another length is laid over the times."""
        if not self.parts or not counts or duration <= 0:
            return
        width = duration / len(counts)
        before = 0
        for part in range(self.parts):
            own = part if duration == self.duration else int(part * self.width / width)
            count = counts[own] if own < len(counts) else 0
            self._steps[part] += count - before
            before = count
        self._steps[self.parts] -= before

    def counts(self) -> list[int]:
        """Return the number of sessions of each part."""
        return list(accumulate(self._steps))[: self.parts]
