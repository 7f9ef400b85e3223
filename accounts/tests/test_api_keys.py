"""API keys: made once, used in place of an access token, ended at once."""

import logging
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import api_keys, services
from accounts.forgetting import KEYS_KEPT, forget_old_keys
from accounts.models import ApiKey
from accounts.roles import Role
from accounts.scopes import Scope
from audit.models import AuditEntry
from config.http import OneLineFormatter, mask_secrets
from config.log_records import JsonLineFormatter

pytestmark = pytest.mark.django_db

URL = "/api/v1/auth/api-keys/"
ME = "/api/v1/auth/me"


@pytest.fixture
def make_key():
    """Makes a key of a user, and returns its row and the key."""

    def make(user, *scopes, name="server", **fields):
        return api_keys.create(user=user, name=name, scopes=scopes or ["read"], **fields)

    return make


def caller(key: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    return client


class TestMaking:
    def test_a_key_is_shown_once_and_stored_as_its_hash(self, client_for, viewer):
        client = client_for(viewer)
        answer = client.post(URL, {"name": "backup", "scopes": ["uploads", "read", "read"]})

        assert answer.status_code == 201, answer.data
        body = answer.json()
        key = body.pop("key")
        assert re.fullmatch(r"vod_[0-9a-f]{32}_[A-Za-z0-9_-]{43}", key)
        assert key.startswith(body["prefix"])
        assert body["scopes"] == ["read", "uploads"]
        assert client.get(URL).json()["results"] == [body]
        row = ApiKey.objects.get()
        secret = key.removeprefix(row.prefix)
        for value in (*ApiKey.objects.values_list().get(), *AuditEntry.objects.values_list("data")):
            assert secret not in str(value)
        entry = AuditEntry.objects.get(action="api_key.created")
        assert (entry.actor_id, entry.target_id) == (viewer.pk, str(row.pk))

    @pytest.mark.parametrize(
        ("wrong", "attr"),
        [
            ({"scopes": []}, "scopes"),
            ({"scopes": ["everything"]}, "scopes.0"),
            ({"scopes": "read"}, "scopes"),
            ({"scopes": None}, "scopes"),
            ({"name": ""}, "name"),
            ({"name": "x" * 61}, "name"),
            ({"name": "ann@example.com"}, "name"),
            ({"name": "a\u202eb"}, "name"),
            ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
            ({"expires_at": "soon"}, "expires_at"),
        ],
    )
    def test_a_wrong_field_makes_no_key(self, client_for, viewer, wrong, attr):
        answer = client_for(viewer).post(
            URL, {"name": "x", "scopes": ["read"]} | wrong, format="json"
        )
        assert answer.status_code == 400, answer.data
        assert answer.json()["errors"][0]["attr"] == attr
        assert not ApiKey.objects.exists()

    def test_a_user_has_a_number_of_keys_at_most(self, client_for, viewer, make_key, monkeypatch):
        monkeypatch.setattr(api_keys, "KEYS_MAX", 2)
        first, _ = make_key(viewer)
        make_key(viewer)
        answer = client_for(viewer).post(URL, {"name": "x", "scopes": ["read"]})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (
            409,
            "too_many_api_keys",
        )
        assert ApiKey.objects.count() == 2

        ApiKey.objects.filter(pk=first.pk).update(expires_at=timezone.now())
        assert client_for(viewer).post(URL, {"name": "x", "scopes": ["read"]}).status_code == 201


class TestUse:
    def test_a_key_is_its_user_within_its_scopes(self, viewer, make_key):
        _, key = make_key(viewer, Scope.ACCOUNT_READ)
        answer = caller(key).get(ME)
        assert (answer.status_code, answer.json()["email"]) == (200, viewer.email)

    def test_it_takes_one_query_and_notes_its_use_once_a_minute(self, viewer, make_key):
        row, key = make_key(viewer)
        client = caller(key)
        client.get(ME)
        row.refresh_from_db()
        used = row.last_used_at
        assert used is not None

        with CaptureQueriesContext(connection) as queries:
            assert client.get(ME).status_code == 200
        assert len([it for it in queries if it["sql"].startswith(("SELECT", "UPDATE"))]) == 1, (
            queries.captured_queries
        )
        row.refresh_from_db()
        assert row.last_used_at == used
        ApiKey.objects.update(last_used_at=used - timedelta(seconds=61))
        client.get(ME)
        row.refresh_from_db()
        assert row.last_used_at >= used

    def test_a_missing_scope_is_named(self, viewer, make_key, settings):
        settings.RATE_LIMITS = settings.RATE_LIMITS | {"default": 100}
        _, key = make_key(viewer, Scope.PLAYBACK)
        answer = caller(key).get(ME)
        assert answer.status_code == 403
        error = answer.json()["errors"][0]
        assert (error["code"], error["scope"]) == ("insufficient_scope", "account:read")
        assert answer["WWW-Authenticate"] == (
            'Bearer realm="api", error="insufficient_scope", scope="account:read"'
        )
        assert answer["RateLimit-Limit"]  # counted, for the owner

    def test_a_key_has_no_more_than_the_role_of_its_user(self, viewer, admin, make_key):
        _, weak = make_key(viewer, *Scope)
        _, strong = make_key(admin, *Scope)
        assert caller(weak).get("/api/v1/users/").status_code == 403
        assert caller(strong).get("/api/v1/users/").status_code == 200

    def test_two_keys_are_two(self, viewer, make_key):
        (first, one), (_, two) = make_key(viewer), make_key(viewer)
        api_keys.revoke(key_id=first.pk, actor=viewer)
        assert (caller(one).get(ME).status_code, caller(two).get(ME).status_code) == (401, 200)
        mixed = one[:37] + two[37:]
        assert caller(mixed).get(ME).status_code == 401
        assert caller(two[:37] + one[37:]).get(ME).status_code == 401

    def test_entries_of_the_audit_log_name_the_key(self, make_user, make_key, make_video):
        creator = make_user(Role.CREATOR)
        video = make_video(creator=creator)
        row, key = make_key(creator, Scope.VIDEOS_WRITE, name="cms")
        answer = caller(key).patch(f"/api/v1/videos/{video.pk}", {"title": "New"})
        assert answer.status_code == 200, answer.data
        entry = AuditEntry.objects.get(action="video.changed")
        assert entry.data["api_key"] == {"id": str(row.pk), "name": "cms"}
        assert key not in str(entry.data)

    def test_entries_of_other_requests_name_none(self, make_user, make_key, make_video, client_for):
        creator = make_user(Role.CREATOR)
        video = make_video(creator=creator)
        _, key = make_key(creator, Scope.VIDEOS_WRITE)
        caller(key).patch(f"/api/v1/videos/{video.pk}", {"title": "New"})
        client_for(creator).patch(f"/api/v1/videos/{video.pk}", {"title": "Newer"})
        newest = AuditEntry.objects.filter(action="video.changed").latest("pk")
        assert "api_key" not in newest.data


class TestRefusals:
    @pytest.mark.parametrize(
        "junk",
        ["vod_", "vod_x", "vod_" + "0" * 32, "vod_" + "0" * 32 + "_" + "A" * 43, "vod_" + "é" * 5,
         "vod_" + "A" * 3000, "vod_" + "6ba7b810" * 4 + "_" + "." * 43, "vod_a.b.c", "VOD_x"],
    )  # fmt: skip
    def test_junk_is_401(self, junk):
        answer = caller(junk).get(ME)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "token_invalid")
        assert 'error="invalid_token"' in answer["WWW-Authenticate"]

    def test_a_guessed_secret_is_401(self, viewer, make_key):
        _, key = make_key(viewer)
        assert caller(key[:-1] + ("A" if key[-1] != "A" else "B")).get(ME).status_code == 401

    def test_an_expired_key_is_401(self, viewer, make_key):
        _, key = make_key(viewer, expires_at=timezone.now() + timedelta(hours=1))
        assert caller(key).get(ME).status_code == 200
        ApiKey.objects.update(expires_at=timezone.now())
        assert caller(key).get(ME).status_code == 401

    @pytest.mark.parametrize("way", ["revoked", "deactivated", "everywhere", "password"])
    def test_what_ends_a_key_ends_it_at_once(self, viewer, admin, make_key, client_for, way):
        row, key = make_key(viewer)
        assert caller(key).get(ME).status_code == 200
        if way == "revoked":
            client = client_for(viewer)
            assert client.delete(f"{URL}{row.pk}").status_code == 204
            assert client.delete(f"{URL}{row.pk}").status_code == 404
            assert AuditEntry.objects.filter(action="api_key.revoked").count() == 1
        elif way == "deactivated":
            services.set_active(user_id=viewer.pk, is_active=False, actor=admin)
            services.set_active(user_id=viewer.pk, is_active=True, actor=admin)
        elif way == "everywhere":
            services.end_all_sign_ins(user=viewer)
        else:
            viewer.set_password("another long pass phrase")
            viewer.save()
        assert caller(key).get(ME).status_code == 401

    def test_a_key_of_another_user_is_404(self, viewer, creator, make_key, client_for):
        row, key = make_key(viewer)
        client = client_for(creator)
        assert client.get(URL).json()["results"] == []
        assert client.delete(f"{URL}{row.pk}").status_code == 404
        assert caller(key).get(ME).status_code == 200

    def test_a_key_is_no_refresh_token(self, viewer, make_key):
        _, key = make_key(viewer)
        for path in ("refresh", "logout"):
            answer = APIClient().post(f"/api/v1/auth/{path}", {"refresh_token": key})
            assert answer.status_code == 401, path
        assert caller(key).get(ME).status_code == 200

    def test_a_key_makes_no_key_and_sees_none(self, viewer, make_key):
        _, key = make_key(viewer, *Scope)
        client = caller(key)
        for answer in (
            client.post(URL, {"name": "x", "scopes": ["read"]}),
            client.get(URL),
            client.patch(ME, {"display_name": "Other"}),
            client.post("/api/v1/auth/password", {}),
        ):
            error = answer.json()["errors"][0]
            assert (answer.status_code, error["code"]) == (403, "insufficient_scope")
            assert "scope" not in error
        viewer.refresh_from_db()
        assert (ApiKey.objects.count(), viewer.display_name) == (1, "Viewer")


class TestLeaks:
    def test_a_key_is_masked_in_every_log(self, viewer, make_key):
        _, key = make_key(viewer)
        record = logging.LogRecord("x", logging.ERROR, "", 1, "bad header Bearer %s", (key,), None)
        for formatter in (OneLineFormatter("%(message)s"), JsonLineFormatter()):
            assert key[12:] not in formatter.format(record)
        assert mask_secrets(f"/x?key={key}") == f"/x?key={key[:12]}***"

    def test_a_key_in_a_path_or_a_user_agent_is_masked_in_the_activity(
        self, viewer, make_key, client_for, make_video
    ):
        _, key = make_key(viewer)
        client = APIClient()
        answer = client.post(
            "/api/v1/auth/login", {"email": "a@example.com", "password": "x"}, HTTP_USER_AGENT=key
        )
        assert answer.status_code == 401
        agents = AuditEntry.objects.values_list("user_agent", flat=True)
        assert key[:12] + "***" in agents
        assert key not in agents

    def test_the_admin_site_shows_no_digest_and_revokes(self, client, admin, viewer, make_key):
        row, _ = make_key(viewer)
        client.force_login(admin)
        for path in ("", f"{row.pk}/change/"):
            page = client.get(f"/admin/accounts/apikey/{path}")
            assert page.status_code == 200
            assert row.digest not in page.content.decode()
            assert row.name in page.content.decode()


def test_keys_that_are_over_are_forgotten_after_their_days(viewer, make_key):
    rows = [make_key(viewer)[0] for _ in range(4)]
    old, young = timezone.now() - KEYS_KEPT - timedelta(hours=1), timezone.now()
    ApiKey.objects.filter(pk=rows[0].pk).update(revoked_at=old)
    ApiKey.objects.filter(pk=rows[1].pk).update(expires_at=old)
    ApiKey.objects.filter(pk=rows[2].pk).update(revoked_at=young)
    assert (forget_old_keys(), forget_old_keys()) == (2, 0)
    assert set(ApiKey.objects.all()) == {rows[2], rows[3]}
