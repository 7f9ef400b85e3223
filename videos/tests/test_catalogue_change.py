"""Changing, deleting, restoring and retrying videos."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import Client
from django.utils import timezone

from config.errors import NotVisible
from config.tests import desk
from videos.models import ProcessingJob, Video
from videos.services import catalogue
from videos.signals import video_removed

URL = "/api/v1/videos/"
pytestmark = pytest.mark.django_db


def errors(response) -> list[tuple]:
    return [(error["attr"], error["code"]) for error in response.json()["errors"]]


@pytest.fixture
def patch(client_for):
    def send(video, **body):
        return client_for(video.creator).patch(f"{URL}{video.pk}", body)

    return send


class TestChange:
    def test_patch_changes_only_the_fields_that_are_sent(self, make_video, patch, trail):
        video = make_video(title="Old", description="Kept", price=500, tags=["fog"])

        shown = patch(video, title="New").json()

        assert (shown["title"], shown["description"], shown["tags"]) == ("New", "Kept", ["fog"])
        assert (shown["is_paid"], shown["price"], shown["status"]) == (True, "5.00", "READY")
        assert trail(video.pk) == ["video.changed"]

    def test_put_replaces_the_description_and_needs_a_title(self, make_video, client_for):
        video = make_video(title="Old")
        client = client_for(video.creator)

        response = client.put(f"{URL}{video.pk}", {"description": "New"})
        assert (response.status_code, errors(response)) == (400, [("title", "required")])
        shown = client.put(f"{URL}{video.pk}", {"title": "New", "tags": ["B", "a"]}).json()
        assert (shown["title"], shown["description"], shown["tags"]) == ("New", "", ["a", "b"])

    def test_an_administrator_changes_the_video_of_another(self, make_video, client_for, admin):
        video = make_video()

        shown = client_for(admin).patch(f"{URL}{video.pk}", {"visibility": "private"}).json()

        assert shown["visibility"] == "private"
        assert shown["creator"]["id"] == str(video.creator_id)

    def test_a_patch_with_the_same_values_writes_no_audit_entry(self, make_video, patch, trail):
        video = make_video(title="Same", tags=["fog"])

        assert patch(video, title="Same", tags=["FOG"]).status_code == 200
        assert trail(video.pk) == []

    @pytest.mark.parametrize(
        ("before", "body", "after"),
        [
            (0, {"is_paid": True, "price": "3.00"}, (True, 300, "USD")),
            (500, {"price": "3.00"}, (True, 300, "USD")),
            (500, {"is_paid": False}, (False, 0, "USD")),
            (500, {"is_paid": False, "price": "3.00"}, (False, 0, "USD")),
            (500, {"currency": "JPY", "price": "300"}, (True, 300, "JPY")),
            (0, {"currency": "JPY"}, (False, 0, "JPY")),
            (0, {"price": "3.00"}, (False, 0, "USD")),
        ],
    )
    def test_fields_of_the_price_change_together(self, before, body, after, make_video, patch):
        video = make_video(price=before)

        assert patch(video, **body).status_code == 200
        assert Video.objects.values_list("is_paid", "price", "currency").get() == after

    @pytest.mark.parametrize(
        ("before", "body"),
        [
            (0, {"is_paid": True}),
            (500, {"price": "0"}),
            (500, {"price": "-1"}),
            (500, {"currency": "JPY"}),  # 5.00 dollars are not 500 yen
            (500, {"currency": "JPY", "price": "1.5"}),
        ],
    )
    def test_a_price_that_breaks_the_rule_is_refused_and_changes_nothing(
        self, before, body, make_video, patch, trail
    ):
        video = make_video(price=before)

        response = patch(video, title="New", **body)

        assert response.status_code == 400
        assert [attr for attr, _ in errors(response)] == ["price"]
        row = Video.objects.get()
        assert (row.title, row.price, row.currency) == ("A video", before, "USD")
        assert trail(video.pk) == []

    def test_patch_ignores_read_only_fields(self, make_video, make_user, patch):
        video = make_video(views=3)
        before = Video.objects.values().get()

        response = patch(
            video, creator=str(make_user("CREATOR").pk), status="FAILED", views=10**6,
            deleted_at="2026-01-01T00:00:00Z", published_at=None, current_version="x", job=None,
        )  # fmt: skip

        assert response.status_code == 200
        assert Video.objects.values().get() == before

    def test_tags_can_be_taken_away(self, make_video, patch):
        assert patch(make_video(tags=["fog"]), tags=[]).json()["tags"] == []

    @pytest.mark.django_db(transaction=True)
    def test_changes_at_once_never_break_the_price_rule(self, make_video, client_for):
        """One makes the video free while the other changes its price: either, but no mixture."""
        video = make_video(price=500)
        clients = [client_for(video.creator) for _ in range(8)]
        bodies = [{"is_paid": False}, {"is_paid": True, "price": "9.00", "currency": "EUR"}] * 4
        start = threading.Barrier(8)

        def send(pair):
            client, body = pair
            try:
                start.wait()
                return client.patch(f"{URL}{video.pk}", body).status_code
            finally:
                connections.close_all()

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(send, zip(clients, bodies, strict=True)))

        assert answers == [200] * 8
        row = Video.objects.values_list("is_paid", "price", "currency").get()
        assert row in {(False, 0, "USD"), (False, 0, "EUR"), (True, 900, "EUR")}

    def test_a_change_of_a_stale_copy_keeps_the_price_rule(self, make_video):
        """Two callers have read the video when it cost 5.00; the second one writes last."""
        video = make_video(price=500)
        first, second = Video.objects.get(), Video.objects.get()

        catalogue.change_video(video=first, actor=None, is_paid=False, price=0, currency="USD")
        catalogue.change_video(video=second, actor=None, is_paid=True, price=900, currency="USD")
        assert Video.objects.values_list("is_paid", "price").get() == (True, 900)

        stale = Video(pk=video.pk, creator=video.creator, title="A video", is_paid=True, price=500)
        catalogue.change_video(video=stale, actor=None, title="New")
        assert Video.objects.values_list("title", "price").get() == ("New", 900)


class TestDelete:
    def test_delete_marks_the_row_and_sends_video_removed(
        self, make_video, client_for, trail, buy, viewer
    ):
        video = make_video(price=500)
        order = buy(viewer, video)
        told = []

        def listen(sender, video, **kwargs):
            told.append(video.pk)

        video_removed.connect(listen)
        try:
            response = client_for(video.creator).delete(f"{URL}{video.pk}")
        finally:
            video_removed.disconnect(listen)

        assert (response.status_code, response.content) == (204, b"")
        row = Video.objects.get()
        assert row.deleted_at is not None
        assert (row.status, row.current_version) == ("READY", video.current_version)
        assert told == [video.pk]
        assert trail(video.pk) == ["video.deleted"]
        order.refresh_from_db()
        assert order.status == "paid"

    def test_a_second_delete_is_not_found(self, make_video, client_for, trail):
        video = make_video()
        client = client_for(video.creator)

        answers = [client.delete(f"{URL}{video.pk}").status_code for _ in range(2)]

        assert answers == [204, 404]
        assert trail(video.pk) == ["video.deleted"]

    def test_a_stale_copy_of_a_deleted_video_cannot_be_deleted_or_changed(self, make_video, trail):
        video = make_video()
        stale = Video.objects.get()
        catalogue.delete_video(video=video, actor=None)

        with pytest.raises(NotVisible):
            catalogue.delete_video(video=stale, actor=None)
        with pytest.raises(NotVisible):
            catalogue.change_video(video=stale, actor=None, title="New")

        assert Video.objects.get().title == "A video"
        assert trail(video.pk) == ["video.deleted"]

    @pytest.mark.django_db(transaction=True)
    def test_of_eight_simultaneous_deletes_one_succeeds(self, make_video, client_for, trail):
        video = make_video()
        clients = [client_for(video.creator) for _ in range(8)]
        start = threading.Barrier(8)

        def delete(client):
            try:
                start.wait()
                return client.delete(f"{URL}{video.pk}").status_code
            finally:
                connections.close_all()

        with ThreadPoolExecutor(8) as pool:
            answers = sorted(pool.map(delete, clients))

        assert answers == [204] + [404] * 7
        assert trail(video.pk) == ["video.deleted"]


class TestRestore:
    @pytest.fixture
    def gone(self, make_video):
        return make_video(title="Gone", price=500, deleted_at=timezone.now())

    def test_restore_brings_a_video_back_as_it_was(self, gone, client_for, admin, trail):
        response = client_for(admin).patch(f"{URL}{gone.pk}/restore")

        video = response.json()
        assert response.status_code == 200
        assert (video["status"], video["price"], video["deleted_at"]) == ("READY", "5.00", None)
        assert client_for().get(f"{URL}{gone.pk}").status_code == 200
        assert trail(gone.pk) == ["video.restored"]

    def test_a_second_restore_changes_nothing(self, gone, client_for, admin, trail):
        answers = [client_for(admin).patch(f"{URL}{gone.pk}/restore") for _ in range(2)]

        assert [answer.status_code for answer in answers] == [200, 200]
        assert trail(gone.pk) == ["video.restored"]

    @pytest.mark.parametrize(
        ("caller", "status"), [("anonymous", 401), ("viewer", 403), ("owner", 403)]
    )
    def test_only_administrators_may_restore(self, caller, status, gone, viewer, client_for):
        user = {"anonymous": None, "viewer": viewer, "owner": gone.creator}[caller]

        assert client_for(user).patch(f"{URL}{gone.pk}/restore").status_code == status
        assert Video.objects.get().deleted_at is not None

    def test_an_unknown_video_is_not_found(self, client_for, admin):
        missing = "01890000-0000-7000-8000-000000000000"
        assert client_for(admin).patch(f"{URL}{missing}/restore").status_code == 404

    def test_the_command_lists_and_restores_deleted_videos(self, gone, capsys):
        call_command("restore_video")
        listed = capsys.readouterr().out
        assert str(gone.pk) in listed
        assert "Gone" in listed

        call_command("restore_video", str(gone.pk))
        assert Video.objects.get().deleted_at is None

    def test_the_command_says_that_there_is_nothing_to_restore(self, make_video, capsys):
        make_video()
        call_command("restore_video")
        assert capsys.readouterr().out == "No video is deleted, so there is nothing to restore.\n"

    def test_the_command_refuses_a_video_that_is_not_deleted(self, make_video, trail):
        video = make_video(title="Here")
        with pytest.raises(CommandError, match=f"{video.pk}  Here: is not deleted") as error:
            call_command("restore_video", str(video.pk))
        assert error.value.returncode == 1
        assert trail(video.pk) == []

    @pytest.mark.parametrize("word", ["x", "01890000-0000-7000-8000-000000000000"])
    def test_the_command_names_a_wrong_id(self, word, gone):
        with pytest.raises(CommandError, match=word):
            call_command("restore_video", word)
        assert Video.objects.get().deleted_at is not None

    def test_the_command_restores_the_others_beside_a_wrong_id(self, gone):
        with pytest.raises(CommandError, match="'x' is not a video's id"):
            call_command("restore_video", "x", str(gone.pk))
        assert Video.objects.get().deleted_at is None


class TestAdminSite:
    @pytest.fixture
    def site(self, admin):
        client = Client()
        client.force_login(admin)
        return client

    def act(self, site, action, video, query=""):
        return desk.act(site, action, video, query=query)

    def test_videos_are_deleted_and_restored_by_actions(self, site, make_video, trail):
        video = make_video()

        assert b"Deleted: 1." in self.act(site, "delete_videos", video).content
        assert Video.objects.get().deleted_at is not None
        assert b"Restored: 1." in self.act(site, "restore_videos", video, "?deleted=yes").content
        assert Video.objects.get().deleted_at is None
        assert trail(video.pk) == ["video.deleted", "video.restored"]

    def test_titles_are_escaped(self, site, make_video):
        video = make_video(title="<script>alert(1)</script>")

        for address in ("", f"{video.pk}/change/"):
            page = site.get(f"/admin/videos/video/{address}")
            assert page.status_code == 200
            assert b"<script>alert(1)" not in page.content

    def test_a_video_has_no_form_for_changing_it(self, site, make_video):
        video = make_video(title="Kept")

        response = site.post(f"/admin/videos/video/{video.pk}/change/", {"title": "Changed"})

        assert response.status_code == 403
        assert Video.objects.get().title == "Kept"


class TestRetry:
    @pytest.fixture
    def failed(self, media, uploaded_video):
        ProcessingJob.objects.update(state="failed", error_code="processing_failed")
        Video.objects.update(status="FAILED")
        uploaded_video.refresh_from_db()
        return uploaded_video

    def test_retry_queues_a_failed_video_again(self, failed, client_for, trail):
        response = client_for(failed.creator).post(f"{URL}{failed.pk}/retry")

        video = response.json()
        assert (response.status_code, video["status"]) == (200, "UPLOADED")
        assert video["processing"] == {
            "step": "queued", "percent": 0, "attempts": 0, "queue_position": 1,
            "eta_seconds": None, "error": None,
            "stage": "first", "still_to_come": [], "last_line": None,
        }  # fmt: skip
        assert sorted(ProcessingJob.objects.values_list("state", flat=True)) == ["failed", "queued"]
        assert trail(failed.pk)[-1] == "video.retried"

    def test_a_second_retry_is_refused(self, failed, client_for):
        client = client_for(failed.creator)

        answers = [client.post(f"{URL}{failed.pk}/retry") for _ in range(2)]

        assert [answer.status_code for answer in answers] == [200, 409]
        assert errors(answers[1]) == [(None, "not_failed")]
        assert ProcessingJob.objects.open().count() == 1

    def test_a_retry_without_the_file_is_refused(self, failed, client_for):
        failed.source.unlink()

        response = client_for(failed.creator).post(f"{URL}{failed.pk}/retry")

        assert (response.status_code, errors(response)) == (409, [(None, "no_file")])
        assert Video.objects.get().status == "FAILED"
        assert not ProcessingJob.objects.open().exists()

    def test_a_ready_video_and_a_video_without_a_file_cannot_be_retried(
        self, make_video, client_for, media
    ):
        ready, draft = make_video(), make_video(ready=False)
        for video in (ready, draft):
            response = client_for(video.creator).post(f"{URL}{video.pk}/retry")
            assert response.status_code == 409
        assert not ProcessingJob.objects.exists()
