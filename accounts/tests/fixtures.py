"""People, and the clients they use."""

import itertools

import pytest
from rest_framework.test import APIClient

from accounts import tokens
from accounts.models import User
from accounts.roles import Role

_numbers = itertools.count(1)


@pytest.fixture
def make_user(db):
    """An active user of a role; without a password nobody can sign in as them, but tests can."""

    def make(role=Role.VIEWER, *, email=None, password=None, **fields) -> User:
        email = email or f"{role.lower()}{next(_numbers)}@example.com"
        fields.setdefault("display_name", str(role).title())
        return User.objects.create_user(email, password, role=role, **fields)

    return make


@pytest.fixture
def client_for():
    """An API client with a real access token of a user; without one, an anonymous client."""

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
