"""Sign-ins and sessions of the admin site are forgotten when nothing needs them any more."""

from datetime import datetime, timedelta

import pytest
import time_machine
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts import tokens
from accounts.forgetting import (
    KEPT,
    NETWORK_KEPT,
    forget_admin_sessions,
    forget_old_sign_ins,
)
from accounts.limits import _is_known
from accounts.models import RefreshFamily

pytestmark = pytest.mark.django_db

HOME, OFFICE = "192.0.2.1", "198.51.100.1"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def signed_in(viewer):
    """A function that makes a sign-in whose last token expired ``ago``."""

    def make(*, ago: timedelta, network: str = HOME, user=viewer, **fields) -> RefreshFamily:
        end = timezone.now() - ago
        return RefreshFamily.objects.create(
            user=user, network=network, current="x", expires_at=end, **fields
        )

    return make


def kept() -> set[RefreshFamily]:
    return set(RefreshFamily.objects.all())


def test_a_sign_in_that_is_over_is_forgotten_after_its_time(signed_in):
    signed_in(ago=KEPT + MINUTE)
    signed_in(ago=KEPT + MINUTE, revoked_at=timezone.now())
    signed_in(ago=KEPT + MINUTE, network="")
    young = signed_in(ago=KEPT - MINUTE)

    assert forget_old_sign_ins() == 3
    assert forget_old_sign_ins() == 0
    assert kept() == {young}


def test_a_live_sign_in_is_never_forgotten(client_for, viewer, signed_in):
    signed_in(ago=KEPT + MINUTE)
    pair = tokens.issue(viewer, network=HOME)
    RefreshFamily.objects.filter(current__gt="x").update(
        created_at=timezone.now() - 10 * NETWORK_KEPT
    )
    forget_old_sign_ins()

    client = client_for()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair.access}")
    assert client.get("/api/v1/auth/me").status_code == 200
    assert tokens.rotate(pair.refresh).access


def test_a_used_token_of_a_revoked_sign_in_is_still_recognised(viewer):
    pair = tokens.issue(viewer)
    tokens.end_all(viewer)
    forget_old_sign_ins()
    assert RefreshFamily.objects.get().pk == tokens.family_of(pair.refresh)


def test_the_newest_sign_in_from_a_network_keeps_it_known(signed_in, viewer, make_user):
    signed_in(ago=KEPT + 3 * MINUTE)
    home = signed_in(ago=KEPT + 2 * MINUTE)
    office = signed_in(ago=NETWORK_KEPT - MINUTE, network=OFFICE)
    other = signed_in(ago=KEPT + MINUTE, user=make_user())

    assert forget_old_sign_ins() == 1
    assert kept() == {home, office, other}
    assert _is_known(viewer.email, HOME)
    assert _is_known(viewer.email, OFFICE)


def test_a_network_that_was_not_used_for_a_year_is_forgotten(signed_in, viewer):
    signed_in(ago=NETWORK_KEPT + MINUTE)
    assert forget_old_sign_ins() == 1
    assert not _is_known(viewer.email, HOME)


def test_expired_sessions_of_the_admin_site_are_forgotten(client, admin):
    def session(name: str, end: datetime) -> Session:
        return Session.objects.create(session_key=name, session_data="", expire_date=end)

    session("old", timezone.now() - MINUTE)
    client.force_login(admin)

    assert forget_admin_sessions() == 1
    assert client.get("/admin/").status_code == 200
    assert Session.objects.count() == 1


def test_what_ends_at_this_moment_is_kept(signed_in):
    with time_machine.travel(timezone.now(), tick=False):
        Session.objects.create(session_key="now", session_data="", expire_date=timezone.now())
        signed_in(ago=KEPT, network="")
        signed_in(ago=NETWORK_KEPT, network=OFFICE)

        assert (forget_admin_sessions(), forget_old_sign_ins()) == (0, 0)
