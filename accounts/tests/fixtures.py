"""Users, and the API clients that they use."""

import itertools

import pytest
from rest_framework.test import APIClient

from accounts import tokens
from accounts.models import User
from accounts.roles import Role

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
