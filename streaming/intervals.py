"""Arithmetic of intervals: pairs (from, to) of numbers."""

from collections.abc import Iterable

Interval = tuple[float, float]


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the fewest intervals that hold the same seconds, in ascending order.

    >>> merge([(5, 7), (0, 3), (2, 5)])
    [(0, 7)]
    """
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def within(intervals: Iterable[Interval], allowance: float) -> list[Interval]:
    """Return the first ``allowance`` seconds of the intervals, merged and in order."""
    accepted = []
    for start, end in merge(intervals):
        length = min(end - start, allowance)
        if length <= 0:
            break
        accepted.append((start, start + length))
        allowance -= length
    return accepted


def without(intervals: Iterable[Interval], taken: Iterable[Interval]) -> list[Interval]:
    """Return the parts of the intervals that no taken interval covers, merged and in order.

    >>> without([(0, 10), (20, 30)], [(2, 3), (9, 25)])
    [(0, 2), (3, 9), (25, 30)]
    """
    left = merge(intervals)
    for begin, stop in taken:
        left = [
            part
            for start, end in left
            for part in ((start, min(end, begin)), (max(start, stop), end))
            if part[0] < part[1]
        ]
    return left


def total(intervals: Iterable[Interval]) -> float:
    """Return the length of all intervals together; they must not overlap."""
    return sum(end - start for start, end in intervals)
