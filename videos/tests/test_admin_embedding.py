"""The admin site changes the sites that may embed a video, with the checks of the API, audited."""

import pytest
from django.urls import reverse

from audit.models import AuditEntry
from config.tests import desk

pytestmark = pytest.mark.django_db


@pytest.fixture
def site(client, admin):
    client.force_login(admin)
    return client


def test_the_sites_are_set_shown_and_taken_away(site, admin, make_video):
    videos = [make_video(title=f"Number {number}") for number in range(2)]

    report = desk.act(
        site, "change_embedding", *videos, **{"same-sites": "Blog.Example.com *.b.example"}
    )

    assert b"Changed: 2." in report.content
    for video in videos:
        video.refresh_from_db()
        assert video.embed_domains == ["blog.example.com", "*.b.example"]
    entry = AuditEntry.objects.filter(action="video.changed").latest("pk")
    assert (entry.actor_id, entry.data["admin_reason"]) == (admin.pk, desk.REASON)
    assert entry.data["changes"]["embed_domains"]["before"] == []
    page = site.get(reverse("admin:videos_video_change", args=[videos[0].pk]))
    assert b"blog.example.com, *.b.example" in page.content

    desk.act(site, "change_embedding", videos[0], **{"same-sites": "-"})
    videos[0].refresh_from_db()
    assert videos[0].embed_domains == []


@pytest.mark.parametrize("wrong", ["https://a.example", "a.example:80", "-x"])
def test_what_the_api_refuses_is_refused(site, make_video, wrong):
    video = make_video()

    report = desk.act(site, "change_embedding", video, **{"same-sites": wrong})

    assert b"Refused: 1." in report.content
    video.refresh_from_db()
    assert video.embed_domains == []
    assert not AuditEntry.objects.filter(action="video.changed").exists()
