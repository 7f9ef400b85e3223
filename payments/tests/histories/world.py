"""The people, videos, plans and coupons of a history, and the clock."""

import random
from copy import copy
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import time_machine
from django.db.models import Model, QuerySet
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from accounts.roles import Role
from payments.models import Coupon, Plan
from payments.periods import Month
from videos.models import Video

API = "/api/v1/payments"
Row = TypeVar("Row", bound=Model)
START = datetime(2026, 1, 9, 12, tzinfo=UTC)
BEGUN = START + timedelta(days=20)


class World:
    """A small platform: two creators with three videos, four viewers, two administrators.

    All that is random comes from ``dice``, so that a seed makes the same history again.
    """

    def __init__(self, dice: random.Random, clock: Any, make_user, make_video) -> None:
        self.dice, self.clock = dice, clock
        self.month = Month.of(START.date())  # the next one to close
        self.trace: list[str] = []
        self.statements: dict[Any, tuple[str, str]] = {}
        self.admins = [make_user(Role.ADMIN) for _ in range(2)]
        self.creators = [make_user(Role.CREATOR) for _ in range(2)]
        self.viewers = [make_user(Role.VIEWER) for _ in range(4)]
        rental = {"rental_price": 399, "rental_hours": 48}
        self.videos = [
            make_video(creator=self.creators[0], price=1999, duration_seconds=3600.0, **rental),
            make_video(creator=self.creators[0], price=3, duration_seconds=3600.0),
            make_video(creator=self.creators[1], price=999, duration_seconds=3600.0, **rental),
        ]
        Plan.objects.create(code="premium", name="Premium", amount=1999, currency="USD")
        Plan.objects.create(
            code="yearly", name="Yearly", amount=9999, currency="USD", interval="year"
        )
        Plan.objects.create(code="trial", name="Try", amount=499, currency="USD", trial_days=7)
        self.plans = ["monthly", "premium", "yearly", "trial"]
        for code, percent, funded_by in (
            ("HALF", 5000, "creator"), ("GIFT", 3333, "platform"), ("FREE", 10_000, "platform"),
        ):  # fmt: skip
            Coupon.objects.create(
                code=code,
                percent_bps=percent,
                funded_by=funded_by,
                creator=self.creators[0] if funded_by == "creator" else None,
                max_redemptions=3,
            )
        self.clients: dict[Any, APIClient] = {}
        self.browser = Client()

    def again(self, dice: random.Random, clock: Any) -> "World":
        """Return this world with its rows as they are stored now, for one more history."""
        world = copy(self)
        world.dice, world.clock, world.clients = dice, clock, {}
        world.trace, world.statements = list(self.trace), {}
        for name in ("admins", "creators", "viewers", "videos"):
            rows = getattr(self, name)
            fresh = type(rows[0]).objects.in_bulk([row.pk for row in rows])
            setattr(world, name, [fresh[row.pk] for row in rows])
        return world

    # --- people ---

    def viewer(self) -> User:
        return self.dice.choice(self.viewers)

    def creator(self) -> User:
        return self.dice.choice(self.creators)

    def admin(self) -> User:
        return self.dice.choice(self.admins)

    def video(self) -> Video:
        return self.dice.choice(self.videos)

    def one_of(self, rows: QuerySet[Row]) -> Row | None:
        """Return one of the rows, or None without any."""
        ids = list(rows.order_by("pk").values_list("pk", flat=True))
        return rows.get(pk=self.dice.choice(ids)) if ids else None

    # --- requests ---

    def post(self, user: User, path: str, body: dict | None = None, **headers: str) -> int:
        """Send a request to the payments API as a user; return the status of the answer."""
        return self.send("post", user, f"{API}/{path}", body, **headers)

    def send(
        self, method: str, user: User, path: str, body: dict | None = None, **headers: str
    ) -> int:
        """Send a request as a user; return the status of the answer, 0 if the user is deactivated.

        Fail for a server error; a refusal is an answer.
        """
        if not user.is_active:
            return 0
        client = self.clients.get(user.pk)
        if client is None:
            client = self.clients[user.pk] = APIClient()
            client.force_authenticate(user)
        answer = getattr(client, method)(path, body or {}, format="json", headers=headers)
        self.note(f"  {path.removeprefix(API)} {body or ''} -> {answer.status_code}")
        assert answer.status_code < 500, answer.data
        return answer.status_code

    # --- time and news ---

    def wait(self, **time: float) -> None:
        self.clock.shift(timedelta(**time))

    def note(self, line: str) -> None:
        self.trace.append(f"{timezone.now():%m-%d %H:%M} {line}")


def frozen_at(moment: datetime) -> time_machine.travel:
    """Return the clock of a history. It stands still but for the steps that move it."""
    return time_machine.travel(moment, tick=False)
