"""The demonstration runs against the real service, and ends with a video that plays in a browser."""

import re

import pytest
from django.core.management import call_command

from config.tests import browser
from streaming.tests.player import play
from videos.tests import processes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.journeys]


def test_the_demo_ends_with_the_address_of_a_video_that_plays(chromium, media, capsys):
    with processes.worker(), processes.web() as (_, port):
        call_command("demo", url=f"http://127.0.0.1:{port}", seconds=6, size="640x360")
        last = capsys.readouterr().out.strip().splitlines()[-1]
        (address,) = re.findall(rf"http://127\.0\.0\.1:{port}/watch/[0-9a-f-]+", last)

        with browser.run(chromium) as running, browser.page(running, address) as page:
            play(page, seconds=1)
