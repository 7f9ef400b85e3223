"""Fixtures of every test: seeded roles and plans, and append-only tables that can be emptied.

And one that needs all apps: a row in every table of the admin site.
"""

from concurrent.futures import Future
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from accounts import api_keys
from accounts.backends import forget_role_permissions
from accounts.models import ProviderIdentity
from audit import buffer
from audit import protection as audit_protection
from config import append_only, bounded
from config.tests import database
from config.tests.fixtures import QUICK_HASHER
from payments.gateways.sandbox import events as sandbox_events
from payments.ledger import protection
from payments.tests.rows import make_admin_rows
from streaming.models import PlaybackSession
from streaming.tests.kit import deliver
from videos.moderation import cases
from webhooks import services as webhooks

PROTECTED = (*audit_protection.TABLES, *protection.TABLES)


def uses_transactions(request) -> bool:
    marker = request.node.get_closest_marker("django_db")
    wanted = {"transactional_db", "live_server"} & set(request.fixturenames)
    return bool(wanted) or bool(marker and marker.kwargs.get("transaction"))


def uses_database(request) -> bool:
    return bool(
        request.node.get_closest_marker("django_db")
        or {"db", "transactional_db", "live_server"} & set(request.fixturenames)
    )


def in_this_thread(work) -> Future:
    """Take the place of `bounded.begin`: the same future, of work that is done at once."""
    future: Future = Future()
    try:
        future.set_result(work())
    except Exception as error:  # noqa: BLE001 - raised again where the result is wanted
        future.set_exception(error)
    return future


@pytest.fixture(autouse=True)
def _house(request, settings, monkeypatch):
    """Provide roles and plans, and let the clean-up of a test empty append-only tables."""
    settings.AUDIT_FLUSH_SECONDS = 0
    settings.READY_SECONDS = 0
    settings.PASSWORD_HASHERS = [QUICK_HASHER]
    # On a busy machine five seconds are few: events stayed for the next call, which no test makes.
    monkeypatch.setattr(sandbox_events, "AT_ONCE_SECONDS", 300.0)
    if not uses_database(request):
        yield
        return
    transactional = uses_transactions(request)
    request.getfixturevalue("transactional_db" if transactional else "db")
    if not transactional:  # another thread would not see the rows of this test's transaction
        monkeypatch.setattr(bounded, "begin", in_this_thread)
    cache.clear()
    buffer.forget()
    forget_role_permissions()
    if not Group.objects.filter(name="ADMIN").exists():
        database.seed()
    yield
    if transactional:
        # The clean-up deletes all rows. The post_migrate signal after it creates the triggers again.
        for table in PROTECTED:
            append_only.release(connection.alias, table)


@pytest.fixture
def one_of_each(
    make_user, make_video, buy, subscribe, client_for, admin, process_next, uploaded_video
):
    """A row in every table that the admin site shows."""
    webhooks.create_endpoint(owner=admin, url="https://example.com/hook")
    api_keys.create(user=admin, name="server", scopes=["read"])
    ProviderIdentity.objects.create(user=admin, issuer="https://id.example", subject="person-1")
    buyer, fan = make_user(), make_user()
    video = make_video(price=1999, title="<b>Bold</b>", tags=["fog"])
    order = buy(buyer, video)
    subscribe(fan)
    free = make_video(duration_seconds=1.0)
    token = client_for(fan).get(f"/api/v1/stream/{free.pk}").data["stream_url"]
    play = client_for().get(token, HTTP_ACCEPT="application/json").data
    deliver(play["session_id"])
    PlaybackSession.objects.update(created_at=timezone.now() - timedelta(seconds=60))
    client_for().post(
        f"/api/v1/stream/sessions/{play['session_id']}/heartbeat",
        {"position_seconds": 1, "state": "playing", "watched": [[0, 1]]},
        HTTP_PLAYBACK_GRANT=play["grant"],
    )
    client_for(fan).put(f"/api/v1/videos/{free.pk}/reaction", {"value": "like"})
    refund = f"/api/v1/payments/admin/orders/{order.pk}/refund"
    client_for(admin).post(refund, {"reason": "requested"})
    make_admin_rows(order, fan)
    cases.report(video=video, reporter=fan, reason="spam")
    return video
