"""Readiness and the OpenAPI document of a real server, as a load balancer and a crowd ask for them."""

import http.client
import json
import time

import pytest
from django.conf import settings

from config.tests.threads import at_once
from videos.tests import processes

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.long
def test_readiness_is_asked_a_thousand_times_and_the_document_by_twenty_at_once(media):
    with processes.web() as (_, port):

        def document(number: int) -> int:
            give_up_at = time.monotonic() + 60
            while True:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                connection.request("GET", f"/api/schema/?format={('json', 'yaml')[number % 2]}")
                answer = connection.getresponse()
                # On a busy machine, its first making takes longer than the others may wait.
                if answer.status != 503 or time.monotonic() > give_up_at:
                    return answer.status
                time.sleep(int(answer.headers["Retry-After"]))

        assert at_once(20, document) == [200] * 20

        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

        def ready(method: str = "GET") -> tuple[int, dict, bytes]:
            connection.request(method, "/health/ready")
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

        began = time.monotonic()
        assert {ready()[0] for _ in range(1000)} == {200}
        assert time.monotonic() - began < 10  # through Django it took longer, and its threads

        status, headers, body = ready("HEAD")
        assert (status, body) == (200, b"")
        assert headers["cache-control"] == "no-store"
        assert len(headers["x-request-id"]) == 32

        settings.MEDIA_ROOT.rename(settings.MEDIA_ROOT.with_name("gone"))
        give_up_at = time.monotonic() + 5
        while json.loads(ready()[2])["parts"]["storage"] != "unavailable":
            assert time.monotonic() < give_up_at
            time.sleep(0.05)
