"""Exports and erasures: nothing is forgotten in the one, and nothing is left by the other."""

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import api_keys, erasing, links, services, tokens
from accounts.errors import AccountErased, LastAdmin
from accounts.models import ApiKey, Erasure, RefreshFamily, User
from accounts.roles import Role
from analytics import reactions
from analytics.models import Reaction, VideoView, ViewerNumber
from analytics.tests.kit import begin, view
from audit import sealing
from audit.models import AuditEntry
from config import personal
from config.personal import Fate
from payments.models import Notice, Order, WatchDaily
from streaming import viewers
from streaming.models import PlaybackSession
from videos.models import Upload, Video
from videos.tests.tus_kit import Tus, meta
from webhooks.models import Endpoint

pytestmark = pytest.mark.django_db

URL = "/api/v1/auth/me"
EMAIL, NAME, PASSWORD = (
    "rosalind.unmistakable@example.org",
    "Rosalind Unmistakable",
    "correct horse x7",
)
WORDS = ("rosalind", "unmistakable")


@pytest.fixture
def person(make_user):
    return make_user(Role.CREATOR, email=EMAIL, display_name=NAME, password=PASSWORD)


def erase(user: User) -> Erasure:
    erasure = erasing.begin(user_id=user.pk, actor=user)
    erasing.finish(erasure)
    return erasure


def everything() -> dict[str, list[str]]:
    """Return, for each table and column of the database, the values that hold a word of the person."""
    found: dict[str, list[str]] = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - a name of our own
            names = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                for name, value in zip(names, row, strict=True):
                    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
                    if any(word in text.lower() for word in WORDS):
                        found.setdefault(f"{table}.{name}", []).append(text)
    return found


def files() -> list[str]:
    """Return the files of the data folder whose name or content holds a word of the person."""
    found = []
    for path in Path(settings.MEDIA_ROOT).rglob("*"):
        content = path.read_bytes().lower() if path.is_file() else b""
        if any(word.encode() in content or word in str(path).lower() for word in WORDS):
            found.append(str(path))
    return found


class TestRegistry:
    def test_every_link_to_a_user_has_an_entry(self):
        """A new table of a person's rows must say what exports and erasures do with it."""
        linked = {
            (model, field.name)
            for model in apps.get_models()
            for field in model._meta.concrete_fields
            if field.remote_field and field.related_model is User
        }
        named = {(entry.model, entry.field) for entry in personal.entries()}
        assert linked - named == set()

    def test_entries_say_what_they_do(self):
        for entry in personal.entries():
            assert entry.what
            assert entry.why or entry.fate == Fate.REMOVED, entry
            assert bool(entry.columns) == bool(entry.section), entry
            assert not {"password", "secret", "digest", "current", "previous"} & set(entry.columns)
        sections = [entry.section for entry in personal.entries() if entry.section]
        assert len(sections) == len(set(sections))


class TestExport:
    def test_my_data_and_no_others(self, person, viewer, make_video, client_for):
        video = make_video(creator=person, title="My video")
        make_video(creator=viewer, title="Foreign")
        reactions.react(user=person, video=video, value="like")
        _, key = api_keys.create(user=person, name="server", scopes=["read"])
        answer = client_for(person).get(f"{URL}/export")

        assert answer.status_code == 200
        text = b"".join(answer.streaming_content).decode()
        body = json.loads(text)
        assert body["complete"] is True
        assert body["account"][0]["email"] == EMAIL
        assert [row["title"] for row in body["videos"]] == ["My video"]
        assert [row["value"] for row in body["reactions"]] == ["like"]
        assert [row["name"] for row in body["api_keys"]] == ["server"]
        assert set(body) == {
            "exported_at",
            "complete",
            *(entry.section for entry in personal.entries() if entry.section),
        }
        for secret in (key, ApiKey.objects.get().digest, person.password, "Foreign", viewer.email):
            assert secret not in text

    def test_more_rows_than_a_piece_are_whole(self, person, client_for):
        for number in range(405):
            RefreshFamily.objects.create(
                user=person, current=str(number), expires_at=timezone.now() + timedelta(days=1)
            )
        answer = client_for(person).get(f"{URL}/export")
        body = json.loads(b"".join(answer.streaming_content))
        assert len(body["sign_ins"]) == 406

    def test_it_is_of_the_caller_alone_and_limited(self, client_for, person, settings):
        assert APIClient().get(f"{URL}/export").status_code == 401
        settings.RATE_LIMITS = settings.RATE_LIMITS | {"auth": 2}
        client = client_for(person)
        statuses = [client.get(f"{URL}/export").status_code for _ in range(3)]
        assert statuses == [200, 200, 429]


class TestAsking:
    def test_it_takes_everything_at_once(self, person, client_for, make_video):
        client = client_for(person)
        _, key = api_keys.create(user=person, name="server", scopes=["read"])
        pair = tokens.issue(person)
        session = begin(person, make_video())
        answer = client.delete(URL, {"current_password": PASSWORD})

        assert answer.status_code == 202, answer.data
        body = answer.json()
        person.refresh_from_db()
        assert body["pseudonym"] == person.public_name
        assert {"what": "sign-ins", "why": ""} in body["removed"]
        assert any(row["what"] == "orders" and "Books" in row["why"] for row in body["kept"])
        assert (person.email, person.display_name) == (f"{person.pk.hex}@erased.invalid", "")
        assert not any((person.is_active, person.is_staff, person.has_usable_password()))
        assert client.get(URL).status_code == 401
        assert APIClient().get(URL, HTTP_AUTHORIZATION=f"Bearer {key}").status_code == 401
        refreshed = APIClient().post("/api/v1/auth/refresh", {"refresh_token": pair.refresh})
        assert refreshed.status_code == 401
        session.refresh_from_db()
        assert session.ended_at is not None
        # The address is free again.
        again = {"email": EMAIL, "password": "another long phrase 9", "display_name": "R"}
        assert APIClient().post("/api/v1/auth/register", again).status_code == 201

    @pytest.mark.parametrize("body", [{}, {"current_password": "wrong"}, {"current_password": ""}])
    def test_without_the_password_nothing_happens(self, person, client_for, body):
        answer = client_for(person).delete(URL, body)
        assert answer.status_code == 400
        person.refresh_from_db()
        assert (person.email, person.is_active) == (EMAIL, True)
        assert not Erasure.objects.exists()

    def test_the_last_administrator_stays(self, admin):
        User.objects.exclude(pk=admin.pk).filter(role__name=Role.ADMIN).update(is_active=False)
        with pytest.raises(LastAdmin):
            erasing.begin(user_id=admin.pk, actor=admin)
        admin.refresh_from_db()
        assert admin.is_active
        assert not Erasure.objects.exists()

    def test_an_erased_account_does_not_come_back(self, person, admin):
        erase(person)
        with pytest.raises(AccountErased):
            services.set_active(user_id=person.pk, is_active=True, actor=admin)
        person.refresh_from_db()
        assert not person.is_active

    def test_twice_is_once(self, person):
        first = erase(person)
        second = erasing.begin(user_id=person.pk, actor=None)
        erasing.finish(second)
        assert first.pk == second.pk
        actions = AuditEntry.objects.filter(action__in=["user.erasure_begun", "user.erased"])
        assert actions.count() == 2


class TestWhatRemains:
    def test_only_documented_places_hold_the_person(
        self, person, viewer, admin, make_video, media, client_for
    ):
        """The whole database and the data folder are searched for the name and the address."""
        client = client_for(person)
        client.patch(URL, {"display_name": NAME})
        video = make_video(creator=person, title=f"By {NAME}", description=f"Write to {EMAIL}")
        Video.objects.filter(pk=video.pk).update(source_filename=f"{NAME}.mp4")
        view(person, make_video(), seconds=30.0)
        view(viewer, video, seconds=30.0)
        APIClient().post("/api/v1/auth/login", {"email": EMAIL, "password": "wrong"})
        APIClient().post("/api/v1/auth/login", {"email": EMAIL, "password": PASSWORD})
        APIClient().post("/api/v1/auth/password/forgot", {"email": EMAIL})
        links.prepare_due()
        client.post(f"/api/v1/videos/{make_video().pk}/reports", {"reason": "spam", "detail": NAME})
        client_for(viewer).post(
            f"/api/v1/videos/{video.pk}/reports", {"reason": "spam", "detail": f"{NAME} lies"}
        )
        Endpoint.objects.create(owner=admin, url="https://example.com/h", secret="whsec_x")
        client.post(
            "/api/v1/webhooks/endpoints/", {"url": f"https://example.com/{WORDS[0]}"}, format="json"
        )
        api_keys.create(user=person, name="server", scopes=["read"])
        Notice.objects.create(user=person, subject="s", body=f"Dear {NAME}", dedupe_key="1")
        Notice.objects.create(
            user=admin, subject=f"A payout of {NAME}", body=f"to {EMAIL}", dedupe_key="2"
        )
        before = everything()
        assert len(before) >= 8, before

        erase(person)

        assert everything() == {}
        assert files() == []
        mail = Notice.objects.get(dedupe_key="2")
        assert User.objects.get(pk=person.pk).public_name in mail.subject

    def test_figures_and_books_stay(self, person, viewer, make_video, client_for, admin):
        watched = make_video(creator=viewer)
        view(person, watched, seconds=30.0)
        sessions, views = PlaybackSession.objects.count(), VideoView.objects.count()
        before = VideoView.objects.values("viewer_key").distinct().count()
        number = ViewerNumber.objects.create(viewer_key=viewers.key_of_user(person.pk))
        assert views

        erase(person)

        assert (PlaybackSession.objects.count(), VideoView.objects.count()) == (sessions, views)
        assert VideoView.objects.values("viewer_key").distinct().count() == before
        assert not PlaybackSession.objects.filter(user=person).exists()
        hexed = person.pk.hex
        assert ViewerNumber.objects.get() == number
        for model in (PlaybackSession, VideoView, ViewerNumber):
            assert not model._default_manager.filter(viewer_key__contains=hexed).exists()
        assert WatchDaily.objects.filter(user=person).exists()
        call_command("verify_ledger", stdout=StringIO())

    def test_the_audit_log_is_still_proved(self, person, client_for):
        client_for(person).patch(URL, {"display_name": "Other"})
        sealing.seal()
        erase(person)
        sealing.seal()
        call_command("verify_audit", stdout=StringIO())
        assert AuditEntry.objects.filter(actor=person.pk).exists()

    def test_likes_go_and_are_counted_no_more(self, person, make_video):
        video = make_video()
        reactions.react(user=person, video=video, value="like")
        erase(person)
        video.refresh_from_db()
        assert (video.likes, Reaction.objects.count()) == (0, 0)

    def test_videos_go_with_their_files_and_a_bought_one_keeps_its_title(
        self, person, viewer, make_video
    ):
        free, sold = make_video(creator=person), make_video(creator=person, title="Sold", price=500)
        now = timezone.now()
        Order.objects.create(
            buyer=viewer, video=sold, creator=person, kind="buy", list_amount=500, amount=500,
            currency=sold.currency, fee_bps=2000, status="canceled", expires_at=now, gateway="sandbox",
        )  # fmt: skip
        erase(person)
        free.refresh_from_db()
        sold.refresh_from_db()
        for video in (free, sold):
            assert video.deleted_at
            assert video.purged_at
            assert (video.source_path, video.current_version) == ("", "")
        assert (free.title, sold.title) == ("(deleted)", "Sold")


@pytest.mark.usefixtures("media", "encoded_once")
class TestFiles:
    def test_sources_versions_and_half_uploads_go_at_once(
        self, media, uploaded_video, process_next, client_for, settings
    ):
        settings.DELETED_RETENTION_DAYS = 0  # never, for videos that are only deleted
        process_next()
        creator = uploaded_video.creator
        tus = Tus(client_for(creator))
        url = tus.begin(9, HTTP_UPLOAD_METADATA=meta(filename="mine.mp4", title="Mine"))
        assert tus.patch(url, 0, b"1234").status_code == 204
        own = [path for path in media.files() if str(uploaded_video.pk) in path]
        assert len(own) > 3
        assert [path for path in media.files() if "resumable" in path]

        erase(creator)

        left = [path for path in media.files() if "resumable" in path or path in own]
        assert left == []
        assert not Upload.objects.exists()


class TestKilled:
    def test_an_erasure_goes_on_where_it_was_killed(self, person, make_video, monkeypatch):
        make_video(creator=person, title=NAME)
        erasing.begin(user_id=person.pk, actor=person)
        entry = next(each for each in personal.entries() if each.model is Notice)
        broken = {"is": True}
        real = type(entry).apply

        def apply(self, who):
            if broken["is"] and self is entry:
                raise OSError("killed here")
            real(self, who)

        monkeypatch.setattr(type(entry), "apply", apply)
        assert erasing.go_on() == 0
        assert Erasure.objects.get().email == EMAIL  # still to be searched for
        assert erasing.go_on() == 0  # not before its next attempt
        broken["is"] = False
        Erasure.objects.update(not_before=timezone.now())
        assert erasing.go_on() == 1
        assert Erasure.objects.get().email == ""
        assert everything() == {}
        assert erasing.go_on() == 0


class TestCommand:
    def test_a_dry_run_changes_nothing(self, person, make_video):
        make_video(creator=person)
        out = StringIO()
        call_command("forget_user", EMAIL, "--reason", "asked by letter", "--dry-run", stdout=out)
        assert "videos" in out.getvalue()
        person.refresh_from_db()
        assert person.email == EMAIL
        assert not Erasure.objects.exists()

    @pytest.mark.parametrize("by", ["email", "pk"])
    def test_it_erases_with_its_reason(self, person, by):
        out = StringIO()
        name = str(getattr(person, by))
        call_command("forget_user", name, "--reason", "asked by letter", "--yes", stdout=out)
        assert Erasure.objects.get().finished_at is not None
        entry = AuditEntry.objects.get(action="user.erased")
        assert entry.data["admin_reason"] == "asked by letter"
        assert everything() == {}

    def test_it_asks_first(self, person, monkeypatch):
        monkeypatch.setattr("builtins.input", lambda text: "yes")
        with pytest.raises(CommandError, match="Nothing was changed"):
            call_command("forget_user", EMAIL, "--reason", "x", stdout=StringIO())
        assert not Erasure.objects.exists()

    def test_an_unknown_user_is_refused(self):
        with pytest.raises(CommandError, match="no user"):
            call_command("forget_user", "nobody@example.com", "--reason", "x", "--yes")
