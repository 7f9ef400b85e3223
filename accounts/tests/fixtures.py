"""Users, and the API clients that they use."""

import itertools
from datetime import datetime

import pytest
import time_machine
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import tokens
from accounts.models import User
from accounts.roles import Role
from accounts.signals import second_factor_changed
from accounts.tests.totp_kit import Phone

_numbers = itertools.count(1)


@pytest.fixture
def make_user(db):
    """Makes an active user of a role. Without a password only `client_for` can sign in as the user."""

    def make(role=Role.VIEWER, *, email=None, password=None, **fields) -> User:
        email = email or f"{role.lower()}{next(_numbers)}@example.com"
        fields.setdefault("display_name", str(role).title())
        return User.objects.create_user(email, password, role=role, **fields)

    return make


@pytest.fixture
def client_for():
    """Makes an API client with an access token of a user, or an anonymous one without a user."""

    def make(user: User | None = None) -> APIClient:
        client = APIClient()
        if user is not None:
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.issue(user).access}")
        return client

    return make


@pytest.fixture
def viewer(make_user):
    return make_user(Role.VIEWER)


@pytest.fixture
def creator(make_user):
    return make_user(Role.CREATOR)


@pytest.fixture
def admin(make_user):
    return make_user(Role.ADMIN)


class Clock:
    """The time of a test, which stands still until the test moves it."""

    def __init__(self, traveller):
        self.traveller = traveller

    def now(self) -> datetime:
        return timezone.now()

    def wait(self, seconds: float) -> None:
        self.traveller.shift(seconds)


@pytest.fixture
def clock():
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        yield Clock(traveller)


@pytest.fixture
def phone_of(clock):
    """Turns a user's second factor on, and returns the telephone."""
    return lambda user: Phone(user, clock)


@pytest.fixture
def told():
    """The mails about second factors that are asked for: address and event, in their order."""
    found: list[tuple[str, str]] = []

    def hear(sender, user, what, **kwargs):
        found.append((user.email, what))

    second_factor_changed.connect(hear)
    yield found
    second_factor_changed.disconnect(hear)
