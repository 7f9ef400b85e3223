"""The pages of figures in a real Chromium: signing in, plots, dark, on a phone."""

import random
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from accounts.roles import Role
from analytics.tests import histories
from config.tests import browser, cases
from videos.tests import processes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.journeys]
PASSWORD = "a long pass phrase"


@pytest.mark.parametrize(
    ("width", "dark"), cases.some(2, [(1280, False), (1280, True), (390, True)])
)
def test_a_creator_looks_at_their_numbers(chromium, make_user, make_video, width, dark):
    ann = make_user(Role.CREATOR, email="ann@example.com", password=PASSWORD)
    video = make_video(creator=ann, title="Fog", visibility="unlisted")  # has no poster
    now, dice = timezone.now(), random.Random(3)  # noqa: S311 - repeatable
    histories.make([video], now - timedelta(days=20), now - timedelta(days=1), 200, dice)
    with processes.web() as (_, port), browser.run(chromium) as running:
        start = f"http://127.0.0.1:{port}/numbers/"
        with browser.page(running, start, width=width, dark=dark) as page:
            page.get_by_label("E-mail address").fill("ann@example.com")
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("heading", level=1)).to_have_text("Your videos")
            expect(page.locator("figure canvas")).to_have_count(4)
            drawn = page.evaluate("document.querySelector('.u-wrap').clientWidth")
            assert drawn > width * 0.6
            page.get_by_label("Time zone").select_option("Asia/Kolkata")
            page.get_by_role("button", name="Show").click()
            expect(page.get_by_text("on the clock of Asia/Kolkata")).to_be_visible()
            page.get_by_role("link", name="Fog").click()
            expect(page.locator("figure canvas")).to_have_count(5)
            page.get_by_role("button", name="Sign out").click()
            page.goto(start)
            expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
