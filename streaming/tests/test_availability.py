"""When and where a video may be watched and bought: dates, countries, and the clock that ends it."""

import os
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from audit.models import AuditEntry
from config.tests.doctoring import said, worst
from payments.models import Order
from payments.services.buying import checkout
from payments.tests.kit import VISA, code, nothing_changes, statements
from streaming import sessions
from streaming.models import PlaybackSession
from videos.availability import checking, countries
from videos.availability.errors import NotInYourCountry
from videos.models import Video
from videos.services import catalogue
from videos.tests.geo import FRENCH, GERMAN, UNKNOWN, write_database

pytestmark = pytest.mark.django_db

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def geo(settings, tmp_path):
    settings.GEOIP_DATABASE = write_database(tmp_path / "country.mmdb")
    return tmp_path / "country.mmdb"


def start(user, video, address=GERMAN) -> PlaybackSession:
    token = sessions.stream_token(user=user, video_id=video.pk, address=address)[0]
    return sessions.redeem(token=token, client=sessions.Client("Phone/1.0", address))[0]


def ask(client, video, address=GERMAN):
    return client.get(f"/api/v1/stream/{video.pk}", REMOTE_ADDR=address)


def ends() -> list[str]:
    return list(PlaybackSession.objects.order_by("created_at").values_list("end_reason", flat=True))


class TestDates:
    def test_before_its_date_only_those_who_work_on_it_watch(
        self, client_for, viewer, subscribe, admin, make_user, make_video
    ):
        date = timezone.now() + HOUR
        video, free = make_video(price=500, publish_at=date), make_video(publish_at=date)
        subscribe(subscriber := make_user())
        for user, asked in ((viewer, video), (subscriber, video), (viewer, free), (None, free)):
            answer = ask(client_for(user) if user else client_for(), asked)
            assert (answer.status_code, code(answer)) == (409, "not_yet_available")
            error = answer.json()["errors"][0]
            assert error["publish_at"] == date.isoformat().replace("+00:00", "Z")
        for user in (admin, video.creator):
            assert ask(client_for(user), video).status_code == 200
        assert PlaybackSession.objects.count() == 0
        with time_machine.travel(date, tick=False):
            assert ask(client_for(subscriber), video).status_code == 200

    def test_it_is_asked_again_when_the_token_is_redeemed(
        self, client_for, viewer, make_video, admin
    ):
        token = sessions.stream_token(user=viewer, video_id=(video := make_video()).pk)[0]
        catalogue.change_video(video=video, actor=admin, publish_at=timezone.now() + HOUR)
        answer = client_for().get(f"/api/v1/stream/play/{token}")
        assert (answer.status_code, code(answer)) == (409, "not_yet_available")
        assert PlaybackSession.objects.count() == 0

    def test_after_its_end_buyers_watch_on_and_all_others_do_not(
        self, client_for, viewer, make_user, buy, subscribe, make_video
    ):
        end = timezone.now() + HOUR
        video, free = make_video(price=500, available_until=end), make_video(available_until=end)
        buy(buyer := make_user(), video)
        subscribe(subscriber := make_user())
        playing = [start(user, video) for user in (buyer, subscriber)] + [start(viewer, free)]
        # The grants of those who lose it end with it, to the second.
        assert [session.expires_at == end for session in playing] == [False, True, True]
        with time_machine.travel(end, tick=False):
            assert ask(client_for(buyer), video).status_code == 200
            for user, asked in ((viewer, video), (subscriber, video), (viewer, free)):
                answer = ask(client_for(user), asked)
                assert (answer.status_code, code(answer)) == (410, "no_longer_available")
            assert list(PlaybackSession.objects.running()) == playing[:1]

    def test_the_clock_ends_sessions_that_began_before_the_end_was_known(
        self, viewer, make_user, buy, make_video, admin
    ):
        video = make_video(price=500)
        buy(buyer := make_user(), video)
        start(buyer, video)
        start(viewer, free := make_video())
        soon = timezone.now() + HOUR
        for each in (video, free):
            catalogue.change_video(video=each, actor=admin, available_until=soon)
        assert (sessions.end_over(), ends()) == (0, ["", ""])
        with time_machine.travel(soon, tick=False):
            assert sessions.end_over() == 1
            assert sessions.end_over() == 0
        assert ends() == ["", "restricted"]

    def test_new_dates_end_what_runs(self, viewer, make_user, buy, make_video, admin):
        video = make_video(price=500)
        buy(viewer, video)
        start(viewer, video)
        start(video.creator, video)
        catalogue.change_video(video=video, actor=admin, available_until=timezone.now() - HOUR)
        start(viewer, free := make_video())
        assert ends() == ["", "", ""]  # a buyer keeps it
        for each in (video, free):
            catalogue.change_video(
                video=each, actor=admin, publish_at=timezone.now() + HOUR, available_until=None
            )
        assert ends() == ["", "", "restricted"]
        start(viewer, video)  # who could watch it already keeps that, too
        ended = AuditEntry.objects.filter(action="playback.ended")
        assert [entry.data["reason"] for entry in ended] == ["restricted"]

    def test_the_catalogue_shows_what_is_coming_and_not_what_is_over(
        self, client_for, viewer, make_video
    ):
        now = timezone.now()
        coming = make_video(title="coming", publish_at=now + DAY)
        over = make_video(title="over", available_until=now - HOUR)
        make_video(title="now", publish_at=now - DAY, available_until=now + DAY)
        for client in (client_for(viewer), client_for()):
            for query in ("", "?ordering=created_at"):
                rows = client.get(f"/api/v1/videos/{query}").data["results"]
                assert sorted(row["title"] for row in rows) == ["coming", "now"]
            shown = client.get(f"/api/v1/videos/{coming.pk}").data["publish_at"]
            assert shown == coming.publish_at.isoformat().replace("+00:00", "Z")
            assert client.get(f"/api/v1/videos/{over.pk}").status_code == 200  # by its link
        page = client_for().get("/")
        assert b"coming" in page.content
        assert b">over<" not in page.content
        own = client_for(over.creator).get("/api/v1/videos/").data["results"]
        assert "over" in [row["title"] for row in own]


class TestCountries:
    @pytest.mark.parametrize(
        ("rules", "german", "french", "unknown"),
        [
            ({}, True, True, True),
            ({"allowed_countries": ["DE"]}, True, False, False),
            ({"refused_countries": ["DE"]}, False, True, False),
            ({"allowed_countries": ["AT", "FR"]}, False, True, False),
        ],
    )
    def test_rules_for_countries(
        self, client_for, viewer, make_video, geo, rules, german, french, unknown
    ):
        client, video = client_for(viewer), make_video(**rules)
        for address, allowed in ((GERMAN, german), (FRENCH, french), (UNKNOWN, unknown)):
            answer = ask(client, video, address)
            assert answer.status_code == (200 if allowed else 403)
            if not allowed:
                assert code(answer) == "not_in_your_country"
            assert ask(client_for(video.creator), video, address).status_code == 200

    def test_without_a_database_such_a_video_is_refused(self, client_for, viewer, make_video):
        video = make_video(allowed_countries=["DE"])
        answer = ask(client_for(viewer), video)
        assert (answer.status_code, code(answer)) == (403, "not_in_your_country")

    @pytest.mark.parametrize("damage", ["removed", "no database", "another address only"])
    def test_a_database_that_is_away_or_damaged_refuses(self, make_video, viewer, geo, damage):
        video = make_video(refused_countries=["FR"])
        start(viewer, video)
        if damage == "removed":
            geo.unlink()
        elif damage == "no database":
            geo.write_bytes(b"nothing")
        else:
            write_database(geo, {"198.51.100.0/24": "DE"})
            os.utime(geo, ns=(1, 1))
        with pytest.raises(NotInYourCountry):
            start(viewer, video)
        assert PlaybackSession.objects.count() == 1

    def test_the_country_is_asked_again_when_the_token_is_redeemed(self, viewer, make_video, geo):
        video = make_video(allowed_countries=["DE"])
        token = sessions.stream_token(user=viewer, video_id=video.pk, address=GERMAN)[0]
        with pytest.raises(NotInYourCountry):
            sessions.redeem(token=token, client=sessions.Client("Phone/1.0", FRENCH))
        assert PlaybackSession.objects.count() == 0

    def test_forwarded_addresses_are_not_believed(self, client_for, viewer, make_video, geo):
        """Only REMOTE_ADDR counts: uvicorn puts the address of a trusted proxy's client there."""
        video = make_video(allowed_countries=["DE"])
        answer = client_for(viewer).get(
            f"/api/v1/stream/{video.pk}", REMOTE_ADDR=FRENCH, HTTP_X_FORWARDED_FOR=GERMAN
        )
        assert code(answer) == "not_in_your_country"

    def test_new_rules_end_what_runs(self, viewer, make_video, geo, admin):
        video = make_video()
        start(viewer, video)
        start(video.creator, video)
        catalogue.change_video(video=video, actor=admin, allowed_countries=["FR"])
        assert ends() == ["restricted", ""]

    def test_texts_follow_the_same_rules(self, client_for, viewer, make_video, geo):
        video = make_video(allowed_countries=["FR"], has_storyboard=True)
        url = f"/api/v1/videos/{video.pk}/captions/search?q=sea"
        answer = client_for(viewer).get(url, REMOTE_ADDR=GERMAN)
        assert code(answer) == "not_in_your_country"
        assert client_for(viewer).get(url, REMOTE_ADDR=FRENCH).status_code == 200

    def test_a_video_without_rules_costs_no_question(self, client_for, viewer, make_video, buy):
        buy(viewer, video := make_video(price=500, available_until=timezone.now() + DAY))
        client = client_for(viewer)
        ask(client, video)
        with statements(exactly=3):
            assert ask(client, video).status_code == 200

    def test_a_replaced_database_is_read(self, geo):
        assert countries.of_address(GERMAN) == "DE"
        write_database(geo, {"203.0.113.0/24": "AT"})
        os.utime(geo, ns=(1, 1))
        assert countries.of_address(GERMAN) == "AT"
        assert countries.of_address(f"::ffff:{GERMAN}") == "AT"
        assert countries.of_address("no address") is None


class TestDoctor:
    def test_rules_without_a_database(self, make_video):
        assert list(checking.countries()) == []
        make_video(refused_countries=["FR"])
        make_video()
        assert worst("countries") == "warning"
        assert "Videos with rules for countries: 1, and no database" in said("countries")

    def test_a_database_by_its_age(self, make_video, geo):
        make_video(allowed_countries=["FR"])
        assert worst("countries") == "ok"
        assert "videos with rules: 1" in said("countries")
        with time_machine.travel(timezone.now() + 91 * DAY):
            assert worst("countries") == "warning"
        geo.write_bytes(b"nothing")
        assert "cannot be read" in said("countries")


class TestSale:
    @pytest.mark.parametrize(
        ("fields", "kind", "refusal"),
        [
            ({"publish_at": HOUR}, "buy", "not_yet_available"),
            ({"publish_at": HOUR, "is_preorder": True}, "rent", "not_yet_available"),
            ({"available_until": -HOUR}, "buy", "no_longer_available"),
            ({"available_until": -HOUR}, "rent", "no_longer_available"),
        ],
    )
    def test_what_cannot_be_watched_is_not_sold(
        self, client_for, viewer, make_video, fields, kind, refusal
    ):
        now = timezone.now()
        dates = {k: now + v if isinstance(v, timedelta) else v for k, v in fields.items()}
        video = make_video(price=900, rental_price=300, rental_hours=48, **dates)
        client = client_for(viewer)
        with nothing_changes():
            answer = client.post(
                f"/api/v1/payments/purchase/{video.pk}", {"payment_method": VISA, "kind": kind}
            )
        assert code(answer) == refusal
        assert Order.objects.count() == 0
        offers = client.get(f"/api/v1/payments/offers/{video.pk}").data["offers"]
        assert kind not in [offer["kind"] for offer in offers]

    def test_nobody_buys_where_the_video_cannot_be_watched(
        self, client_for, viewer, make_video, geo
    ):
        video = make_video(price=900, allowed_countries=["FR"])
        url, body = f"/api/v1/payments/purchase/{video.pk}", {"payment_method": VISA}
        with nothing_changes():
            answer = client_for(viewer).post(url, body, REMOTE_ADDR=GERMAN)
        assert (answer.status_code, code(answer)) == (403, "not_in_your_country")
        assert client_for(viewer).post(url, body, REMOTE_ADDR=FRENCH).status_code == 201

    def test_an_open_order_ends_with_the_dates_that_it_was_made_for(
        self, viewer, make_video, admin
    ):
        video = make_video(price=900)
        order, _ = checkout.purchase(
            buyer=viewer, video_id=video.pk, options=checkout.PurchaseOptions()
        )
        catalogue.change_video(video=video, actor=admin, publish_at=timezone.now() + HOUR)
        order.refresh_from_db()
        assert order.status == "expired"


class TestSetting:
    def test_the_owner_sets_dates_and_countries(self, client_for, creator, make_video):
        video = make_video(creator=creator)
        client, url = client_for(creator), f"/api/v1/videos/{video.pk}"
        answer = client.patch(
            url,
            {
                "publish_at": "2027-01-01T12:00:00+02:00",
                "available_until": "2027-06-01T00:00:00Z",
                "allowed_countries": ["fr", "DE", "FR"],
            },
            format="json",
        )
        assert answer.status_code == 200, answer.data
        assert answer.data["publish_at"] == "2027-01-01T10:00:00Z"
        assert answer.data["allowed_countries"] == ["DE", "FR"]
        changes = AuditEntry.objects.filter(action="video.changed").latest("id").data["changes"]
        assert changes["publish_at"] == {"before": None, "after": "2027-01-01T10:00:00Z"}

    @pytest.mark.parametrize(
        ("body", "attr"),
        [
            ({"allowed_countries": ["UK"]}, "allowed_countries"),
            ({"allowed_countries": ["DEU"]}, "allowed_countries.0"),
            ({"allowed_countries": "DE"}, "allowed_countries"),
            ({"refused_countries": ["FR"]}, "refused_countries"),
            ({"publish_at": "soon"}, "publish_at"),
            ({"available_until": "2020-01-01T00:00:00Z"}, "available_until"),
            ({"publish_at": "2030-01-01T00:00:00Z"}, "available_until"),
        ],
    )
    def test_what_cannot_be_is_refused(self, client_for, creator, make_video, body, attr):
        now = timezone.now()
        video = make_video(
            creator=creator,
            allowed_countries=["DE"],
            publish_at=now,
            available_until=now + DAY,
        )
        answer = client_for(creator).patch(f"/api/v1/videos/{video.pk}", body, format="json")
        assert answer.status_code == 400
        assert [error["attr"] for error in answer.json()["errors"]] == [attr]
        stored = Video.objects.get(pk=video.pk)
        assert (stored.allowed_countries, stored.publish_at) == (["DE"], now)

    def test_a_new_video_has_them_too(self, client_for, creator):
        answer = client_for(creator).post(
            "/api/v1/videos/",
            {"title": "Fog", "publish_at": "2027-01-01T12:00:00Z", "refused_countries": ["FR"]},
            format="json",
        )
        assert (answer.status_code, answer.data["refused_countries"]) == (201, ["FR"])
