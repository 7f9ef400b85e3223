"""The layer over django-unfold: what we replaced of it, its menu and its start page."""

import hashlib
from pathlib import Path

import pytest
import unfold
from django.contrib import admin as site
from django.urls import reverse

from config import attention, desk, humans

TEMPLATES = Path(unfold.__file__).parent / "templates"
# The templates that ours replace, as they were when ours were written from them.
REPLACED = {
    "unfold/layouts/skeleton.html": "66af9f0bb45f98ba",
    "unfold/helpers/empty_results.html": "5f4727a37a99da76",
    "unfold/helpers/field_readonly_value.html": "a1d46fa2a26e3441",
    "unfold/helpers/header_title.html": "b126ed2ab9ca1680",
    "admin/actions.html": "b5332aace8e69192",
    "admin/index.html": "9fdb849b7da18ccd",
}


@pytest.mark.parametrize("name", REPLACED)
def test_the_templates_that_we_replace_are_those_that_we_know(name):
    """After an upgrade: compare the new file with ours, take over what is new, and write its hash."""
    found = hashlib.sha256((TEMPLATES / name).read_bytes()).hexdigest()[:16]
    assert found == REPLACED[name]


def test_the_menu_names_only_what_exists():
    labels = {page.opts.label for page in site.site._registry.values()}
    named = [each.target for part in desk.MENU.values() for each in part]
    assert len(named) == len(set(named))
    assert {each for each in named if "." in each} <= labels
    assert set(desk.LINKS) <= labels
    assert {target for links in desk.LINKS.values() for _, target, _ in links if target} <= labels


@pytest.mark.django_db
def test_every_list_is_in_the_menu_of_those_who_may_see_it(client, admin, make_user):
    client.force_login(admin)
    page = client.get("/admin/").content.decode()
    for each in site.site._registry.values():
        path = reverse(f"admin:{each.opts.app_label}_{each.opts.model_name}_changelist")
        assert f'href="{path}"' in page, path


@pytest.mark.django_db
def test_a_list_that_the_menu_does_not_name_is_under_more(client, admin, monkeypatch):
    client.force_login(admin)
    short = {title: part for title, part in desk.MENU.items() if title != "Records"}
    monkeypatch.setattr(desk, "MENU", short)

    groups = client.get("/admin/").context["sidebar_navigation"]

    assert [each["title"] for each in groups[-1]["items"]] == ["Api requests", "Audit entries"]


@pytest.mark.django_db
def test_a_moderator_sees_no_money_on_the_start_page(client, make_user):
    from accounts import services

    user = services.set_moderator(user_id=make_user().pk, is_moderator=True, actor=None)
    client.force_login(user)
    answer = client.get("/admin/")

    assert [each["title"] for each in answer.context["sidebar_navigation"]] == ["", "Videos"]
    for word in (b"Payouts", b"Disputes", b"Health", b"/admin/payments/"):
        assert word not in answer.content


@pytest.mark.django_db
def test_the_start_page_says_what_needs_attention(client, admin, make_video):
    from videos.models import Video

    client.force_login(admin)
    video = make_video()
    assert b"Failed videos" in client.get("/admin/").content
    Video.objects.filter(pk=video.pk).update(status=Video.Status.FAILED)

    tiles = {tile.title: tile for _, part in groups_of(client) for tile in part}

    assert (tiles["Failed videos"].figure, tiles["Failed videos"].state) == (1, "look")
    shown = client.get(tiles["Failed videos"].url)
    assert list(shown.context["cl"].queryset) == [video]
    for tile in tiles.values():
        assert client.get(tile.url).status_code in {200, 503}, tile.title


def groups_of(client):
    return attention.groups(client.get("/admin/").wsgi_request)


@pytest.mark.django_db
def test_a_part_that_fails_says_so_beside_the_others(client, admin, monkeypatch):
    def broken(request):
        raise OSError("away")

    monkeypatch.setitem(attention._parts, "Tests", [("audit.view_auditentry", broken)])
    client.force_login(admin)
    page = client.get("/admin/").content.decode()

    assert "It could not be read; the log has the reason." in page
    assert "Failed videos" in page


def test_figures_are_read_by_people():
    assert [humans.duration_text(each) for each in (0, 59.6, 3725, 90_061)] == [
        "0 s", "1 min", "1 h 2 min", "1 d 1 h",
    ]  # fmt: skip
    assert humans.size_text(1_610_612_736) == "1.5 GB"
