"""Endpoints and deliveries in the API, and on the admin site."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from accounts.roles import Role
from audit.models import AuditEntry
from config.tests import desk
from webhooks import outbox, sending, services, sweeping
from webhooks.catalogue import EventType
from webhooks.models import Delivery, Endpoint, Event
from webhooks.tests.fixtures import send_all
from webhooks.tests.receiving import status

pytestmark = pytest.mark.django_db
ENDPOINTS, DELIVERIES = "/api/v1/webhooks/endpoints/", "/api/v1/webhooks/deliveries/"
URL = "https://shop.example.com/hooks?team=7"


@pytest.fixture
def delivery(make_endpoint, creator) -> Delivery:
    make_endpoint(creator)
    outbox.announce(
        EventType.VIDEO_READY, about="x", subject_id=creator.pk, data=lambda: {"id": "x"}
    )
    return Delivery.objects.get()


class TestEndpoints:
    def test_a_secret_is_shown_once(self, client_for, creator):
        client = client_for(creator)
        answer = client.post(ENDPOINTS, {"url": URL, "event_types": ["video.ready", "video.ready"]})
        assert answer.status_code == 201
        made = answer.json()
        assert made["secret"] == Endpoint.objects.get().secret
        assert made["event_types"] == ["video.ready"]
        assert (made["is_active"], made["owner_id"]) == (True, str(creator.pk))
        secret = made.pop("secret")
        listed = client.get(ENDPOINTS)
        assert listed.json()["results"] == [made]
        changed = client.patch(f"{ENDPOINTS}{made['id']}", {"description": "The shop"})
        assert changed.json() == {**made, "description": "The shop"}
        assert secret not in listed.content.decode() + changed.content.decode()

    def test_a_rotation_shows_the_new_one(self, client_for, creator, make_endpoint):
        endpoint = make_endpoint(creator)
        path = f"{ENDPOINTS}{endpoint.pk}"
        shown = client_for(creator).patch(path, {"rotate_secret": True}).json()
        row = Endpoint.objects.get()
        assert shown["secret"] == row.secret != endpoint.secret
        assert (row.previous_secret, shown["previous_until"] is None) == (endpoint.secret, False)
        assert AuditEntry.objects.filter(action="webhook_endpoint.rotated").count() == 1

    def test_every_change_is_recorded_without_values(self, client_for, creator):
        client = client_for(creator)
        made = client.post(ENDPOINTS, {"url": URL}).json()
        path = f"{ENDPOINTS}{made['id']}"
        client.patch(path, {"url": f"{URL}&b", "is_active": False})
        client.patch(path, {"url": f"{URL}&b"})  # changes nothing
        assert client.delete(path).status_code == 204
        entries = AuditEntry.objects.filter(target_type="endpoint").order_by("pk")
        assert [entry.action for entry in entries] == [
            "webhook_endpoint.created", "webhook_endpoint.changed", "webhook_endpoint.deleted",
        ]  # fmt: skip
        assert entries[1].data == {"fields": ["is_active", "url"], "is_active": False}
        assert {entry.actor_id for entry in entries} == {creator.pk}

    def test_a_deleted_endpoint_is_gone_with_its_log(self, delivery, receiver, client_for, creator):
        client, path = client_for(creator), f"{ENDPOINTS}{delivery.endpoint_id}"
        assert client.delete(path).status_code == 204
        assert client.delete(path).status_code == 404
        assert client.patch(path, {"is_active": True}).status_code == 404
        for listed in (ENDPOINTS, DELIVERIES):
            assert client.get(listed).json()["results"] == []
        assert Endpoint.objects.get().secret == ""
        assert send_all() == 0
        assert receiver.requests == []
        assert sweeping.sweep() == 0  # a transaction may still write a delivery for it
        Endpoint.objects.update(deleted_at=Now() - timedelta(hours=1))
        Event.objects.update(created_at=Now() - timedelta(hours=1))
        sweeping.sweep()
        assert not Endpoint.objects.exists()
        assert not Event.objects.exists()

    @pytest.mark.parametrize(
        "url",
        ["", "x", "http://example.com/", "ftp://example.com/", "https://a:b@example.com/",
         "https://example.com:0/", "https://example.com:65536/", "https://example.com:99999/",
         "https://127.0.0.1/", "https://10.0.0.1/", "https://[::1]/", "https://169.254.169.254/",
         "https://example.com/" + "x" * 2000, None, 5],
    )  # fmt: skip
    def test_what_is_no_public_https_address_is_refused(self, url, client_for, creator):
        answer = client_for(creator).post(ENDPOINTS, {"url": url})
        assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "url")
        assert not Endpoint.objects.exists()

    def test_a_change_to_such_an_address_is_refused(self, client_for, creator):
        endpoint = services.create_endpoint(owner=creator, url=URL)
        path = f"{ENDPOINTS}{endpoint.pk}"
        assert client_for(creator).patch(path, {"url": "http://10.0.0.1/"}).status_code == 400
        assert Endpoint.objects.get().url == URL

    def test_unknown_types_are_refused(self, client_for, creator):
        answer = client_for(creator).post(ENDPOINTS, {"url": URL, "event_types": ["video.sung"]})
        assert answer.status_code == 400
        assert not Endpoint.objects.exists()

    def test_there_is_a_limit_for_each_owner(self, client_for, creator, make_user, settings):
        settings.WEBHOOK_ENDPOINTS_MAX = 1
        client = client_for(creator)
        assert client.post(ENDPOINTS, {"url": URL}).status_code == 201
        refused = client.post(ENDPOINTS, {"url": URL})
        assert refused.status_code == 409
        assert refused.json()["errors"][0]["code"] == "too_many_endpoints"
        assert Endpoint.objects.count() == 1
        other = client_for(make_user(Role.CREATOR))
        assert other.post(ENDPOINTS, {"url": URL}).status_code == 201

    def test_creators_see_and_change_their_own_alone(self, client_for, creator, make_user, admin):
        endpoint = services.create_endpoint(owner=creator, url=URL)
        other, path = client_for(make_user(Role.CREATOR)), f"{ENDPOINTS}{endpoint.pk}"
        assert other.get(ENDPOINTS).json()["results"] == []
        assert other.patch(path, {"is_active": False}).status_code == 404
        assert other.delete(path).status_code == 404
        assert Endpoint.objects.get().is_active
        assert len(client_for(admin).get(ENDPOINTS).json()["results"]) == 1
        assert client_for(admin).patch(path, {"is_active": False}).status_code == 200
        assert not Endpoint.objects.get().is_active


class TestDeliveries:
    def test_the_log_shows_the_answer(self, delivery, receiver, client_for, creator, make_user):
        receiver.answers = [status(500, "boom")]
        sending.send_due()
        (row,) = client_for(creator).get(DELIVERIES).json()["results"]
        assert (row["status"], row["answer_status"], row["answer_excerpt"]) == (
            "waiting", 500, "boom",
        )  # fmt: skip
        assert row["next_attempt_at"] > row["attempted_at"]
        assert row["payload"]["data"] == {"id": "x"}
        assert row["message_id"] == receiver.ids[0]
        assert client_for(make_user(Role.CREATOR)).get(DELIVERIES).json()["results"] == []

    def test_the_log_is_filtered(self, delivery, client_for, creator):
        client = client_for(creator)
        for query, number in [
            ("status=waiting", 1), ("status=failed", 0), ("event_type=video.ready", 1),
            ("event_type=video.failed", 0), (f"endpoint={delivery.endpoint_id}", 1),
        ]:  # fmt: skip
            assert len(client.get(f"{DELIVERIES}?{query}").json()["results"]) == number, query

    def test_a_page_costs_a_fixed_number_of_queries(self, make_endpoint, creator, client_for):
        make_endpoint(creator)
        client, costs = client_for(creator), []
        for number in (1, 12):
            while Delivery.objects.count() < number:
                about = Delivery.objects.count()
                outbox.announce(
                    EventType.VIDEO_READY, about=about, subject_id=creator.pk, data=dict
                )
            client.get(DELIVERIES)
            with CaptureQueriesContext(connection) as queries:
                assert len(client.get(DELIVERIES).json()["results"]) == number
            costs.append(len(queries))
        assert costs[0] == costs[1] <= 6

    def test_a_replay_sends_the_same_message(self, delivery, receiver, client_for, creator):
        path = f"{DELIVERIES}{delivery.pk}/replay"
        client = client_for(creator)
        assert client.post(path).json()["errors"][0]["code"] == "delivery_waits"
        assert send_all() == 1
        answer = client.post(path)
        assert (answer.status_code, answer.json()["status"]) == (200, "waiting")
        assert client.post(path).status_code == 409
        assert send_all() == 1
        assert len(receiver.requests) == 2
        assert len(set(receiver.ids)) == 1
        assert receiver.requests[0][1] == receiver.requests[1][1]
        assert AuditEntry.objects.filter(action="webhook_delivery.replayed").count() == 1

    def test_nobody_replays_anothers(self, delivery, receiver, client_for, make_user):
        send_all()
        path = f"{DELIVERIES}{delivery.pk}/replay"
        assert client_for(make_user(Role.CREATOR)).post(path).status_code == 404
        assert client_for(make_user()).post(path).status_code == 403
        assert send_all() == 0
        assert len(receiver.requests) == 1

    def test_a_disabled_endpoint_gets_no_replay(self, delivery, client_for, creator):
        send_all()
        services.change_endpoint(
            endpoint=delivery.endpoint, actor=creator, changes={"is_active": False}
        )
        answer = client_for(creator).post(f"{DELIVERIES}{delivery.pk}/replay")
        assert answer.json()["errors"][0]["code"] == "endpoint_disabled"
        assert Delivery.objects.get().status == "delivered"


class TestAdminSite:
    def test_no_page_shows_a_secret(self, delivery, client, admin):
        client.force_login(admin)
        services.change_endpoint(endpoint=delivery.endpoint, actor=admin, changes={}, rotates=True)
        row = Endpoint.objects.get()
        for path in ("endpoint", f"endpoint/{row.pk}/change", "delivery", "event"):
            answer = client.get(f"/admin/webhooks/{path}/")
            assert answer.status_code == 200
            text = answer.content.decode()
            assert row.secret[6:] not in text
            assert row.previous_secret[6:] not in text

    def test_endpoints_are_switched_and_deliveries_sent_again(self, delivery, client, admin):
        client.force_login(admin)
        send_all()
        for action, is_active in (("disable", False), ("enable", True)):
            desk.act(client, action, delivery.endpoint)
            assert Endpoint.objects.get().is_active is is_active
        desk.act(client, "send_again", delivery)
        assert Delivery.objects.get().status == "waiting"
