"""API requests are recorded by real web servers, also by those that end."""

import signal
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest

from audit.models import ApiRequest
from videos.tests import processes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("media")]


@pytest.mark.long
@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_request_is_lost_when_the_server_ends(workers):
    """Counts are stored every minute; those of the last one, when the process ends."""
    with processes.web(WEB_WORKERS=workers) as (server, port):

        def ask(number: int) -> int:
            connection = HTTPConnection("127.0.0.1", port)
            connection.request("GET", f"/api/v1/nothing/{number}")
            return connection.getresponse().status

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(60)))
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=processes.PATIENCE)

    assert set(answers) == {404}
    listed = ApiRequest.objects.filter(count=None)
    counted = [row.count or 0 for row in ApiRequest.objects.exclude(count=None)]
    assert listed.count() + sum(counted) == 60
    assert listed.count() <= 5 * int(workers)
    assert 1 <= len(counted) <= 2 * int(workers)  # two, if the hour ended just now
