"""Months of subscribers: moments, viewing and closes, as tests of sharing need them."""

from datetime import UTC, date, datetime

import time_machine

from payments.periods import Month
from payments.services.sharing import pools, watchtime

AUGUST, SEPTEMBER, OCTOBER = (Month(2026, number) for number in (8, 9, 10))


def at(text: str):
    """The clock stands at a moment (UTC) for as long as the block lasts: ``"2026-08-01 12:00"``."""
    return time_machine.travel(datetime.fromisoformat(text).replace(tzinfo=UTC), tick=False)


def watch(user, video, day: str, seconds: int) -> None:
    """So many seconds, all of them under a subscription."""
    watchtime.record(
        user_id=user.pk,
        video=video,
        day=date.fromisoformat(day),
        seconds=seconds,
        plan_seconds=seconds,
    )


def close(month: Month, **options) -> list[pools.Closing]:
    """Close a month as soon as it can be closed."""
    following = month.next()
    with at(f"{following}-03 00:00"):
        return pools.close_month(month, **options)


def shares(closing: pools.Closing) -> dict[str, int]:
    return {creator: share.amount for creator, share in closing.shares.items()}
