"""The factory for permission classes, and the names that its classes ask for."""

import importlib

import pytest
from django.contrib.auth.models import AnonymousUser, Permission
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from accounts.roles import Role
from config.api.permissions import RoleMay, requires

REFUSAL = "Only administrators may list users."


def request_of(user) -> Request:
    request = Request(APIRequestFactory().get("/"))
    request.user = user
    return request


@pytest.mark.django_db
@pytest.mark.parametrize(("role", "admitted"), [(Role.ADMIN, True), (Role.VIEWER, False)])
def test_a_role_with_the_permission_is_admitted(make_user, role, admitted):
    permission = requires("accounts.manage_users", REFUSAL)()

    assert permission.has_permission(request_of(make_user(role)), APIView()) is admitted


def test_a_request_without_a_user_is_not_admitted():
    permission = requires("accounts.manage_users", REFUSAL)()

    assert permission.has_permission(request_of(AnonymousUser()), APIView()) is False


@pytest.mark.django_db
def test_a_refused_user_reads_the_reason(client_for, viewer):
    answer = client_for(viewer).get("/api/v1/users/")

    assert answer.status_code == 403
    assert answer.json()["errors"][0]["detail"] == "Only administrators may manage users."


@pytest.mark.django_db
def test_a_request_without_a_token_is_asked_for_one(client_for):
    assert client_for().get("/api/v1/users/").status_code == 401


def test_a_class_shows_the_permission_that_it_asks_for():
    permission = requires("accounts.manage_users", REFUSAL)

    assert permission.__name__ == "requires('accounts.manage_users')"
    assert "requires('accounts.manage_users')" in repr(permission)
    assert (permission.permission, permission.message) == ("accounts.manage_users", REFUSAL)


def test_two_classes_do_not_share_their_permission():
    first, second = requires("a.b", "first"), requires("c.d", "second")

    assert (first.permission, first.message) == ("a.b", "first")
    assert (second.permission, second.message) == ("c.d", "second")


def test_the_classes_combine_like_others_of_rest_framework():
    either = requires("accounts.manage_users", REFUSAL) | AllowAny

    assert either().has_permission(request_of(AnonymousUser()), APIView())


@pytest.mark.django_db
@pytest.mark.parametrize("app", ["accounts", "audit", "videos", "analytics"])
def test_every_permission_that_a_view_asks_for_exists(app):
    """A misspelled name would refuse everybody without an error."""
    module = importlib.import_module(f"{app}.permissions")
    required = {
        value.permission
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, RoleMay)
    }
    known = {
        f"{label}.{codename}"
        for label, codename in Permission.objects.values_list("content_type__app_label", "codename")
    }

    assert required
    assert required <= known
