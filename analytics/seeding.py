"""Invented history for trying the dashboards: creators, videos, views of two years, and purchases.

Views and sessions are inserted in batches, so that memory stays the same for any number. Purchases are
made by the real services at the sandbox, at the present moment. Nobody earns from the invented playback:
its sessions have no user.
"""

import json
import math
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import User
from accounts.roles import Role
from analytics.counting import view_threshold
from analytics.models import VideoView
from analytics.rollups import folding, pruning
from analytics.rollups.cells import begin_of
from config import bulk
from payments.services.buying import checkout
from streaming.models import PlaybackSession
from videos.models import Video
from videos.services import catalogue

BATCH = 5000
DAYS = 730
MARK = "Invented by seed_demo: there is no file behind this video."
DOMAIN = "demo.example.com"
# How much is watched in each hour of a day (UTC), and on each day of a week from Monday.
HOURS = [5, 3, 2, 1, 1, 2, 4, 7, 8, 8, 9, 10, 12, 11, 10, 10, 12, 15, 19, 23, 25, 22, 15, 9]
WEEK = [0.85, 0.8, 0.85, 0.9, 1.1, 1.3, 1.2]
NAMES = ["Cleo Marsh", "Nora Field", "Ines Rahal", "Tom Aalto", "Mei Lindqvist", "Ravi Costa"]
TITLES = [
    "Coast",
    "Northern lights",
    "Eclipse",
    "Rivers",
    "City at night",
    "Old trains",
    "Bees",
    "Glass",
]
SESSION = (
    "id", "video", "version", "access", "viewer_key", "network_key", "user_agent", "created_at",
    "expires_at", "last_seen_at", "ended_at", "end_reason", "state", "position_seconds", "watched",
    "watched_seconds", "rejected_seconds", "segment_seconds", "delivered", "begun",
    "delivered_seconds", "counted_seconds", "folded_seconds", "moments", "placed_until",
    "last_heartbeat_at", "rebuffer_ms", "startup_ms",
)  # fmt: skip
VIEW = ("id", "session", "video", "creator", "viewer_key", "network_key", "at")
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Invented:
    """What was invented."""

    creators: int
    videos: int
    views: int
    purchases: int


def seed(
    *,
    views: int,
    purchases: int,
    creators: int,
    password: str | None,
    seed: int,
    progress: Progress,
) -> Invented:
    """Invent creators with videos, ``views`` views until now, and ``purchases`` purchases.

    Each run adds creators of its own. ``password`` is that of the creators; without one nobody can sign
    in as them. Killed halfway, it leaves whole batches; their videos count the views that are there.
    """
    dice = random.Random(seed)  # noqa: S311 - it invents data, and must be repeatable
    run = uuid.uuid4().hex[:6]
    videos = invent_videos(run, creators, password, dice)
    now = timezone.now()
    begin, pruned = now - timedelta(days=DAYS), pruning.pruned_until()
    made = invent_views(
        views,
        videos,
        max(begin, begin_of(pruned)) if pruned else begin,  # no report reads raw rows before that
        now,
        dice,
        lambda done, total: progress(done, total + purchases),
    )
    bought = _buy(
        run, videos, purchases, lambda done: progress(made + done, views + purchases), dice
    )
    return Invented(creators, len(videos), made, bought)


@transaction.atomic
def invent_videos(
    run: str, creators: int, password: str | None, dice: random.Random
) -> list[Video]:
    """Create the creators and their videos, which are not in the catalogue: they cannot be played."""
    made = []
    for number in range(creators):
        creator = User.objects.create_user(
            f"creator-{number + 1}-{run}@{DOMAIN}",
            password,
            role=Role.CREATOR,
            display_name=f"{NAMES[number % len(NAMES)]} {number // len(NAMES) + 1}",
        )
        for title in TITLES:
            price = dice.choice([0, 0, 499, 999, 1999])
            made.append(
                Video(
                    creator=creator,
                    title=f"{title} {dice.randrange(1, 100)}",
                    description=MARK,
                    status=Video.Status.READY,
                    visibility=Video.Visibility.UNLISTED,
                    is_paid=price > 0,
                    price=price,
                    source_path="demo/none",
                    current_version="demo",
                    duration_seconds=float(dice.choice([45, 180, 600, 1800])),
                    width=640,
                    height=360,
                    published_at=timezone.now() - timedelta(days=DAYS),
                )
            )
    return Video.objects.bulk_create(made)


def invent_views(
    views: int,
    videos: list[Video],
    begin: datetime,
    end: datetime,
    dice: random.Random,
    progress: Progress,
) -> int:
    """Insert ``views`` views, and sessions that made none, between two moments; return the number."""
    made = 0
    for batch in _batches(views, videos, begin, end, dice):
        _insert(batch)
        made += sum(view is not None for _, view in batch)
        progress(made, views)
    return made


def _batches(
    views: int, videos: list[Video], begin: datetime, end: datetime, dice: random.Random
) -> Iterator[list[tuple[tuple, tuple | None]]]:
    """Yield rows of sessions with their views, oldest first, until there are ``views`` views."""
    batch: list[tuple[tuple, tuple | None]] = []
    made = 0
    weights = [1 / (place + 1) for place in range(len(videos))]
    viewers = max(50, views // 12)
    while made < views:
        # A growing service: half of all views lie in the last third.
        day = begin + (end - begin) * ((made + dice.random()) / views) ** 0.6
        at = _moment(day, end, dice)
        row = _playback(dice.choices(videos, weights)[0], max(begin, at), dice, viewers)
        made += row[1] is not None
        batch.append(row)
        if len(batch) >= BATCH or made == views:
            yield batch
            batch = []


def _moment(day: datetime, end: datetime, dice: random.Random) -> datetime:
    """Return a moment near this day, at an hour and on a weekday on which people watch."""
    if dice.random() > WEEK[day.weekday()] / max(WEEK):
        day += timedelta(days=(dice.choice([4, 5, 6]) - day.weekday()) % 7)
    hour = dice.choices(range(24), HOURS)[0]
    at = day.replace(hour=hour, minute=dice.randrange(60), second=dice.randrange(60), microsecond=0)
    # In the last days, the weekday that was meant is that of the week before. The playback ends by then.
    return at if at < end - timedelta(hours=1) else at - timedelta(days=7)


def _playback(
    video: Video, at: datetime, dice: random.Random, viewers: int
) -> tuple[tuple, tuple | None]:
    """Return the row of one session, and the row of its view if it has played enough for one."""
    length = video.duration_seconds or 0.0
    watched = round(min(length, length * dice.betavariate(0.9, 0.8)), 3)
    delivered = math.ceil(watched)
    # A few viewers come often, most of them seldom.
    viewer = f"demo:{int(viewers * dice.random() ** 2)}"
    access = dice.choice(["order", "order", "subscription"]) if video.is_paid else "free"
    session_id, end = uuid.uuid4(), at + timedelta(seconds=watched + 5)
    session = (
        session_id, video.pk, "demo", access, viewer, "", "seed_demo", at,
        at + timedelta(hours=4), end, end, PlaybackSession.EndReason.STOPPED.value, "ended", watched,
        json.dumps([[0, watched]]), watched, 0.0, 4.0, b"", b"",
        delivered, watched, 0, "[]", 0,
        end, dice.choice([0, 0, 0, dice.randrange(4000)]), dice.randrange(150, 2500),
    )  # fmt: skip
    if watched < view_threshold(length):
        return session, None
    counted = at + timedelta(seconds=view_threshold(length))
    return session, (uuid.uuid4(), session_id, video.pk, video.creator_id, viewer, "", counted)


@transaction.atomic
def _insert(batch: list[tuple[tuple, tuple | None]]) -> None:
    views = [view for _, view in batch if view is not None]
    bulk.insert(PlaybackSession, SESSION, [session for session, _ in batch])
    bulk.insert(VideoView, VIEW, views)
    # Into days that are in the roll-ups already, too: they are added up again.
    folding.mark({day for row, view in batch for day in _days_of(row, view)})
    for video_id, number in Counter(view[2] for view in views).items():
        catalogue.set_counters(video_id, views=F("views") + number)


def _days_of(session: tuple, view: tuple | None) -> Iterator[date]:
    yield session[SESSION.index("created_at")].astimezone(UTC).date()
    if view is not None:
        yield view[VIEW.index("at")].astimezone(UTC).date()


def _buy(
    run: str, videos: list[Video], purchases: int, done: Callable[[int], None], dice: random.Random
) -> int:
    """Buy paid videos for new buyers, through the services and the gateway of this installation."""
    paid = [video for video in videos if video.is_paid]
    for number in range(purchases if paid else 0):
        buyer = User.objects.create_user(
            f"buyer-{number + 1}-{run}@{DOMAIN}", None, role=Role.VIEWER
        )
        checkout.purchase(
            buyer=buyer,
            video_id=dice.choice(paid).pk,
            options=checkout.PurchaseOptions(),
            payment_method="pm_card_visa",
        )
        done(number + 1)
    return purchases if paid else 0
