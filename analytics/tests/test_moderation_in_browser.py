"""A moderator's day in a real Chromium: a report comes in, and goes through every hand until its end.

With SCREENSHOTS, the folder that pictures of the desk go to, the test takes some.
"""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from accounts import services as accounts
from config.tests import browser
from streaming.models import PlaybackSession
from streaming.tests.player import seconds_played
from videos.models import Video
from videos.moderation.models import ModerationCase
from videos.services import catalogue, sources
from videos.tests import processes
from videos.tests.media import ffmpeg, h264, tone

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.journeys]
PASSWORD = "a long pass phrase"
API = "/api/v1"
TITLE = "Fireworks in the attic"


class Caller:
    """A user of the API of the running service. No query of the test's own is possible meanwhile."""

    def __init__(self, page: Page, address: str, email: str):
        self.page, self.api = page, f"{address}{API}"
        login = {"email": email, "password": PASSWORD}
        token = page.request.post(f"{self.api}/auth/login", data=login).json()["access_token"]
        self.headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    def get(self, path: str):
        return self.page.request.get(f"{self.api}/{path}", headers=self.headers)

    def post(self, path: str, **body):
        return self.page.request.post(f"{self.api}/{path}", headers=self.headers, data=body)

    def play(self, video_id) -> str:
        """Start playback and return the address of the playlist."""
        token = self.get(f"stream/{video_id}").json()["stream_url"].removeprefix(f"{API}/")
        return self.get(token).json()["hls_url"]


def take_picture(page: Page, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def sign_in(running: Browser, address: str, email: str, path: str, **look):
    """Open a page of the admin site as this moderator. Its console, hosts and width are watched."""
    opened = browser.page(running, f"{address}/admin/login/?next={path}", **look)

    class SignedIn:
        def __enter__(self) -> Page:
            page = opened.__enter__()
            page.locator("#id_username").fill(email)
            page.locator("#id_password").fill(PASSWORD)
            page.locator("[type=submit]").click()
            return page

        def __exit__(self, *error):
            return opened.__exit__(*error)

    return SignedIn()


@pytest.fixture
def people(make_user):
    """A creator, two viewers and two moderators, by the first part of their addresses."""
    names = {"cleo": "Cleo Marsh", "vera": "Vera", "vic": "Vic", "mo": "Mo", "max": "Max"}
    made = {
        name: make_user(
            "CREATOR" if name == "cleo" else "VIEWER",
            email=f"{name}@example.com",
            password=PASSWORD,
            display_name=shown,
        )
        for name, shown in names.items()
    }
    for name in ("mo", "max"):
        accounts.set_moderator(user_id=made[name].pk, is_moderator=True, actor=None)
    return made


@pytest.fixture
def video(people, tmp_path, media, received, process_next) -> Video:
    clip = tmp_path / "clip.mp4"
    ffmpeg(
        "-f", "lavfi", "-i", "mandelbrot=size=640x360:rate=25", *tone(seconds=20),
        *h264("-crf", "30"), "-c:a", "aac", "-t", "20", clip,
    )  # fmt: skip
    made = catalogue.create_video(
        creator=people["cleo"], title=TITLE, description="Recorded in one night.\nDo not try this."
    )
    catalogue.create_video(creator=people["cleo"], title="A walk along the coast")
    sources.attach_source(video=made, received=received(clip), actor=people["cleo"])
    process_next()
    made.refresh_from_db()
    assert made.status == Video.Status.READY
    return made


def test_a_report_is_watched_taken_down_appealed_and_restored(chromium, video, people):
    queue = "/admin/videos/moderationcase/"
    with processes.web() as (_, port), browser.run(chromium) as running:
        address = f"http://127.0.0.1:{port}"
        wire = running.new_page()
        vera, vic, cleo = (
            Caller(wire, address, f"{name}@example.com") for name in ("vera", "vic", "cleo")
        )
        report = {"reason": "violence", "detail": "At 0:05 somebody gets hurt."}
        assert vera.post(f"videos/{video.pk}/reports", **report).status == 201
        assert vera.post(f"videos/{video.pk}/reports", **report).status == 200
        assert vic.post(f"videos/{video.pk}/reports", reason="misleading").status == 201
        playlist = vera.play(video.pk)
        assert wire.request.get(playlist).status == 200

        with sign_in(running, address, "mo@example.com", queue) as page:
            expect(page.locator("#result_list tbody tr")).to_have_count(1)
            row = page.locator("#result_list tbody tr")
            expect(row).to_contain_text("violence (1), misleading title or description (1)")
            take_picture(page, "queue-1280")
            row.get_by_role("link", name=TITLE).click()
            expect(page.get_by_text("At 0:05 somebody gets hurt.")).to_be_visible()
            page.get_by_role("button", name="Watch").click()
            processes.wait_for(lambda: seconds_played(page) > 1)
            page.locator("video").click()  # pause
            take_picture(page, "case-1280")
            page.get_by_role("link", name="Take the video down").click()
            expect(page.get_by_text("Playback stops within two seconds")).to_be_visible()
            take_picture(page, "take-down-1280")
            page.get_by_label("Reason").select_option("violence")
            page.get_by_label("In your words").fill("Please cut 0:05 to 0:09.")
            page.get_by_role("button", name="Take the video down").click()
            expect(page.get_by_text("Taken down: 1.")).to_be_visible()
            processes.wait_for(lambda: wire.request.get(playlist).status == 410)
            take_picture(page, "taken-down-1280")

        assert vic.get(f"videos/{video.pk}").status == 404
        told = cleo.get(f"videos/{video.pk}").json()["moderation"]
        assert (told["reason"], told["note"]) == ("violence", "Please cut 0:05 to 0:09.")
        appeal = {"detail": "These are puppets."}
        assert cleo.post(f"videos/{video.pk}/appeal", **appeal).status == 201

        with sign_in(running, address, "max@example.com", queue, width=390) as page:
            expect(page.locator("#result_list tbody tr")).to_contain_text("appeal waits")
            take_picture(page, "queue-390")
            page.get_by_role("link", name=TITLE).click()
            expect(page.get_by_text("These are puppets.")).to_be_visible()
            page.get_by_role("button", name="Watch").click()
            processes.wait_for(lambda: seconds_played(page) > 1)
            page.locator("video").click()
            take_picture(page, "case-390")
            page.get_by_role("link", name="Restore the video").click()
            take_picture(page, "restore-390")
            page.get_by_label("In your words").fill("You are right.")
            page.get_by_role("button", name="Restore the video").click()
            expect(page.get_by_text("Restored: 1.")).to_be_visible()
            page.goto(f"{address}{queue}")
            expect(page.locator("#result_list")).to_have_count(0)
        assert wire.request.get(vera.play(video.pk)).status == 200
        assert cleo.get(f"videos/{video.pk}").json()["moderation"] is None

    video.refresh_from_db()
    case = ModerationCase.objects.get()
    assert (case.status, case.appeals.get().status) == ("restored", "granted")
    assert case.appeals.get().decided_by == people["max"]
    watched = PlaybackSession.objects.filter(access="moderator")
    assert watched.count() == 2
    assert not any(session.counts for session in watched)
    assert video.views == 0
