"""The admin site in a real Chromium: at two widths, light and dark, by keyboard, checked by axe-core.

With DESK_PICTURES, the folder that they go to, every page leaves a picture.
"""

import os

import pytest
from django.contrib import admin as site
from django.urls import reverse
from playwright.sync_api import expect

from config.tests import browser
from config.tests.axe import assert_accessible
from videos.models import Video
from videos.tests import processes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.journeys]
LOOKS = [(1280, True), (390, False)]  # of every page: both widths, and both colour schemes
PASSWORD = "a long pass phrase"


@pytest.fixture
def session(client, admin):
    client.force_login(admin)
    return client.session.session_key


def addresses() -> list[str]:
    """Return the start page, the pages of money, and of every model its list and a row's page."""
    found = [
        reverse("admin:index"),
        reverse("admin:payments_revenue"),
        reverse("admin:payments_review"),
    ]
    for page in sorted(site.site._registry.values(), key=lambda page: page.opts.label):
        prefix = f"admin:{page.opts.app_label}_{page.opts.model_name}"
        row = page.model._default_manager.first()
        found += [reverse(f"{prefix}_changelist"), reverse(f"{prefix}_change", args=[row.pk])]
    return found


def acts() -> list[str]:
    video = Video.objects.all()[0]
    return [
        f"{reverse('admin:videos_video_act', args=['delete_videos'])}?rows={video.pk}",
        reverse("admin:payments_pool_act", args=["close_month"]),
        reverse("admin:payments_payout_act", args=["run_payouts"]),
    ]


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_every_page_fits_and_is_accessible(chromium, session, one_of_each, width, dark):
    """Each page in one look; with DESK_LOOKS=all, which takes minutes, in both."""
    pages = [*addresses(), *acts()]
    if os.environ.get("DESK_LOOKS") != "all":
        of_look = LOOKS.index((width, dark))
        # Lists and pages of rows stand by turns, so each look gets some of both.
        pages = [path for number, path in enumerate(pages) if number // 2 % 2 == of_look]
    wrong = {}
    with processes.web(RATE_LIMIT_DEFAULT="0") as (_, port), browser.run(chromium) as running:
        for number, path in enumerate(pages):
            try:
                look = {"width": width, "dark": dark, "session": session}
                with browser.page(running, f"http://127.0.0.1:{port}{path}", **look) as page:
                    keep(
                        page, f"{number:02}{path.partition('?')[0].replace('/', '-')}", width, dark
                    )
                    assert_accessible(page)
            except AssertionError as error:
                wrong[path] = str(error)[:600]
    assert wrong == {}


@pytest.mark.parametrize("width", [1280, 390])
def test_a_title_of_one_long_word_hides_no_column(chromium, session, make_video, width):
    make_video(title="W" * 180)
    with processes.web(RATE_LIMIT_DEFAULT="0") as (_, port), browser.run(chromium) as running:
        path = f"http://127.0.0.1:{port}/admin/videos/video/"
        with browser.page(running, path, width=width, session=session) as page:
            # The list scrolls by itself, so that the page is never too wide.
            beyond = page.evaluate(
                "(list => [list, ...list.querySelectorAll('td, th')]"
                ".filter(each => each.scrollWidth > each.clientWidth + 1).length)"
                "(document.querySelector('#result_list').parentElement)"
            )
            assert beyond == 0


def keep(page, name: str, width: int, dark: bool) -> None:
    if folder := os.environ.get("DESK_PICTURES"):
        page.screenshot(
            path=f"{folder}/{width}{'-dark' if dark else ''}-{name}.png", full_page=True
        )


def test_an_administrator_signs_in_and_deletes_a_video_by_keyboard(chromium, make_user, make_video):
    make_user("ADMIN", email="boss@example.com", password=PASSWORD)
    video = make_video(title="A walk along the coast")
    with (
        processes.web(RATE_LIMIT_DEFAULT="0") as (_, port),
        browser.run(chromium) as running,
        browser.page(running, f"http://127.0.0.1:{port}/admin/") as page,
    ):
        assert_accessible(page)
        page.get_by_label("Email").fill("boss@example.com")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="What needs attention")).to_be_visible()
        page.get_by_role("link", name="Failed videos").focus()
        page.keyboard.press("Enter")
        page.goto(f"http://127.0.0.1:{port}/admin/videos/video/{video.pk}/change/")
        page.get_by_role("link", name="Delete …").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_text("1 video", exact=True)).to_be_visible()
        page.get_by_label("Reason").fill("The owner asked for it")
        page.get_by_role("button", name="Delete").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_text("Deleted: 1.")).to_be_visible()
    assert Video.objects.get().deleted_at is not None
